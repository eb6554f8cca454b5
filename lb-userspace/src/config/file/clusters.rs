//! `clusterSet` and `clusters`.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::encap::Encap;
use super::report::ClusterReport;
use super::tunnel_key::TunnelKey;
use crate::config::model::{ClusterState, Via};
use crate::config::problem::{Place, Problems};
use crate::config::read::{Located, Read, Refused, Required, Section, expected, join};
use crate::config::scalar::{Choice, Integer, Time, Word};
use crate::config::tree::{Node, Value, place as place_of};

/// What all gateways that serve the same VIPs share.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ClusterSet {
    /// Name of the set: a DNS label.
    pub(crate) id: Required<String>,
    /// Name of the cluster this gateway stands in.
    #[schemars(rename = "self")]
    pub(crate) self_cluster: Option<Located<String>>,
    /// File with the secret of the flow hash: 32 hexadecimal digits, readable by its owner alone. Relative to this file.
    pub(crate) secret_file: Required<String>,
    /// What the tags of clusters with `encap.tag` are made with. May change while the agent runs.
    pub(crate) tunnel_key: Option<Located<TunnelKey>>,
    /// How long a row that changed its owner counts as moving: within it, every connection that is to keep its
    /// backend sends a packet.
    #[schemars(extend("default" = "300s"))]
    pub(crate) change_window: Option<Located<Time>>,
    /// How long, before a row changes its owner, its next one is already asked after connections (`tracking: chain`): what
    /// it takes until every gateway follows a changed file.
    #[schemars(extend("default" = "0s"))]
    pub(crate) roll_delay: Option<Located<Time>>,
}

impl Read for ClusterSet {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let set = Self {
            id: section.required("id"),
            self_cluster: section.optional("self"),
            secret_file: section.required("secretFile"),
            tunnel_key: section.optional("tunnelKey"),
            change_window: section.optional("changeWindow"),
            roll_delay: section.optional("rollDelay"),
        };
        section.close(&[(
            "staleAfter",
            "remove it; clusters are learnt from this file alone and do not go stale",
        )]);
        Some(set)
    }
}

/// A site.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Cluster {
    /// A DNS label, unique.
    pub(crate) name: Required<String>,
    /// What failover policies by labels compare.
    pub(crate) labels: Option<Located<Labels>>,
    /// Whether it takes new flows.
    #[schemars(extend("default" = "active"))]
    pub(crate) state: Option<Located<Choice<ClusterState>>>,
    /// How packets reach its nodes: straight, or by way of the cluster's gateways, which are then the endpoints of its
    /// pools.
    #[schemars(extend("default" = "nodes"))]
    pub(crate) via: Option<Located<Choice<Via>>>,
    /// Encapsulation toward its nodes, or its gateways.
    pub(crate) encap: Option<Located<Encap>>,
    /// What its nodes are asked; nothing when left out.
    pub(crate) report: Option<Located<ClusterReport>>,
    /// What it can take: `spillway plan` compares loads with it, and policies may spill by it.
    pub(crate) capacity: Option<Located<Capacity>>,
}

impl Read for Cluster {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let cluster = Self {
            name: section.required("name"),
            labels: section.optional("labels"),
            state: section.optional("state"),
            via: section.optional("via"),
            encap: section.optional("encap"),
            report: section.optional("report"),
            capacity: section.optional("capacity"),
        };
        section.close(&[]);
        Some(cluster)
    }
}

/// What a cluster can take.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Capacity {
    /// New connections per second, of all services together.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(crate) new_conn_per_sec: Required<Integer>,
}

const REFUSED: &[Refused] = &[
    ("activeFlows", "remove it; only `newConnPerSec` counts"),
    ("gbps", "remove it; only `newConnPerSec` counts"),
];

impl Read for Capacity {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let capacity = Self { new_conn_per_sec: section.required("newConnPerSec") };
        section.close(REFUSED);
        Some(capacity)
    }
}

/// Text by text.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(transparent)]
pub(crate) struct Labels(pub(crate) BTreeMap<String, String>);

impl Read for Labels {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            expected("labels (`name: text`)", node, place, problems);
            return None;
        };
        let mut labels = BTreeMap::new();
        for (key, value) in entries {
            let at = place_of(key.defined, place.path.clone());
            let Some(name) = String::read(key, &at, problems) else { continue };
            let at = place_of(value.defined, join(&place.path, &name));
            let Some(text) = String::read(value, &at, problems) else { continue };
            if labels.insert(name, text).is_some() {
                problems.add(&at, "the label is written twice", "remove one of the two");
            }
        }
        Some(Self(labels))
    }
}

impl Word for Via {
    const KNOWN: &'static [(&'static str, Self)] = &[("nodes", Self::Nodes), ("gateway", Self::Gateway)];
}

impl Word for ClusterState {
    const KNOWN: &'static [(&'static str, Self)] =
        &[("active", Self::Active), ("draining", Self::Draining), ("drained", Self::Drained)];
}
