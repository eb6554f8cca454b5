//! A real HTTP server in a namespace that says who it is.

use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tiny_http::Response;

use super::Namespace;
use super::crew::Crew;

/// How long a stop may go unnoticed.
const POLL: Duration = Duration::from_millis(50);

/// Answers every request with 200 and its name, on all addresses of both families, until dropped.
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
            let http = tiny_http::Server::http((Ipv6Addr::UNSPECIFIED, port))
                .map_err(|error| anyhow!("listen on port {port} in {}: {error}", namespace.name()))?;
            let name = name.to_owned();
            Ok(crew.hire(Builder::new(), move |stop| answer_until(stop, &http, &name))?)
        })?;
        Ok(Self { _crew: crew })
    }
}

fn answer_until(stop: &AtomicBool, http: &tiny_http::Server, name: &str) {
    while !stop.load(Ordering::Relaxed) {
        if let Ok(Some(request)) = http.recv_timeout(POLL) {
            // The client may be gone; the next one is not.
            let _ = request.respond(Response::from_string(name));
        }
    }
}
