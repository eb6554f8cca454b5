//! Echo requests to this machine.

use super::*;
use std::time::Duration;

/// Whether the kernel lets these tests have a socket; says why not.
fn is_allowed(node: IpAddr) -> bool {
    let made = open(node);
    if let Err(error) = &made {
        println!("SKIP: no socket for echo requests to {node}: {error}");
    }
    made.is_ok()
}

#[tokio::test]
async fn this_machine_answers() {
    for node in ["127.0.0.1", "::1"].map(|node| node.parse().unwrap()) {
        if is_allowed(node) {
            probe(node, &Deadline::after(Duration::from_secs(20))).await.expect("an answer");
        }
    }
}

#[tokio::test]
async fn raw_sockets_do_as_well() {
    for node in ["127.0.0.1", "::1"].map(|node| node.parse().unwrap()) {
        let protocol = if IpAddr::is_ipv4(&node) { SockProtocol::Icmp } else { SockProtocol::IcmpV6 };
        let family = if IpAddr::is_ipv4(&node) { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let Ok(made) = socket(family, SockType::Raw, flags, protocol) else {
            println!("SKIP: raw sockets need CAP_NET_RAW");
            return;
        };
        connect(made.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(node, 0))).unwrap();
        let socket = UdpSocket::from_std(std::net::UdpSocket::from(made)).unwrap();
        let echo = Echo { v6: node.is_ipv6(), token: 0x0123_4567_89ab_cdef };
        let answered = exchange(&socket, SockType::Raw, node, &echo);
        tokio::time::timeout(Duration::from_secs(20), answered).await.expect("in time").expect("an answer");
    }
}

#[tokio::test]
async fn probes_of_one_node_at_once_have_replies_of_their_own() {
    let node = "127.0.0.1".parse().unwrap();
    if is_allowed(node) {
        let deadline = Deadline::after(Duration::from_secs(20));
        let probes = (0..50).map(|_| probe(node, &deadline));
        assert!(futures::future::join_all(probes).await.iter().all(Result::is_ok));
    }
}

#[tokio::test]
async fn somebody_elses_reply_is_not_the_nodes() {
    // The socket is connected to 127.0.0.2, which answers; but it is 127.0.0.3 that is to.
    let node = IpAddr::from([127, 0, 0, 2]);
    if is_allowed(node) {
        let (socket, kind) = open(node).unwrap();
        aim(&socket, node).unwrap();
        let socket = UdpSocket::from_std(std::net::UdpSocket::from(socket)).unwrap();
        let echo = Echo { v6: false, token: 1 };
        let other = IpAddr::from([127, 0, 0, 3]);
        let answered = exchange(&socket, kind, other, &echo);
        assert!(tokio::time::timeout(Duration::from_millis(200), answered).await.is_err());
    }
}
