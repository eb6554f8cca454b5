//! What an operator can name: an endpoint of a pool, or a cluster.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::model::Config;
use crate::config::unknown;

/// What is drained, or fails.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Subject {
    /// An endpoint of a pool.
    Backend {
        /// The pool's name.
        pool: String,
        /// The endpoint's address.
        address: IpAddr,
    },
    /// All pools of a cluster.
    Cluster(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend { pool, address } => write!(f, "{pool}/{address}"),
            Self::Cluster(name) => write!(f, "cluster {name}"),
        }
    }
}

/// `POOL/ADDRESS` or `CLUSTER`.
impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((pool, address)) = text.split_once('/') else { return Ok(Self::Cluster(text.to_owned())) };
        let address = address.parse().map_err(|_| format!("{address:?} is no IP address"))?;
        Ok(Self::Backend { pool: pool.to_owned(), address })
    }
}

impl Subject {
    /// Whether it is configured.
    ///
    /// # Errors
    /// What there is instead.
    pub fn known(&self, config: &Config) -> Result<(), String> {
        match self {
            Self::Backend { pool, address } => backend(pool, *address, config),
            Self::Cluster(name) => {
                let mut names = config.clusters.iter().map(|cluster| cluster.name.as_str());
                let all = names.clone();
                if names.any(|known| known == name) { Ok(()) } else { Err(unknown("cluster", name, all)) }
            }
        }
    }

    /// Names of the pools that it is, or is of.
    pub fn pools<'a>(&'a self, config: &'a Config) -> BTreeSet<&'a str> {
        match self {
            Self::Backend { pool, .. } => BTreeSet::from([pool.as_str()]),
            Self::Cluster(name) => {
                let pools = config.pools.iter().filter(|pool| pool.cluster == *name);
                pools.map(|pool| pool.name.as_str()).collect()
            }
        }
    }
}

fn backend(pool: &str, address: IpAddr, config: &Config) -> Result<(), String> {
    let Some(found) = config.pools.iter().find(|known| known.name == pool) else {
        return Err(unknown("pool", pool, config.pools.iter().map(|pool| pool.name.as_str())));
    };
    let addresses: Vec<_> = found.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect();
    if addresses.contains(&address.to_string()) {
        return Ok(());
    }
    let of = format!("endpoint of pool {pool}");
    Err(unknown(&of, &address.to_string(), addresses.iter().map(String::as_str)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_slash_is_an_endpoint() {
        let backend = |pool: &str, address: &str| {
            Ok(Subject::Backend { pool: pool.into(), address: address.parse().unwrap() })
        };
        assert_eq!("web/192.0.2.1".parse(), backend("web", "192.0.2.1"));
        assert_eq!("web/2001:db8::1".parse(), backend("web", "2001:db8::1"));
        assert_eq!("eu-1".parse(), Ok(Subject::Cluster("eu-1".into())));
        assert_eq!("web/x".parse::<Subject>(), Err("\"x\" is no IP address".to_owned()));
    }
}
