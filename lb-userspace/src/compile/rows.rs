//! The rows of node and cluster tables as the slab holds them, and the fingerprints that name them.

use super::members::Selection;
use super::node::Member;
use super::record::PoolRecord;
use super::rendezvous::{Contender, Rendezvous};
use super::tables::fingerprint;
use super::{hrw, maglev};
use crate::config::model::Algorithm;
use crate::policy::desired::{Pool, Service};
use lb_common::flow::CLUSTER_ROWS;
use lb_common::row::{Mode, Row};
use std::collections::BTreeMap;

/// Log2 of a cluster table's rows.
pub(super) const CLUSTER_LOG2: u32 = CLUSTER_ROWS.ilog2();

const MAGLEV: u8 = 1;
const CLUSTER: u8 = 2;
const HRW: u8 = 3;

/// A member of a node table and its index in `backends`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    member: Member,
    index: u16,
}

/// The members of a pool's table, in order of address.
pub(super) fn nodes(pool: &Pool, selection: &Selection, record: &PoolRecord) -> Vec<Node> {
    let node = |(&position, weight): (&usize, u32)| {
        let member = &pool.members[position];
        let index = record.backends[&member.address].index;
        let (address, port) = (member.address.into(), pool.encap.port());
        Node { member: Member { address, port, weight }, index }
    };
    let weights = selection.weights(&pool.members);
    let mut nodes: Vec<_> = selection.positions.iter().zip(weights).map(node).collect();
    nodes.sort_by_key(|node| node.member.identity());
    nodes
}

/// Names the table of a pool with these nodes.
pub(super) fn node_fingerprint(pool: &Pool, nodes: &[Node]) -> u64 {
    let mut content = vec![match pool.algorithm {
        Algorithm::Maglev => MAGLEV,
        Algorithm::Hrw => HRW,
    }];
    content.extend(pool.rows.to_le_bytes());
    for Node { member, index } in nodes {
        content.extend(member.address.bytes());
        content.extend(member.port.to_le_bytes());
        content.extend(member.weight.to_le_bytes());
        content.extend(index.to_le_bytes());
    }
    fingerprint(&content)
}

/// The rows of the table of a pool with these nodes: indices of backends.
pub(super) fn node_rows(pool: &Pool, nodes: &[Node]) -> Vec<Row> {
    let members: Vec<_> = nodes.iter().map(|node| node.member).collect();
    let indices: Vec<_> = nodes.iter().map(|node| node.index).collect();
    let table = match pool.algorithm {
        Algorithm::Maglev => maglev::table,
        Algorithm::Hrw => hrw::table,
    };
    own(&table(&members, pool.rows), &indices)
}

/// A pool with a share of a service.
pub(super) struct Rival<'a> {
    contender: Contender<'a>,
    /// Its index in `pools`.
    pub(super) index: u16,
}

/// The pools of a service that have a weight, in order of their names.
pub(super) fn rivals<'a>(service: &'a Service, pools: &BTreeMap<String, PoolRecord>) -> Vec<Rival<'a>> {
    let weighty = service.shares.iter().filter(|share| share.weight > 0);
    let mut rivals: Vec<_> = weighty
        .filter_map(|share| {
            let contender = Contender { cluster: &share.cluster, pool: &share.pool, weight: share.weight };
            Some(Rival { contender, index: pools.get(&share.pool)?.index })
        })
        .collect();
    rivals.sort_by_key(|rival| (rival.contender.cluster, rival.contender.pool));
    rivals
}

/// Names the table of these pools.
pub(super) fn cluster_fingerprint(rivals: &[Rival]) -> u64 {
    let mut content = vec![CLUSTER];
    for Rival { contender, index } in rivals {
        for name in [contender.cluster, contender.pool] {
            content.extend((name.len() as u64).to_le_bytes());
            content.extend(name.as_bytes());
        }
        content.extend(contender.weight.to_le_bytes());
        content.extend(index.to_le_bytes());
    }
    fingerprint(&content)
}

/// The rows of a cluster table: indices of pools.
pub(super) fn cluster_rows(rivals: &[Rival], rendezvous: &mut Rendezvous) -> Vec<Row> {
    let contenders: Vec<_> = rivals.iter().map(|rival| rival.contender).collect();
    let indices: Vec<_> = rivals.iter().map(|rival| rival.index).collect();
    own(&rendezvous.table(&contenders), &indices)
}

fn own(owners: &[u16], indices: &[u16]) -> Vec<Row> {
    owners.iter().map(|&owner| Row::new(indices[usize::from(owner)], Mode::Clean)).collect()
}
