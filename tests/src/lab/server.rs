//! A real HTTP server in a namespace that says who it is.

use std::convert::Infallible;
use std::net::{Ipv6Addr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hyper::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::time::timeout;

use super::Namespace;
use super::crew::Crew;

/// How long a stop may go unnoticed.
const POLL: Duration = Duration::from_millis(50);

/// Answers every request with 200 and its name, on all addresses of both families, until dropped. One that waits for its
/// client keeps nobody else waiting: what a fault leaves half open costs no request but its own.
#[derive(Debug)]
pub struct Server {
    _crew: Crew,
}

impl Server {
    /// Starts a server on `port` (host order) inside `namespace`.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start(namespace: &Namespace, name: &str, port: u16) -> Result<Self> {
        let mut crew = Crew::default();
        namespace.enter(|| {
            let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
                .with_context(|| format!("listen on port {port} in {}", namespace.name()))?;
            listener.set_nonblocking(true)?;
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let name = name.to_owned();
            Ok(crew.hire(Builder::new(), move |stop| {
                // It listens already, and clients that fail are not its business.
                let _ = runtime.block_on(answer_until(stop, listener, &name));
            })?)
        })?;
        Ok(Self { _crew: crew })
    }
}

async fn answer_until(stop: &AtomicBool, listener: TcpListener, name: &str) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    while !stop.load(Ordering::Relaxed) {
        if let Ok(Ok((stream, _))) = timeout(POLL, listener.accept()).await {
            tokio::spawn(answer(stream, name.to_owned()));
        }
    }
    Ok(())
}

/// The client may be gone; the next one is not.
async fn answer(stream: TcpStream, name: String) {
    let service = service_fn(|_| async { Ok::<_, Infallible>(Response::new(name.clone())) });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
