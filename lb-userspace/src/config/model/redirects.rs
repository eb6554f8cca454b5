use std::sync::Arc;

use super::AccessList;

/// How packets get to a cluster's nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Via {
    /// Straight.
    #[default]
    Nodes,
    /// By way of the cluster's gateways, which are the endpoints of its pools and choose among its nodes.
    Gateway,
}

/// What other clusters' gateways may send here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirects {
    /// Who they are; none: nobody does. All of them are allowed.
    pub gateways: Arc<AccessList>,
    /// UDP port that they send to, host order.
    pub port: u16,
}

impl Default for Redirects {
    /// Nobody, to IANA's port of GUE.
    fn default() -> Self {
        Self { gateways: Arc::new(AccessList::default()), port: 6080 }
    }
}
