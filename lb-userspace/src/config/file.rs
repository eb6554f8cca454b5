//! The file as written: strict sections, one struct each. What may be left out is an `Option` here;
//! defaults and all checks of values are [`super::validate`]'s.

mod access;
mod analyses;
mod breaker;
mod checks;
mod clusters;
mod drills;
mod encap;
mod failover;
mod gateway;
mod node;
mod outlier;
mod pools;
mod quic;
mod report;
mod rollouts;
mod services;
mod spill;
mod tunnel_key;

use schemars::JsonSchema;

pub(crate) use access::AccessPolicy;
pub(crate) use analyses::{Analysis, ProviderType};
pub(crate) use breaker::CircuitBreaker;
pub(crate) use checks::{CheckType, HealthCheck, Tls};
pub(crate) use clusters::{Capacity, Cluster, ClusterSet};
pub(crate) use drills::Drill;
pub(crate) use encap::{Encap, Kind, Mtu, Vxlan};
pub(crate) use failover::{Failback, FailbackMode, FailoverPolicy, Resilience};
pub(crate) use gateway::{Evidence, Gateway, Icmp, Interface, Listen, Source};
pub(crate) use node::{Accept, NodeFile, Remember};
pub(crate) use outlier::Outlier;
pub(crate) use pools::{Endpoint, Pool};
pub(crate) use quic::QuicConfig;
pub(crate) use report::ClusterReport;
pub(crate) use rollouts::{Rollback, Rollout, Step};
pub(crate) use services::{Affinity, Service, ServicePort};
pub(crate) use spill::{Fraction, Spill, SpillMode};
pub(crate) use tunnel_key::{TunnelKey, TunnelKeys};

use super::problem::{Place, Problems};
use super::read::{List, Located, Read, Refused, Required, Section};
use super::scalar::{Choice, Word};
use super::tree::Node;

/// The version of the file's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApiVersion {
    /// The only one so far.
    V1,
}

impl Word for ApiVersion {
    const KNOWN: &'static [(&'static str, Self)] = &[("spillway/v1", Self::V1)];
}

/// A Spillway configuration.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename = "Configuration", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct File {
    /// Format of this file.
    #[expect(dead_code, reason = "has one value: read so that it is checked")]
    pub(crate) api_version: Required<Choice<ApiVersion>>,
    /// What all gateways that serve the same VIPs share.
    pub(crate) cluster_set: Required<ClusterSet>,
    /// What concerns this gateway alone.
    pub(crate) gateway: Required<Gateway>,
    /// The sites.
    pub(crate) clusters: Option<Located<List<Cluster>>>,
    /// VIPs with a policy.
    pub(crate) services: Option<Located<List<Service>>>,
    /// The nodes of a service in one cluster.
    pub(crate) pools: Option<Located<List<Pool>>>,
    /// How nodes are probed.
    pub(crate) health_checks: Option<Located<List<HealthCheck>>>,
    /// Which sources may use a service.
    pub(crate) access_policies: Option<Located<List<AccessPolicy>>>,
    /// Which clusters come first, and what becomes of flows when endpoints are down.
    pub(crate) failover_policies: Option<Located<List<FailoverPolicy>>>,
    /// How new flows go from one pool of a service to another.
    pub(crate) rollouts: Option<Located<List<Rollout>>>,
    /// What rollouts ask before they go on.
    pub(crate) analyses: Option<Located<List<Analysis>>>,
    /// Which clusters are lost on purpose, for a part of the clients.
    pub(crate) drills: Option<Located<List<Drill>>>,
}

/// Top-level keys of later versions.
const REFUSED: &[Refused] = &[("peers", "remove it; list every cluster and its nodes in this file")];

impl Read for File {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let file = Self {
            api_version: section.required("apiVersion"),
            cluster_set: section.required("clusterSet"),
            gateway: section.required("gateway"),
            clusters: section.optional("clusters"),
            services: section.optional("services"),
            pools: section.optional("pools"),
            health_checks: section.optional("healthChecks"),
            access_policies: section.optional("accessPolicies"),
            failover_policies: section.optional("failoverPolicies"),
            rollouts: section.optional("rollouts"),
            analyses: section.optional("analyses"),
            drills: section.optional("drills"),
        };
        section.close(REFUSED);
        Some(file)
    }
}

/// The elements of a list that may be left out.
pub(crate) fn elements<T>(list: Option<&Located<List<T>>>) -> &[Located<T>] {
    list.map_or(&[], |list| &list.value)
}
