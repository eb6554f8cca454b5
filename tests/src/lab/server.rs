//! A real HTTP server in a namespace that says who it is.

use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, anyhow};
use tiny_http::Response;

use super::Namespace;

/// How long a stop may go unnoticed.
const POLL: Duration = Duration::from_millis(50);

/// Answers every request with 200 and its name, on all addresses of both families, until dropped.
#[derive(Debug)]
pub struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server on `port` (host order) inside `namespace`.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start(namespace: &Namespace, name: &str, port: u16) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = namespace.enter(|| {
            let http = tiny_http::Server::http((Ipv6Addr::UNSPECIFIED, port))
                .map_err(|error| anyhow!("listen on port {port} in {}: {error}", namespace.name()))?;
            let (name, stop) = (name.to_owned(), Arc::clone(&stop));
            Ok(thread::spawn(move || answer_until(&stop, &http, &name)))
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panicked server has nothing left to stop.
            let _ = thread.join();
        }
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
