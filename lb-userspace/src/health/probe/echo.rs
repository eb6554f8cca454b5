//! One echo request (ICMP, RFC 792; `ICMPv6`, RFC 4443), and the reply to it and to no other.
//!
//! The kernel's own sockets for ping are taken where the agent may (`net.ipv4.ping_group_range`), otherwise a raw one, for
//! which it needs `CAP_NET_RAW`.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, socket};
use tokio::net::UdpSocket;

use super::deadline::Deadline;
use super::failure::{Failure, Phase};
use message::Echo;

mod message;

/// Larger than any reply, with the longest IPv4 header.
const LARGEST: usize = 128;

/// Sends a request and waits for its reply.
pub(super) async fn probe(node: IpAddr, deadline: &Deadline) -> Result<(), Failure> {
    // Without a socket nothing is said about the node.
    let (socket, kind) = open(node).map_err(|error| Failure::Local(error.into()))?;
    aim(&socket, node).map_err(|error| Failure::from_echo(error.into()))?;
    let socket = UdpSocket::from_std(std::net::UdpSocket::from(socket)).map_err(Failure::Local)?;
    let echo = Echo { v6: node.is_ipv6(), token: RandomState::new().hash_one(node) };
    let answered = async { exchange(&socket, kind, node, &echo).await.map_err(Failure::from_echo) };
    deadline.hold(Phase::Answering, answered).await
}

async fn exchange(socket: &UdpSocket, kind: SockType, node: IpAddr, echo: &Echo) -> std::io::Result<()> {
    socket.send(&echo.request()).await?;
    let mut buffer = [0; LARGEST];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await?;
        let packet = buffer.get(..length).unwrap_or_default();
        let is_reply = match kind {
            // Its kernel side has put an identifier of its own into the request, and looked for it.
            SockType::Datagram => echo.is_answered_by(packet),
            _ => echo.is_answered_by_raw(packet),
        };
        if is_reply && from.ip() == node {
            return Ok(());
        }
    }
}

/// What the socket sends goes to `node`.
fn aim(socket: &OwnedFd, node: IpAddr) -> Result<(), Errno> {
    connect(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(node, 0)))
}

/// A socket of either kind, of the family of `node`.
fn open(node: IpAddr) -> Result<(OwnedFd, SockType), Errno> {
    let (family, protocol) = match node {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    match socket(family, SockType::Datagram, flags, protocol) {
        Ok(made) => Ok((made, SockType::Datagram)),
        Err(_) => Ok((socket(family, SockType::Raw, flags, protocol)?, SockType::Raw)),
    }
}

#[cfg(test)]
mod tests;
