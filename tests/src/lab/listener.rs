//! A TCP server in a namespace: a thread for each connection, until it is told to stop.

use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Builder};
use std::time::Duration;

use anyhow::{Context, Result};

use super::Namespace;
use super::crew::Crew;

/// How long a stop may go unnoticed.
pub(super) const POLL: Duration = Duration::from_millis(50);
/// Enough for a thread that holds a line.
const STACK: usize = 128 << 10;

/// Listens on `port` (host order) of all addresses of both families inside `namespace`. `answer` has each connection, with
/// its client and a flag after which it is to return soon; an error of its is the client's to notice.
///
/// # Errors
/// When the port is taken.
pub(super) fn serve<F>(namespace: &Namespace, port: u16, answer: F) -> Result<Crew>
where
    F: Fn(&AtomicBool, &TcpStream, SocketAddr) -> Result<()> + Clone + Send + 'static,
{
    let mut crew = Crew::default();
    namespace.enter(|| {
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
            .with_context(|| format!("listen on port {port} in {}", namespace.name()))?;
        listener.set_nonblocking(true)?;
        Ok(crew.hire(Builder::new(), move |stop| accept_until(stop, &listener, &answer))?)
    })?;
    Ok(crew)
}

fn accept_until<F>(stop: &Arc<AtomicBool>, listener: &TcpListener, answer: &F)
where
    F: Fn(&AtomicBool, &TcpStream, SocketAddr) -> Result<()> + Clone + Send + 'static,
{
    while !stop.load(Ordering::Relaxed) {
        let Ok((stream, client)) = listener.accept() else {
            thread::sleep(POLL);
            continue;
        };
        let (stop, answer) = (Arc::clone(stop), answer.clone());
        let _ = Builder::new().stack_size(STACK).spawn(move || {
            stream.set_nonblocking(false)?;
            answer(&stop, &stream, client)
        });
    }
}
