use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::Failure;
use crate::daemon::protocol::{Reply, Request, Subject, ask};

/// `spillway drain` and `undrain`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
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

#[derive(Debug, Subcommand)]
enum What {
    /// One endpoint of a pool.
    Backend {
        /// The pool's name and the endpoint's address.
        #[arg(value_name = "POOL/ADDRESS", value_parser = backend)]
        backend: (String, IpAddr),
    },
    /// All pools of a cluster.
    Cluster {
        /// The cluster's name.
        name: String,
    },
}

fn socket(text: &str) -> Result<PathBuf, String> {
    let path = text.strip_prefix("unix://").filter(|path| path.starts_with('/'));
    path.map(PathBuf::from).ok_or_else(|| "write `unix://` and an absolute path".to_owned())
}

fn backend(text: &str) -> Result<(String, IpAddr), String> {
    let (pool, address) = text.split_once('/').ok_or("write it as POOL/ADDRESS")?;
    let address = address.parse().map_err(|_| format!("{address:?} is no IP address"))?;
    Ok((pool.to_owned(), address))
}

pub(super) fn drain(options: &Options) -> Result<(), Failure> {
    tell(options, Request::Drain(options.subject()))
}

pub(super) fn undrain(options: &Options) -> Result<(), Failure> {
    tell(options, Request::Undrain(options.subject()))
}

impl Options {
    fn subject(&self) -> Subject {
        match &self.what {
            What::Backend { backend: (pool, address) } => {
                Subject::Backend { pool: pool.clone(), address: *address }
            }
            What::Cluster { name } => Subject::Cluster(name.clone()),
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is the answer")]
#[expect(clippy::needless_pass_by_value, reason = "made for this call alone")]
fn tell(options: &Options, request: Request) -> Result<(), Failure> {
    match ask(&options.admin, &request).map_err(|error| anyhow!(error))? {
        Reply::Done(what) => println!("{what}"),
        Reply::Refused(reason) => return Err(anyhow!(reason).into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read() {
        assert_eq!(backend("web/10.0.0.1").unwrap(), ("web".into(), [10, 0, 0, 1].into()));
        assert_eq!(backend("web/2001:db8::1").unwrap().1, "2001:db8::1".parse::<IpAddr>().unwrap());
        assert!(backend("web").is_err() && backend("web/x").is_err());
        assert_eq!(socket("unix:///run/x.sock").unwrap(), PathBuf::from("/run/x.sock"));
        assert!(socket("/run/x.sock").is_err() && socket("unix://x").is_err());
    }
}
