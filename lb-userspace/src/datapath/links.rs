//! When this machine's interfaces or their addresses may have changed. What changed is for others to look at; how long
//! packets may be is asked here.

use std::io;

use futures::StreamExt as _;
use futures::channel::mpsc::UnboundedReceiver;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket, SocketAddr};
use tokio::task::JoinSet;

const GROUPS: [MulticastGroup; 3] =
    [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];

/// Listens to the kernel, in the network namespace of the thread that opened it.
pub struct LinkWatch {
    messages: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, rtnetlink::sys::SocketAddr)>,
    /// Drives the socket, which closes when this is dropped.
    _connection: JoinSet<()>,
}

impl LinkWatch {
    /// Listens from now on; to be called in a tokio runtime.
    ///
    /// # Errors
    /// When there is no such socket to be had.
    pub fn open() -> io::Result<Self> {
        let (connection, _, messages) = rtnetlink::new_multicast_connection(&GROUPS)?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Ok(Self { messages, _connection: driver })
    }

    /// Returns when something has changed. Also when messages were lost, for then something has. Cancel safe.
    pub async fn changed(&mut self) {
        if self.messages.next().await.is_none() {
            // The socket is gone; a regular look has to do.
            std::future::pending::<()>().await;
        }
        // One look sees all that was told so far.
        while self.messages.try_recv().is_ok() {}
    }
}

/// MTU of an interface, in bytes, in the network namespace of the thread that asks.
///
/// # Errors
/// What the kernel said; also if there is no such interface.
pub fn mtu(index: u32) -> io::Result<u32> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&question(index), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => mtu_in(&link),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
    }
}

fn question(index: u32) -> Vec<u8> {
    let mut link = LinkMessage::default();
    link.header.index = index;
    let mut message = NetlinkMessage::from(RouteNetlinkMessage::GetLink(link));
    message.header.flags = NLM_F_REQUEST;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn mtu_in(link: &LinkMessage) -> io::Result<u32> {
    let found = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    });
    found.ok_or_else(|| io::Error::other("the kernel does not say an interface's MTU"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_has_an_mtu_and_one_that_is_not_there_has_none() {
        assert!(mtu(1).unwrap() >= 1500);
        assert_eq!(mtu(u32::MAX >> 1).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
