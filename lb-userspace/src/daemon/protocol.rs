//! What is said on the agent's socket: one line of JSON each way, then the connection ends.
//!
//! ```text
//! → {"drain":{"backend":{"pool":"web-eu","address":"10.1.0.21"}}}
//! ← {"done":"web-eu/10.1.0.21 is draining: its rows go to others"}
//! → {"forceDrain":{"cluster":"us-1"}}
//! ← {"done":"cluster us-1 is draining: its rows go to others"}
//! → {"undrain":{"cluster":"us-2"}}
//! ← {"refused":"there is no cluster \"us-2\"; did you mean \"us-1\"?"}
//! → {"failback":"eu-1"}
//! ← {"done":"cluster eu-1 has back what its health allows"}
//! → {"rollout":{"name":"web-to-us","verb":"abort"}}
//! ← {"refused":"`abort` is refused, for rollout web-to-us was not started; …"}
//! → {"drill":{"run":{"name":"weekly","force":false}}}
//! ← {"done":"drill weekly keeps 1% of the hash space from us-1 for 60 s"}
//! ```
//!
//! The answer comes once the tables say so.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::model::Terms;
use crate::policy::rollout::verbs::Verb;
use crate::policy::subject::Subject;

/// Longest line in bytes, either way.
pub(super) const LONGEST: u64 = 64 * 1024;
/// How long an answer may take: the largest tables are made in less.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the agent is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Request {
    /// Give nothing new to it, unless a failover policy says that the others must be able to bear a loss, and to refuse.
    Drain(Subject),
    /// Give nothing new to it, whatever the others can bear.
    ForceDrain(Subject),
    /// Give it its share again.
    Undrain(Subject),
    /// Give this cluster's pools back at once what failover policies hold back.
    Failback(String),
    /// Say something to a rollout.
    Rollout {
        /// Its name.
        name: String,
        /// What is said.
        verb: Verb,
    },
    /// Lose a cluster for a part of the clients, or no longer.
    Drill(DrillOrder),
}

/// What is asked of drills.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum DrillOrder {
    /// Begin one that is configured.
    Run {
        /// Its name.
        name: String,
        /// Whatever the others can take.
        force: bool,
    },
    /// Begin this one.
    Fail {
        /// What is done.
        terms: Terms,
        /// Whatever the others can take.
        force: bool,
    },
    /// End the one that runs.
    Stop,
}

/// What the agent says to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Reply {
    /// It is so now.
    Done(String),
    /// Nothing changed, and why.
    Refused(String),
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// Nobody listens.
    #[error(
        "no agent answers at unix://{path} ({source}); start it, or name the socket of its `gateway.listen.admin` with --admin"
    )]
    NoAgent {
        /// The socket.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The connection broke, or took too long.
    #[error("the agent at unix://{path} did not answer: {source}")]
    Broken {
        /// The socket.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// What it says makes no sense.
    #[error("what answers at unix://{path} is no agent of this version: {source}")]
    Nonsense {
        /// The socket.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Asks the agent that listens on a socket.
///
/// # Errors
/// [`AskError`]; a refusal is an answer.
pub fn ask(socket: &Path, request: &Request) -> Result<Reply, AskError> {
    let path = || socket.display().to_string();
    let stream = UnixStream::connect(socket).map_err(|source| AskError::NoAgent { path: path(), source })?;
    let line = exchange(&stream, request).map_err(|source| AskError::Broken { path: path(), source })?;
    serde_json::from_str(&line).map_err(|source| AskError::Nonsense { path: path(), source })
}

fn exchange(mut stream: &UnixStream, request: &Request) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(LONGEST)).read_line(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_replies_are_as_documented() {
        let backend = Subject::Backend { pool: "web-eu".into(), address: [10, 1, 0, 21].into() };
        let text = r#"{"drain":{"backend":{"pool":"web-eu","address":"10.1.0.21"}}}"#;
        assert_eq!(serde_json::to_string(&Request::Drain(backend.clone())).unwrap(), text);
        assert_eq!(serde_json::from_str::<Request>(text).unwrap(), Request::Drain(backend));
        let text = r#"{"forceDrain":{"cluster":"us-2"}}"#;
        let force = Request::ForceDrain(Subject::Cluster("us-2".into()));
        assert_eq!(serde_json::from_str::<Request>(text).unwrap(), force);
        let text = r#"{"undrain":{"cluster":"us-2"}}"#;
        let undrain = Request::Undrain(Subject::Cluster("us-2".into()));
        assert_eq!(serde_json::from_str::<Request>(text).unwrap(), undrain);
        let text = r#"{"failback":"eu-1"}"#;
        assert_eq!(serde_json::to_string(&Request::Failback("eu-1".into())).unwrap(), text);
        let text = r#"{"rollout":{"name":"a","verb":"promoteFull"}}"#;
        let rollout = Request::Rollout { name: "a".into(), verb: Verb::PromoteFull };
        assert_eq!(serde_json::to_string(&rollout).unwrap(), text);
        let text = r#"{"drill":{"run":{"name":"weekly","force":false}}}"#;
        let drill = Request::Drill(DrillOrder::Run { name: "weekly".into(), force: false });
        assert_eq!(serde_json::to_string(&drill).unwrap(), text);
        assert_eq!(serde_json::to_string(&Reply::Done("x".into())).unwrap(), r#"{"done":"x"}"#);
    }

    #[test]
    fn nobody_there_is_said_with_the_mend() {
        let directory = tempfile::tempdir().unwrap();
        let request = Request::Drain(Subject::Cluster("a".into()));
        let error = ask(&directory.path().join("x.sock"), &request).unwrap_err().to_string();
        assert!(error.contains("no agent answers at unix://") && error.contains("--admin"), "{error}");
    }
}
