use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;
use std::time::Duration;

use anyhow::{Context, Result};
use quinn::{
    ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, Incoming, RecvStream, SendStream,
    TokioRuntime,
};

use super::super::crew::Crew;
use super::{Namespace, QuicIdentity, runtime, socket};

/// How long a stop may go unnoticed.
const POLL: Duration = Duration::from_millis(50);
/// Most bytes that are given back at once.
const MOST: usize = 1024;

/// How a server makes connection ids (draft-ietf-quic-load-balancers-21, not encrypted).
#[derive(Debug, Clone)]
pub struct QuicIds {
    /// Number of the configuration.
    pub config: u8,
    /// Who the server is.
    pub server_id: Vec<u8>,
    /// Bytes of the nonce.
    pub nonce: usize,
}

impl ConnectionIdGenerator for QuicIds {
    fn generate_cid(&mut self) -> ConnectionId {
        // Its length behind the first byte fits five bits: an id has at most 20.
        let said = u8::try_from(self.cid_len() - 1).unwrap_or(0);
        let mut id = vec![self.config << 5 | said];
        id.extend(&self.server_id);
        while id.len() < self.cid_len() {
            // The standard library's keys differ each time, and nobody guesses them.
            id.extend(RandomState::new().build_hasher().finish().to_ne_bytes());
        }
        ConnectionId::new(&id[..self.cid_len()])
    }

    fn cid_len(&self) -> usize {
        1 + self.server_id.len() + self.nonce
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// Gives back what each stream brings, with its name in front of each piece, until dropped.
#[derive(Debug)]
pub struct QuicEcho {
    _crew: Crew,
}

impl QuicEcho {
    /// Listens on these addresses, which must be the namespace's.
    ///
    /// # Errors
    /// When one of them is taken.
    pub fn start(
        namespace: &Namespace,
        name: &str,
        addresses: &[SocketAddr],
        ids: &QuicIds,
        identity: &QuicIdentity,
    ) -> Result<Self> {
        let sockets =
            addresses.iter().map(|address| socket(namespace, *address)).collect::<Result<Vec<_>>>()?;
        let (mut config, ids, name) = (EndpointConfig::default(), ids.clone(), Arc::<str>::from(name));
        config.cid_generator(move || Box::new(ids.clone()));
        let (server, runtime, mut crew) = (identity.server()?, runtime()?, Crew::default());
        let endpoint =
            |socket| Endpoint::new(config.clone(), Some(server.clone()), socket, Arc::new(TokioRuntime));
        let endpoints = {
            let _inside = runtime.enter();
            sockets.into_iter().map(endpoint).collect::<Result<Vec<_>, _>>()?
        };
        for endpoint in endpoints {
            runtime.spawn(accept(endpoint, Arc::clone(&name)));
        }
        crew.hire(Builder::new(), move |stop| runtime.block_on(until(stop)))?;
        Ok(Self { _crew: crew })
    }
}

async fn until(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(POLL).await;
    }
}

async fn accept(endpoint: Endpoint, name: Arc<str>) {
    while let Some(incoming) = endpoint.accept().await {
        // An error is the client's to notice.
        tokio::spawn(serve(incoming, Arc::clone(&name)));
    }
}

async fn serve(incoming: Incoming, name: Arc<str>) -> Result<()> {
    let connection = incoming.await?;
    loop {
        let (send, receive) = connection.accept_bi().await?;
        tokio::spawn(answer(send, receive, Arc::clone(&name)));
    }
}

async fn answer(mut send: SendStream, mut receive: RecvStream, name: Arc<str>) -> Result<()> {
    let mut buffer = [0; MOST];
    while let Some(length) = receive.read(&mut buffer).await? {
        let said = String::from_utf8_lossy(&buffer[..length]);
        send.write_all(format!("{name} {said}").as_bytes()).await.context("answer")?;
    }
    Ok(())
}
