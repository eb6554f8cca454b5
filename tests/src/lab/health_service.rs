//! A gRPC server in a namespace whose health service says what it is told to say.

use std::net::{Ipv6Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderValue};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::time::timeout;

use super::Namespace;
use super::crew::Crew;

/// How long a stop may go unnoticed.
const POLL: Duration = Duration::from_millis(50);

/// Answers every call as `grpc.health.v1.Health/Check`, on all addresses of both families, until dropped.
#[derive(Debug)]
pub struct HealthService {
    serves: Arc<AtomicBool>,
    _crew: Crew,
}

impl HealthService {
    /// Starts one on `port` (host order) inside `namespace`, which serves.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start(namespace: &Namespace, port: u16) -> Result<Self> {
        let mut crew = Crew::default();
        let serves = Arc::new(AtomicBool::new(true));
        let says = serves.clone();
        namespace.enter(|| {
            let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
                .with_context(|| format!("listen on port {port} in {}", namespace.name()))?;
            listener.set_nonblocking(true)?;
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(crew.hire(Builder::new(), move |stop| {
                // It listens already, and clients that fail are not its business.
                let _ = runtime.block_on(answer_until(stop, listener, says));
            })?)
        })?;
        Ok(Self { serves, _crew: crew })
    }

    /// What it says from now on: that it serves, or not.
    pub fn set(&self, serves: bool) {
        self.serves.store(serves, Ordering::Relaxed);
    }
}

async fn answer_until(stop: &AtomicBool, listener: TcpListener, serves: Arc<AtomicBool>) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    while !stop.load(Ordering::Relaxed) {
        if let Ok(Ok((stream, _))) = timeout(POLL, listener.accept()).await {
            tokio::spawn(answer(stream, serves.clone()));
        }
    }
    Ok(())
}

/// The client may be gone; the next one is not.
async fn answer(stream: TcpStream, serves: Arc<AtomicBool>) -> Result<()> {
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(call) = connection.accept().await {
        let (_, mut respond) = call?;
        let head = Response::builder().header("content-type", "application/grpc").body(())?;
        let mut body = respond.send_response(head, false)?;
        let status = if serves.load(Ordering::Relaxed) { 1 } else { 2 };
        // HealthCheckResponse with field 1.
        body.send_data(Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, status]), false)?;
        let trailers = HeaderMap::from_iter([("grpc-status".parse()?, HeaderValue::from_static("0"))]);
        body.send_trailers(trailers)?;
    }
    Ok(())
}
