//! Random histories of change under `tracking: chain`: two gateways that share nothing but what happens to both, nodes
//! with receivers, and a network between them that carries real frames to whom they are addressed. The agents are
//! made of the real parts, gateways and receivers are the real pipelines; TCP connections are sockets of a node from
//! its SYN on, UDP flows what a receiver remembers.
//!
//! **The property.** An established connection whose node serves is taken by that node, by whichever gateway its
//! packet comes, if the node is the one that the rows lead to or one of those that docs/contract.md, section 10, says
//! are asked: which of them that are follows from the owners that the onlooker saw the rows have
//! ([`judge`]). And whatever that list says: if its rows, of a service of one pool, have had two other owners since,
//! of a service of several one for each of its two rows, or if its rows have never changed more than twice.
//!
//! Besides: each packet is taken by somebody, unchanged, after five nodes at most; a SYN by the first. Gateways that
//! have seen the same have the same rows.

mod clients;
mod frames;
mod gateway;
mod judge;
mod network;
mod play;

pub use gateway::Fault;
pub use play::run;

use super::history::Break;

/// What a history came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// What happened in it.
    pub counts: Counts,
    /// The first thing that must not have happened.
    pub broken: Option<Break>,
}

/// How often things happened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Packets that were sent.
    pub packets: u64,
    /// Connections that were established.
    pub established: u64,
    /// Packets of those whose rows led to another node, which was to find theirs.
    pub asked: u64,
    /// Those for which nothing is promised: their node is not asked.
    pub forgotten: u64,
    /// Of these: since they began, their rows have had no more than two changes.
    pub forgotten_early: u64,
    /// Connections that were led away, or whose node served no more.
    pub led_away: u64,
    /// Nodes on the longest way.
    pub longest: usize,
}

/// Where the rows of a connection lead.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    Same,
    Asked,
    Forgotten,
}

impl Counts {
    fn count(&mut self, rows: Rows, changes: Option<[u32; 2]>) {
        self.asked += u64::from(rows == Rows::Asked);
        self.forgotten += u64::from(rows == Rows::Forgotten);
        let early = rows == Rows::Forgotten && changes.is_some_and(|[cluster, node]| cluster + node <= 2);
        self.forgotten_early += u64::from(early);
    }

    /// With those of another history.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.established += other.established;
        self.asked += other.asked;
        self.forgotten += other.forgotten;
        self.forgotten_early += other.forgotten_early;
        self.led_away += other.led_away;
        self.longest = self.longest.max(other.longest);
    }
}
