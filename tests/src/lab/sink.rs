//! A server that takes what it is sent, and says at the end who it is, how much came, and from whom.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Namespace;
use super::crew::Crew;
use super::listener::serve;

/// Longest wait for a client that says nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Takes each connection to its end and answers with a [`Taken`], until dropped.
#[derive(Debug)]
pub struct Sink {
    _crew: Crew,
}

/// What a [`Sink`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The server's name.
    pub name: String,
    /// Bytes that came.
    pub bytes: usize,
    /// Whom it saw them come from.
    pub client: IpAddr,
}

impl Sink {
    /// Listens on `port` (host order) of all addresses of both families inside `namespace`.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start(namespace: &Namespace, name: &str, port: u16) -> Result<Self> {
        let name = name.to_owned();
        Ok(Self {
            _crew: serve(namespace, port, move |stop, stream, client| take(stop, stream, client, &name))?,
        })
    }
}

impl Taken {
    /// Sends so many bytes, and hears what became of them.
    ///
    /// # Errors
    /// When they do not come through within `patience`, counted anew for each piece.
    pub fn of(mut stream: TcpStream, bytes: usize, patience: Duration) -> Result<Self> {
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.write_all(&vec![7; bytes]).context("send")?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("hear what became of it")?;
        let words: Vec<_> = answer.split(' ').collect();
        let [name, bytes, client] = words[..] else { anyhow::bail!("the answer is {answer:?}") };
        Ok(Self { name: name.to_owned(), bytes: bytes.parse()?, client: client.parse()? })
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.bytes, self.client)
    }
}

fn take(stop: &AtomicBool, mut stream: &TcpStream, client: SocketAddr, name: &str) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut buffer, mut bytes) = (vec![0; 64 << 10], 0);
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut buffer)? {
            0 => break,
            more => bytes += more,
        }
    }
    let taken = Taken { name: name.to_owned(), bytes, client: client.ip().to_canonical() };
    Ok(write!(stream, "{taken}")?)
}
