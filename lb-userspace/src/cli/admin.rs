//! What verbs share that ask a running agent.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;

use super::Failure;
use crate::daemon::protocol::{Reply, Request, ask};

/// Where the agent listens.
#[derive(Debug, Args)]
pub(super) struct Admin {
    /// The agent's socket, as in its `gateway.listen.admin`.
    #[arg(
        long,
        global = true,
        value_name = "unix://PATH",
        default_value = "unix:///run/spillway.sock",
        value_parser = socket
    )]
    admin: PathBuf,
}

impl Admin {
    /// Asks the agent, and prints its answer.
    #[expect(clippy::print_stdout, reason = "this is the answer")]
    pub(super) fn tell(&self, request: &Request) -> Result<(), Failure> {
        match ask(&self.admin, request).map_err(|error| anyhow!(error))? {
            Reply::Done(what) => println!("{what}"),
            Reply::Refused(reason) => return Err(anyhow!(reason).into()),
        }
        Ok(())
    }
}

fn socket(text: &str) -> Result<PathBuf, String> {
    let path = text.strip_prefix("unix://").filter(|path| path.starts_with('/'));
    path.map(PathBuf::from).ok_or_else(|| "write `unix://` and an absolute path".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_named_by_an_absolute_path() {
        assert_eq!(socket("unix:///run/x.sock").unwrap(), PathBuf::from("/run/x.sock"));
        assert!(socket("/run/x.sock").is_err() && socket("unix://x").is_err());
    }
}
