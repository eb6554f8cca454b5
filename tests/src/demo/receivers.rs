//! The nodes' side of the demo: `spillway node` on each, and servers of long connections.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::stage::LINES_PORT;
use crate::lab::{Echo, NodeAgent, TwoClusters, WorkDir};

/// All of them; they end when dropped.
#[derive(Debug)]
pub(super) struct Receivers {
    agents: Vec<NodeAgent>,
    _servers: Vec<Echo>,
}

impl Receivers {
    /// Starts all, and waits until each takes tunnels apart.
    pub(super) fn start(spillway: &Path, lab: &TwoClusters, work: &WorkDir) -> Result<Self> {
        // Gateways, and nodes that send on.
        let file = json!({
            "interfaces": [TwoClusters::GATEWAY_INTERFACE],
            "gateways": ["10.0.0.0/8", "fd00::/16"],
            "accept": {"gue": {}},
        });
        let servers = lab.nodes.iter().map(|node| Echo::start(&node.namespace, &node.name, LINES_PORT));
        let agents = lab.nodes.iter().map(|node| {
            let mut agent = NodeAgent::with(spillway, work, &node.name);
            agent.configure(&file)?;
            agent.start(&node.namespace)?;
            Ok(agent)
        });
        Ok(Self { agents: agents.collect::<Result<_>>()?, _servers: servers.collect::<Result<_>>()? })
    }

    /// How many packets the nodes have sent on to each other, because the connection was another's.
    pub(super) fn sent_on(&self) -> Result<u64> {
        self.agents.iter().map(|agent| Ok(agent.counted("gue", "sent-on")?[1])).sum()
    }
}
