//! What nodes report to gateways.

use schemars::JsonSchema;

use crate::config::problem::{Place, Problems};
use crate::config::read::{Read, Required, Section};
use crate::config::scalar::Integer;
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
