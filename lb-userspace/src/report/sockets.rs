//! The TCP connections of this network namespace's sockets, from the kernel (`sock_diag(7)`).

use std::io;
use std::net::{IpAddr, SocketAddr};

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket as Netlink, SocketAddr as NetlinkAddress};
use nix::sys::socket::{setsockopt, sockopt::ReceiveTimeout};
use nix::sys::time::TimeVal;

use super::count::Socket;

/// What the kernel puts into one piece, and more than it does, in bytes.
const PIECE: usize = 64 << 10;
/// How long the kernel may take for a piece, in seconds.
const PATIENCE: i64 = 2;

/// All but those that listen, have ended, or are not connected; of both families.
///
/// # Errors
/// What the kernel said.
pub fn sockets() -> io::Result<Vec<Socket>> {
    let mut all = of_family(AF_INET)?;
    all.extend(of_family(AF_INET6)?);
    Ok(all)
}

fn of_family(family: u8) -> io::Result<Vec<Socket>> {
    let mut netlink = Netlink::new(NETLINK_SOCK_DIAG)?;
    netlink.bind_auto()?;
    netlink.connect(&NetlinkAddress::new(0, 0))?;
    setsockopt(&netlink, ReceiveTimeout, &TimeVal::new(PATIENCE, 0))?;
    netlink.send(&request(family), 0)?;
    let (mut found, mut piece) = (Vec::new(), vec![0; PIECE]);
    loop {
        let length = netlink.recv(&mut &mut piece[..], 0)?;
        if !take(&piece[..length.min(PIECE)], &mut found)? {
            return Ok(found);
        }
    }
}

fn request(family: u8) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let socket_id = if family == AF_INET { SocketId::new_v4() } else { SocketId::new_v6() };
    let connected = StateFlags::all() - StateFlags::LISTEN - StateFlags::TIME_WAIT - StateFlags::CLOSE;
    let request = SockDiagMessage::InetRequest(InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: connected,
        socket_id,
    });
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// Takes in a piece; whether more follow.
fn take(piece: &[u8], found: &mut Vec<Socket>) -> io::Result<bool> {
    let mut rest = piece;
    while !rest.is_empty() {
        let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest).map_err(io::Error::other)?;
        match message.payload {
            NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                found.push(socket(&response.header.socket_id));
            }
            NetlinkPayload::Done(_) => return Ok(false),
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            _ => {}
        }
        // Messages begin at multiples of four bytes.
        let length = (message.header.length as usize).next_multiple_of(4).max(4);
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(true)
}

fn socket(id: &SocketId) -> Socket {
    let address = |address: IpAddr, port| SocketAddr::new(address.to_canonical(), port);
    Socket {
        local: address(id.source_address, id.source_port),
        remote: address(id.destination_address, id.destination_port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_connection_is_found_and_what_listens_is_not() {
        for local in ["127.0.0.1:0", "[::]:0"] {
            let listener = TcpListener::bind(local).unwrap();
            let to = SocketAddr::new([127, 0, 0, 1].into(), listener.local_addr().unwrap().port());
            let has = || sockets().unwrap().iter().filter(|socket| socket.local == to).count();
            assert_eq!(has(), 0, "{local}");
            let client = TcpStream::connect(to).unwrap();
            let accepted = listener.accept().unwrap();
            let expected = Socket { local: to, remote: client.local_addr().unwrap() };
            assert!(sockets().unwrap().contains(&expected), "{local}");
            assert_eq!(has(), 1, "{local}");
            drop((client, accepted));
        }
    }

    #[test]
    fn many_pieces_are_read_to_the_last() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let pairs: Vec<_> =
            (0..400).map(|_| (TcpStream::connect(to).unwrap(), listener.accept().unwrap())).collect();
        let found = sockets().unwrap();
        assert_eq!(found.iter().filter(|socket| socket.local == to).count(), pairs.len());
    }
}
