use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use quinn::{Connection, Endpoint, EndpointConfig, RecvStream, SendStream, TokioRuntime};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::{NAME, Namespace, QuicIdentity, runtime, socket};

/// Longest wait for a handshake.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const ANSWER: usize = 64;

/// Connections with one stream each, every one from a port of its own. They live while they are spoken with.
#[derive(Debug)]
pub struct QuicTalks {
    all: Vec<Talk>,
    said: u32,
    runtime: Runtime,
}

/// A connection and its stream.
#[derive(Debug)]
struct Talk {
    endpoint: Endpoint,
    // Closed if dropped.
    _connection: Connection,
    send: SendStream,
    receive: RecvStream,
    /// Who answered first; empty: nobody yet.
    node: String,
    /// What ended it.
    broken: Option<String>,
}

impl QuicTalks {
    /// Opens `count` connections from an address of the namespace.
    ///
    /// # Errors
    /// When a handshake does not come to an end.
    pub fn open(
        namespace: &Namespace,
        from: IpAddr,
        to: SocketAddr,
        count: usize,
        identity: &QuicIdentity,
    ) -> Result<Self> {
        let runtime = runtime()?;
        let open = |_| {
            let socket = socket(namespace, SocketAddr::new(from, 0))?;
            runtime.block_on(async {
                let mut endpoint =
                    Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime))?;
                endpoint.set_default_client_config(identity.client()?);
                timeout(PATIENCE, Talk::open(endpoint, to)).await.context("no handshake")?
            })
        };
        let all = (0..count).map(open).collect::<Result<_>>()?;
        Ok(Self { all, said: 0, runtime })
    }

    /// All connections go on from other ports, of an address of the namespace.
    ///
    /// # Errors
    /// When there is no such address.
    pub fn move_to(&mut self, namespace: &Namespace, from: IpAddr) -> Result<()> {
        let _inside = self.runtime.enter();
        for talk in &self.all {
            talk.endpoint.rebind(socket(namespace, SocketAddr::new(from, 0))?)?;
        }
        Ok(())
    }

    /// Says something on each stream and waits so long for the answer. Returns by whom each was answered, or what
    /// ended it, now or before.
    pub fn speak(&mut self, patience: Duration) -> Vec<Result<String, String>> {
        self.said += 1;
        let said = self.said;
        let before = std::mem::take(&mut self.all);
        self.all = self.runtime.block_on(async {
            let speak = |talk: Talk| tokio::spawn(talk.speak(said, patience));
            let speaking: Vec<_> = before.into_iter().map(speak).collect();
            let mut after = Vec::new();
            for talk in speaking {
                // One that panicked is missing in the result.
                after.extend(talk.await);
            }
            after
        });
        self.all.iter().map(|talk| talk.broken.clone().map_or(Ok(talk.node.clone()), Err)).collect()
    }
}

impl Talk {
    async fn open(endpoint: Endpoint, to: SocketAddr) -> Result<Self> {
        let connection = endpoint.connect(to, NAME)?.await?;
        let (send, receive) = connection.open_bi().await?;
        Ok(Self { endpoint, _connection: connection, send, receive, node: String::new(), broken: None })
    }

    async fn speak(mut self, said: u32, patience: Duration) -> Self {
        if self.broken.is_none() {
            let answered = timeout(patience, self.ask(said)).await.context("no answer").flatten();
            self.broken = answered.err().map(|error| format!("{error:#}"));
        }
        self
    }

    async fn ask(&mut self, said: u32) -> Result<()> {
        let (mut answer, said) = (String::new(), format!("{said}\n"));
        self.send.write_all(said.as_bytes()).await?;
        while !answer.ends_with('\n') {
            let mut buffer = [0; ANSWER];
            let length = self.receive.read(&mut buffer).await?.context("the stream's end")?;
            answer.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        let (node, echo) = answer.split_once(' ').context("an answer without a name")?;
        ensure!(echo == said, "{echo:?} in answer to {said:?}");
        ensure!(self.node.is_empty() || self.node == node, "{node} answers instead of {}", self.node);
        node.clone_into(&mut self.node);
        Ok(())
    }
}
