//! What nodes report to gateways, at both ends.

use schemars::JsonSchema;

use crate::config::problem::{Place, Problems};
use crate::config::read::{Located, Read, Required, Section};
use crate::config::scalar::{Integer, Time};
use crate::config::tree::Node;

/// What the gateways can ask a node, over HTTP: connections that it refused and has, by VIP and port.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NodeReport {
    /// TCP port, of all addresses, 1 to 65,535. Only those in `gateways` are answered, and this machine.
    pub(crate) port: Required<Integer>,
}

impl Read for NodeReport {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let report = Self { port: section.required("port") };
        section.close(&[]);
        Some(report)
    }
}

/// What a gateway asks the nodes of a cluster.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ClusterReport {
    /// TCP port at which the nodes tell it (`node.report`), 1 to 65,535.
    pub(crate) port: Required<Integer>,
    /// How often each is asked.
    #[schemars(extend("default" = "10s"))]
    pub(crate) interval: Option<Located<Time>>,
}

impl Read for ClusterReport {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let report = Self { port: section.required("port"), interval: section.optional("interval") };
        section.close(&[]);
        Some(report)
    }
}
