//! Who has to be asked: from what rows were seen to be, by docs/contract.md, section 10. Of the code under test it
//! knows neither what rows remember nor what travels.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lb_common::flow::FlowHash;

use super::gateway::View;

/// So many nodes are asked beside the one that a packet is sent to.
const ASKED: usize = 3;
/// So many owners are remembered beside the current one.
const REMEMBERED: usize = 2;

/// The owners of a flow's rows at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) hash: FlowHash,
    /// Of its cluster row, or the only pool.
    pub(super) pool: u32,
    /// Of its row in each pool.
    pub(super) nodes: Vec<Option<IpAddr>>,
}

/// The last owners of a row, each once, the current one first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owners<T> {
    all: Vec<T>,
    /// How often the row changed its owner.
    changes: u32,
}

impl<T> Default for Owners<T> {
    fn default() -> Self {
        Self { all: Vec::new(), changes: 0 }
    }
}

impl<T: Copy + PartialEq> Owners<T> {
    fn note(&mut self, owner: T) {
        if self.all.first() != Some(&owner) {
            self.changes += u32::from(!self.all.is_empty());
            self.all.retain(|known| *known != owner);
            self.all.insert(0, owner);
            self.all.truncate(1 + REMEMBERED);
        }
    }
}

/// What a flow's rows have been through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Past {
    hash: u64,
    pools: Owners<u32>,
    nodes: Vec<Owners<IpAddr>>,
}

/// How often a flow's own rows had changed: the cluster row, and the row of the pool it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pool: u32,
    cluster: u32,
    node: u32,
}

impl Past {
    /// Takes in what is there now.
    pub(super) fn note(&mut self, seen: &Seen) {
        self.hash = seen.hash.0;
        self.pools.note(seen.pool);
        self.nodes.resize_with(seen.nodes.len(), Owners::default);
        for (owners, owner) in self.nodes.iter_mut().zip(&seen.nodes) {
            match owner {
                Some(owner) => owners.note(*owner),
                None => *owners = Owners::default(),
            }
        }
    }

    /// Forgets nodes that are configured no more.
    pub(super) fn forget(&mut self, configured: &BTreeSet<IpAddr>) {
        self.nodes.iter_mut().for_each(|owners| owners.all.retain(|node| configured.contains(node)));
    }

    fn owner(&self, pool: usize, node: usize) -> Option<(u32, IpAddr)> {
        let pool = *self.pools.all.get(pool)?;
        Some((pool, *self.nodes.get(pool as usize)?.all.get(node)?))
    }

    /// Whom a packet is to be sent to.
    pub(super) fn target(&self, view: View) -> Option<IpAddr> {
        let (pool, owner) = self.owner(0, 0)?;
        if view.serves(owner) { Some(owner) } else { view.stand_in(pool, FlowHash(self.hash)) }
    }

    /// Who is asked after `target`.
    pub(super) fn asked(&self, view: View, target: IpAddr) -> Vec<IpAddr> {
        let mut asked = Vec::new();
        for (pool, node) in [(0, 1), (1, 0), (1, 1), (0, 2), (2, 0)] {
            let Some((pool, owner)) = self.owner(pool, node) else { continue };
            let who = if view.serves(owner) { Some(owner) } else { view.stand_in(pool, FlowHash(self.hash)) };
            let new = |who: &IpAddr| *who != target && !asked.contains(who);
            asked.extend(who.filter(new).filter(|who| who.is_ipv4() == target.is_ipv4()));
        }
        asked.truncate(ASKED);
        asked
    }

    /// Now, if the flow is with who owns its rows.
    pub(super) fn mark(&self, node: IpAddr) -> Option<Mark> {
        let (pool, owner) = self.owner(0, 0)?;
        let changes = self.nodes.get(pool as usize)?.changes;
        (owner == node).then_some(Mark { pool, cluster: self.pools.changes, node: changes })
    }

    /// Changes of cluster row and node row since then.
    pub(super) fn since(&self, mark: Mark) -> [u32; 2] {
        let node = self.nodes.get(mark.pool as usize).map_or(0, |owners| owners.changes);
        [self.pools.changes.saturating_sub(mark.cluster), node.saturating_sub(mark.node)]
    }

    /// Changes that any of its rows has ever been through.
    pub(super) fn changes(&self) -> u32 {
        self.pools.changes + self.nodes.iter().map(|owners| owners.changes).sum::<u32>()
    }
}
