//! Connections that the kernel program for probes encapsulates to one node.
//!
//! The socket's mark says to which ([`ProbeMark`]). It sends to the VIP by whatever route this machine has there, and on
//! the interface of that route the program sees it. It is not bound to the interface: the answer comes from the VIP,
//! straight to this machine, and perhaps by another.

use super::checker::Target;
use super::probe::Failure;
use lb_common::abi::ProbeMark;
use nix::errno::Errno;
use nix::sys::socket::sockopt::{Ipv4Ttl, Ipv6Ttl, Mark, TcpMaxSeg};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect as begin, setsockopt, socket,
};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::net::TcpStream;

/// Hops that what is sent may take as it is: none behind this machine. The program allows it more.
const HOPS: u8 = 1;
/// The shortest segment that the kernel lets a socket ask for, in bytes.
const LEAST_SEGMENT: u16 = 88;

/// How packets get to a node through its tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// What the kernel program knows the node by.
    pub mark: ProbeMark,
    /// The longest segments of TCP that fit the tunnel, in bytes.
    pub segment: u16,
}

/// The ways that are known now. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Ways(Arc<RwLock<HashMap<Target, Way>>>);

impl Ways {
    /// The way to a node.
    pub fn to(&self, target: &Target) -> Option<Way> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(target).copied()
    }

    /// From now on these are known, and no others.
    pub fn set(&self, ways: HashMap<Target, Way>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ways;
    }
}

/// Connects to a VIP at one node.
///
/// # Errors
/// [`Failure::Local`] if no packet left; otherwise what came of it.
pub(super) async fn connect(way: Way, vip: SocketAddr) -> Result<TcpStream, Failure> {
    let socket = open(way, vip).map_err(|error| Failure::Local(error.into()))?;
    let stream = TcpStream::from_std(std::net::TcpStream::from(socket)).map_err(Failure::Local)?;
    stream.writable().await.map_err(Failure::from_connect)?;
    match stream.take_error() {
        Ok(None) => Ok(stream),
        Ok(Some(error)) | Err(error) => Err(Failure::from_connect(error)),
    }
}

/// A socket that is on its way. What is wrong so early is wrong here: no route, no address of the family.
fn open(way: Way, vip: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if vip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, None)?;
    setsockopt(&socket, Mark, &way.mark.number())?;
    setsockopt(&socket, TcpMaxSeg, &way.segment.max(LEAST_SEGMENT).into())?;
    if vip.is_ipv4() {
        setsockopt(&socket, Ipv4Ttl, &HOPS.into())?;
    } else {
        setsockopt(&socket, Ipv6Ttl, &HOPS.into())?;
    }
    match begin(socket.as_raw_fd(), &SockaddrStorage::from(vip)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn ways_are_shared_and_exchanged_as_a_whole() {
        let (ways, seen) = {
            let ways = Ways::default();
            (ways.clone(), ways)
        };
        let target = |host| Target { pool: "web".into(), address: IpAddr::from([192, 0, 2, host]) };
        let way = |backend| Way { mark: ProbeMark::of(backend), segment: 1400 };
        ways.set([(target(1), way(1))].into());
        assert_eq!((seen.to(&target(1)), seen.to(&target(2))), (Some(way(1)), None));
        ways.set([(target(2), way(2))].into());
        assert_eq!((seen.to(&target(1)), seen.to(&target(2))), (None, Some(way(2))));
    }

    #[tokio::test]
    async fn what_is_wrong_at_once_is_wrong_here() {
        let way = Way { mark: ProbeMark::of(1), segment: 1400 };
        // Without a privilege the mark is refused, with it a broadcast address.
        let error = connect(way, SocketAddr::from(([255; 4], 1))).await.unwrap_err();
        assert!(error.is_local(), "{error}");
    }
}
