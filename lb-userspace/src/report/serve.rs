//! The report over HTTP/1.1, to those who may have it. Others are closed before they are read.
//!
//! A report is made at most once in [`FRESH`], by a thread of its own, for all who ask meanwhile.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use nix::sys::socket::{setsockopt, sockopt::Ipv6V6Only};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::PATH;
use crate::config::model::Prefix;

/// Connections at the same time; others wait to be taken.
const CONNECTIONS: usize = 32;
/// Connections that wait to be taken.
const BACKLOG: u32 = 128;
/// How long a client may take from the connection to the answer's end.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a report is one.
const FRESH: Duration = Duration::from_secs(1);
/// How long it may take to make one; gateways wait for two seconds.
const MAKING: Duration = Duration::from_millis(1500);
/// Bytes of a request's head.
const HEAD: usize = 8 << 10;
/// After the kernel gave no connection, for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// Makes the text, and may take its time.
pub type Source = Arc<dyn Fn() -> Result<Vec<u8>, String> + Send + Sync>;

/// Who may have the report: the prefixes, and this machine itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clients(pub Vec<Prefix>);

impl Clients {
    fn has(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        client.is_loopback() || self.0.iter().any(|prefix| prefix.holds(client))
    }
}

/// Listens on a port of all addresses: of both families, or of IPv4 alone where there is no other.
///
/// # Errors
/// What the kernel said.
pub fn listen(port: u16) -> io::Result<TcpListener> {
    match TcpSocket::new_v6() {
        Ok(socket) => {
            setsockopt(&socket, Ipv6V6Only, &false)?;
            bound(&socket, SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port))?;
            socket.listen(BACKLOG)
        }
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
            let socket = TcpSocket::new_v4()?;
            bound(&socket, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))?;
            socket.listen(BACKLOG)
        }
        Err(error) => Err(error),
    }
}

fn bound(socket: &TcpSocket, address: SocketAddr) -> io::Result<()> {
    socket.set_reuseaddr(true)?;
    socket.bind(address)
}

/// Serves for ever those who are `clients` when they come; dropped, it closes all connections.
pub async fn serve(listener: TcpListener, clients: watch::Receiver<Clients>, source: Source) {
    let (room, kitchen) = (Arc::new(Semaphore::new(CONNECTIONS)), Arc::new(Kitchen::new(source)));
    let mut connections = JoinSet::new();
    loop {
        // Nothing closes the semaphore.
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, client)) if clients.borrow().has(client.ip()) => {
                let kitchen = kitchen.clone();
                connections.spawn(async move {
                    attend(stream, kitchen).await;
                    drop(permit);
                });
            }
            Ok((_, client)) => debug!(event = "report", %client, "is no gateway, and is closed"),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// One request. A client that is too slow, or whose request is none, is closed.
async fn attend(stream: TcpStream, kitchen: Arc<Kitchen>) {
    let answer = service_fn(|request| {
        let kitchen = kitchen.clone();
        async move { Ok::<_, Infallible>(answer(&request, &kitchen).await) }
    });
    let mut http = http1::Builder::new();
    http.keep_alive(false).max_buf_size(HEAD);
    // How it ends is the client's concern.
    _ = timeout(PATIENCE, http.serve_connection(TokioIo::new(stream), answer)).await;
}

async fn answer(request: &Request<Incoming>, kitchen: &Kitchen) -> Response<Full<Bytes>> {
    if request.uri().path() != PATH {
        return said(StatusCode::NOT_FOUND, format!("there is {PATH} and nothing else\n"));
    }
    if request.method() != Method::GET {
        return said(StatusCode::METHOD_NOT_ALLOWED, "it can be got, and nothing else\n");
    }
    if !request.body().is_end_stream() {
        return said(StatusCode::BAD_REQUEST, "the request has a body\n");
    }
    match kitchen.report().await {
        Ok(text) => {
            let mut response = Response::new(Full::new(text));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(reason) => said(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

fn said(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
}

type Made = Result<Bytes, String>;

/// Where reports are made.
struct Kitchen {
    source: Source,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: Option<(Instant, Made)>,
    /// One that is being made, perhaps for somebody who no longer waits.
    making: Option<JoinHandle<Made>>,
}

impl Kitchen {
    fn new(source: Source) -> Self {
        Self { source, state: Mutex::default() }
    }

    /// The last one while it is fresh, or another.
    async fn report(&self) -> Made {
        // Who asks meanwhile waits here.
        let mut state = self.state.lock().await;
        if let Some((made, report)) = &state.last
            && made.elapsed() < FRESH
        {
            return report.clone();
        }
        let source = self.source.clone();
        let making = state.making.get_or_insert_with(|| spawn_blocking(move || source().map(Bytes::from)));
        let made = match timeout(MAKING, making).await {
            Err(_) => return Err("it takes too long to count".to_owned()),
            Ok(Err(_)) => Err("it cannot be counted".to_owned()),
            Ok(Ok(made)) => made,
        };
        *state = State { last: Some((Instant::now(), made.clone())), making: None };
        made
    }
}

#[cfg(test)]
mod tests;
