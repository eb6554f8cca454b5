//! A real HTTP client: single requests, and a steady load of them from inside a namespace.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

use super::Namespace;
use super::crew::Crew;

/// Longest wait for each step of a request: connecting, the answer's head, its body.
const PATIENCE: Duration = Duration::from_millis(500);
/// Source ports of loads are this one and all above, one after the other.
const FIRST_PORT: u16 = 1 << 15;
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);
/// How many of them are tried: other sockets of the namespace have some.
const TRIES: usize = 16;

/// What became of one request.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// When it was begun.
    pub started: SystemTime,
    /// Who answered, or why nobody did.
    pub answer: Result<String, String>,
}

impl Outcome {
    /// Whether somebody answered.
    pub fn is_ok(&self) -> bool {
        self.answer.is_ok()
    }
}

/// Threads that send requests, each over a new connection, until stopped or dropped.
#[derive(Debug)]
pub struct Load {
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    crew: Crew,
}

impl Load {
    /// Starts `threads` senders inside `namespace` that together make `rate` requests per second,
    /// fewer while requests hang.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or a thread not be made.
    pub fn start(namespace: &Namespace, to: SocketAddr, threads: u16, rate: u32) -> Result<Self> {
        Self::patient(PATIENCE, namespace, to, threads, rate)
    }

    /// The same with another patience for each step of a request.
    ///
    /// # Errors
    /// As of [`Load::start`].
    pub fn patient(
        patience: Duration,
        namespace: &Namespace,
        to: SocketAddr,
        threads: u16,
        rate: u32,
    ) -> Result<Self> {
        let mut load = Self { outcomes: Arc::default(), crew: Crew::default() };
        let pace = Duration::from_secs(1) * u32::from(threads) / rate;
        namespace.enter(|| {
            (0..threads).try_for_each(|_| {
                let outcomes = Arc::clone(&load.outcomes);
                let send = move |stop: &Arc<AtomicBool>| send_until(stop, &outcomes, (to, patience), pace);
                Ok(load.crew.hire(Builder::new(), send)?)
            })
        })?;
        Ok(load)
    }

    /// All requests that have ended by now, in the order of their ends.
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests have ended by now.
    pub fn count(&self) -> usize {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Stops sending, waits for the requests under way, returns all.
    pub fn finish(mut self) -> Vec<Outcome> {
        self.crew.dismiss();
        self.outcomes()
    }
}

/// One GET over a new connection from inside `namespace`; the answer's body.
///
/// # Errors
/// When there is no answer with a status below 400 within about a second.
pub fn fetch(namespace: &Namespace, to: SocketAddr, path: &str) -> Result<String> {
    fetch_within(PATIENCE, namespace, to, path)
}

/// The same with another patience for each step of the request.
///
/// # Errors
/// When there is no answer with a status below 400.
pub fn fetch_within(patience: Duration, namespace: &Namespace, to: SocketAddr, path: &str) -> Result<String> {
    namespace.enter(|| get(&connection_per_request(patience), &url(to, path)))
}

/// One GET from this address and port, which may have had a connection a moment ago; the answer's body, whatever its status.
///
/// # Errors
/// When there is no answer within about a second.
pub fn fetch_from(namespace: &Namespace, from: SocketAddr, to: SocketAddr) -> Result<String> {
    Ok(namespace.enter(|| get_over(socket_at(from, PATIENCE)?, to))?.1)
}

/// A TCP socket at this address and port, with this patience for each step.
fn socket_at(from: SocketAddr, patience: Duration) -> Result<OwnedFd> {
    let family = if from.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let made = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&made, sockopt::ReuseAddr, &true)?;
    let patience = TimeVal::microseconds(patience.as_micros().try_into()?);
    setsockopt(&made, sockopt::SendTimeout, &patience)?;
    setsockopt(&made, sockopt::ReceiveTimeout, &patience)?;
    bind(made.as_raw_fd(), &SockaddrStorage::from(from)).with_context(|| format!("bind {from}"))?;
    Ok(made)
}

/// One GET by this socket; the answer's head and body.
fn get_over(socket: OwnedFd, to: SocketAddr) -> Result<(String, String)> {
    connect(socket.as_raw_fd(), &SockaddrStorage::from(to)).with_context(|| format!("connect to {to}"))?;
    let mut stream = TcpStream::from(socket);
    write!(stream, "GET / HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("read the answer of {to}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    Ok((head.to_owned(), body.to_owned()))
}

/// One GET from a port that no load has had for long; the body of an answer that says that all is well.
fn get_anew(to: SocketAddr, patience: Duration) -> Result<String> {
    let (head, body) = get_over(fresh_socket(to, patience)?, to)?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "answered {head}");
    Ok(body)
}

/// A socket of a family whose port no load has had for long: the kernel's choice jumps every ten seconds
/// (`secure_ipv4_port_ephemeral`), and a port that comes again soon finds the record of the connection before, with a
/// backend that its row has left meanwhile (docs/connections.md).
fn fresh_socket(like: SocketAddr, patience: Duration) -> Result<OwnedFd> {
    let any: IpAddr =
        if like.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let port = || FIRST_PORT | NEXT_PORT.fetch_add(1, Ordering::Relaxed);
    let mut made = (0..TRIES).map(|_| socket_at(SocketAddr::new(any, port()), patience));
    made.find(Result::is_ok).unwrap_or_else(|| bail!("no port is free"))
}

fn send_until(
    stop: &AtomicBool,
    outcomes: &Mutex<Vec<Outcome>>,
    (to, patience): (SocketAddr, Duration),
    pace: Duration,
) {
    while !stop.load(Ordering::Relaxed) {
        let (started, clock) = (SystemTime::now(), Instant::now());
        let answer = get_anew(to, patience).map_err(|error| format!("{error:#}"));
        outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(Outcome { started, answer });
        thread::sleep(pace.saturating_sub(clock.elapsed()));
    }
}

/// An HTTP client that keeps no connection, heeds no proxy and does not wait long.
fn connection_per_request(patience: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .proxy(None)
        .max_idle_connections(0)
        .timeout_connect(Some(patience))
        .timeout_recv_response(Some(patience))
        .timeout_recv_body(Some(patience))
        .build()
        .into()
}

fn url(to: SocketAddr, path: &str) -> String {
    format!("http://{to}{path}")
}

fn get(agent: &ureq::Agent, url: &str) -> Result<String> {
    let mut response =
        agent.get(url).header("Connection", "close").call().with_context(|| format!("GET {url}"))?;
    response.body_mut().read_to_string().with_context(|| format!("read the answer of {url}"))
}
