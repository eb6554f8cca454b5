//! `pools`: a service's nodes in one cluster.

use std::net::IpAddr;

use schemars::JsonSchema;

use super::breaker::CircuitBreaker;
use super::outlier::Outlier;
use super::quic::WrittenId;
use crate::config::model::Algorithm;
use crate::config::problem::{Place, Problems};
use crate::config::read::{List, Located, Read, Refused, Required, Section};
use crate::config::scalar::{Choice, Integer, Size, Time, Word};
use crate::config::tree::Node;

/// A service's nodes in one cluster.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Pool {
    /// A DNS label, unique.
    pub(crate) name: Required<String>,
    /// Name of its cluster.
    pub(crate) cluster: Required<String>,
    /// Share among a service's pools; 0 takes no new flows.
    #[schemars(range(min = 0, max = 65535), extend("default" = 100))]
    pub(crate) weight: Option<Located<Integer>>,
    /// Rows of its table: a power of two from 256 to 1Mi, fixed when the pool is made.
    #[schemars(extend("default" = 65536))]
    pub(crate) rows: Option<Located<Size>>,
    /// How its table's rows are given to its nodes.
    #[schemars(extend("default" = "maglev"))]
    pub(crate) algorithm: Option<Located<Choice<Algorithm>>>,
    /// Its nodes; no address twice.
    pub(crate) endpoints: Required<List<Endpoint>>,
    /// Name of its health check; without one its nodes count as up.
    pub(crate) health: Option<Located<String>>,
    /// When clients' packets take a node out for a while; never when left out.
    pub(crate) outlier: Option<Located<Outlier>>,
    /// When clients' packets take the whole pool out for a while; never when left out.
    pub(crate) circuit_breaker: Option<Located<CircuitBreaker>>,
    /// Time in which a node that comes up grows from a tenth of its weight to all of it; `0s`: it has all at once.
    #[schemars(extend("default" = "0s"))]
    pub(crate) slow_start: Option<Located<Time>>,
}

const REFUSED: &[Refused] =
    &[("source", "list the nodes under `endpoints`"), ("drain", "remove it; a weight of 0 stops new flows")];

impl Read for Pool {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let pool = Self {
            name: section.required("name"),
            cluster: section.required("cluster"),
            weight: section.optional("weight"),
            rows: section.optional("rows"),
            algorithm: section.optional("algorithm"),
            endpoints: section.required("endpoints"),
            health: section.optional("health"),
            outlier: section.optional("outlier"),
            circuit_breaker: section.optional("circuitBreaker"),
            slow_start: section.optional("slowStart"),
        };
        section.close(REFUSED);
        Some(pool)
    }
}

impl Word for Algorithm {
    const KNOWN: &'static [(&'static str, Self)] = &[("maglev", Self::Maglev), ("hrw", Self::Hrw)];
}

/// A node of a pool.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Endpoint {
    /// Destination of the outer header.
    pub(crate) address: Required<IpAddr>,
    /// Share within the pool; 0 takes no new flows.
    #[schemars(range(min = 0, max = 65535), extend("default" = 1))]
    pub(crate) weight: Option<Located<Integer>>,
    /// Who it is by its QUIC connection ids, for services with `quic`; unique in a service.
    pub(crate) server_id: Option<Located<WrittenId>>,
}

impl Read for Endpoint {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let endpoint = Self {
            address: section.required("address"),
            weight: section.optional("weight"),
            server_id: section.optional("serverId"),
        };
        section.close(&[]);
        Some(endpoint)
    }
}
