//! UDP: a server that answers each datagram with its name, and flows that notice who answers.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Namespace;
use super::crew::Crew;

/// How long a stop may go unnoticed.
const POLL: Duration = Duration::from_millis(50);
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longer than any name.
const LONGEST: usize = 64;

/// Answers each datagram with its name, until dropped.
#[derive(Debug)]
pub struct UdpEcho {
    _crew: Crew,
}

impl UdpEcho {
    /// Listens on `port` (host order) of these addresses inside `namespace`: answers have the address that was asked.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start(namespace: &Namespace, name: &str, addresses: &[IpAddr], port: u16) -> Result<Self> {
        let mut crew = Crew::default();
        for address in addresses {
            let socket = bound(namespace, SocketAddr::new(*address, port))?;
            socket.set_read_timeout(Some(POLL))?;
            let name = name.to_owned();
            crew.hire(Builder::new(), move |stop| answer_until(stop, &socket, &name))?;
        }
        Ok(Self { _crew: crew })
    }
}

fn bound(namespace: &Namespace, address: SocketAddr) -> Result<UdpSocket> {
    namespace.enter(|| UdpSocket::bind(address).with_context(|| format!("{address} in {}", namespace.name())))
}

fn answer_until(stop: &AtomicBool, socket: &UdpSocket, name: &str) {
    let mut datagram = [0; LONGEST];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((_, from)) = socket.recv_from(&mut datagram) {
            // An error is the client's to notice.
            let _ = socket.send_to(name.as_bytes(), from);
        }
    }
}

/// A client's socket: all that it sends is one flow.
#[derive(Debug)]
pub struct UdpFlow {
    socket: UdpSocket,
}

impl UdpFlow {
    /// A flow from `from` inside `namespace` to `to`.
    ///
    /// # Errors
    /// When the address is not there.
    pub fn open(namespace: &Namespace, from: IpAddr, to: SocketAddr) -> Result<Self> {
        let socket = bound(namespace, SocketAddr::new(from, 0))?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket })
    }

    /// Sends a datagram; the name of who answers it.
    ///
    /// # Errors
    /// When nobody does.
    pub fn ask(&self) -> io::Result<String> {
        let mut answer = [0; LONGEST];
        self.socket.send(b"who?")?;
        let length = self.socket.recv(&mut answer)?;
        Ok(String::from_utf8_lossy(answer.get(..length).unwrap_or_default()).into_owned())
    }
}
