use std::net::IpAddr;

use clap::{Args, Subcommand};

use super::Failure;
use super::admin::Admin;
use crate::daemon::protocol::{Request, Subject};

/// `spillway drain` and `undrain`.
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
        backend: (String, IpAddr),
    },
    /// All pools of a cluster.
    Cluster {
        /// The cluster's name.
        name: String,
    },
}

fn backend(text: &str) -> Result<(String, IpAddr), String> {
    let (pool, address) = text.split_once('/').ok_or("write it as POOL/ADDRESS")?;
    let address = address.parse().map_err(|_| format!("{address:?} is no IP address"))?;
    Ok((pool.to_owned(), address))
}

pub(super) fn drain(options: &Options) -> Result<(), Failure> {
    options.admin.tell(&Request::Drain(options.subject()))
}

pub(super) fn undrain(options: &Options) -> Result<(), Failure> {
    options.admin.tell(&Request::Undrain(options.subject()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read() {
        assert_eq!(backend("web/10.0.0.1").unwrap(), ("web".into(), [10, 0, 0, 1].into()));
        assert_eq!(backend("web/2001:db8::1").unwrap().1, "2001:db8::1".parse::<IpAddr>().unwrap());
        assert!(backend("web").is_err() && backend("web/x").is_err());
    }
}
