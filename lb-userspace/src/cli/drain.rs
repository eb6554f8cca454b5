use clap::{Args, Subcommand};

use super::Failure;
use super::admin::Admin;
use crate::daemon::protocol::Request;
use crate::policy::subject::Subject;

/// `spillway drain`.
#[derive(Debug, Args)]
pub(super) struct Drain {
    #[command(flatten)]
    options: Options,
    /// Drain it even if a failover policy refuses that, for what is left could not bear the losses that it is to bear.
    #[arg(long, global = true)]
    force: bool,
}

/// `spillway undrain`, and what both have.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One endpoint of a pool.
    Backend {
        /// The pool's name and the endpoint's address.
        #[arg(value_name = "POOL/ADDRESS", value_parser = backend)]
        backend: Subject,
    },
    /// All pools of a cluster.
    Cluster {
        /// The cluster's name.
        name: String,
    },
}

fn backend(text: &str) -> Result<Subject, String> {
    match text.parse()? {
        Subject::Cluster(_) => Err("write it as POOL/ADDRESS".to_owned()),
        subject @ Subject::Backend { .. } => Ok(subject),
    }
}

pub(super) fn drain(Drain { options, force }: &Drain) -> Result<(), Failure> {
    let request = if *force { Request::ForceDrain } else { Request::Drain };
    options.admin.tell(&request(options.subject()))
}

pub(super) fn undrain(options: &Options) -> Result<(), Failure> {
    options.admin.tell(&Request::Undrain(options.subject()))
}

impl Options {
    fn subject(&self) -> Subject {
        match &self.what {
            What::Backend { backend } => backend.clone(),
            What::Cluster { name } => Subject::Cluster(name.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read() {
        let web = Subject::Backend { pool: "web".into(), address: [10, 0, 0, 1].into() };
        assert_eq!(backend("web/10.0.0.1").unwrap(), web);
        assert!(backend("web").is_err() && backend("web/x").is_err());
    }
}
