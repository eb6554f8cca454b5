//! A gateway: its agent, its maps, and what an onlooker has seen in them.

use std::net::IpAddr;

use lb_common::abi::{BackendEntry, ServiceEntry};
use lb_common::flow::{FALLBACK_TRIES, Flow, FlowHash};
use lb_ebpf::frame::SliceFrame;
use lb_ebpf::select;
use lb_ebpf::verdict::Action;
use lb_userspace::reconcile::MemoryMaps;

use super::super::agent::Agent;
use super::super::history;
use super::super::world::{POOLS, WINDOW, World, sizes};
use super::judge::{Past, Seen};

/// Room in front of a frame.
const HEADROOM: usize = 128;

/// What may be broken, to see that somebody notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing is.
    #[default]
    None,
    /// Rows remember one owner.
    Forgetful,
    /// Rows remember nobody, so that no addresses travel.
    Silent,
    /// Rows remember the older owner as the newer.
    Swapped,
    /// The gateway that is left when the other is lost has the tables, but not what their rows have been through.
    Fresh,
    /// Receivers do not ask their sockets.
    Deaf,
}

/// One of the gateways.
pub(super) struct Gateway {
    pub(super) agent: Agent,
    pub(super) maps: MemoryMaps,
    /// Of each client's flow.
    pub(super) pasts: Vec<Past>,
    pub(super) alive: bool,
}

impl Gateway {
    /// With maps that are filled already.
    pub(super) fn new(pasts: Vec<Past>, world: &World) -> Self {
        let (mut agent, mut maps) = (Agent::new(history::Rules::default()), MemoryMaps::new(&sizes()));
        agent.follow(world, &mut maps, WINDOW, &mut |_, _| true);
        Self { agent, maps, pasts, alive: true }
    }

    /// As packets and onlookers see it.
    pub(super) fn view(&self) -> View<'_> {
        View { maps: &self.maps, pasts: &self.pasts }
    }

    /// With agent and maps that begin anew; what the onlooker has seen stays.
    pub(super) fn begin_anew(&mut self, world: &World) {
        *self = Self::new(std::mem::take(&mut self.pasts), world);
    }
}

/// Breaks the maps as the fault says.
pub(super) fn sabotage(maps: &mut MemoryMaps, fault: Fault) {
    for table in maps.tables.iter_mut().filter(|table| table.remembers()) {
        match fault {
            Fault::Forgetful => table.earlier[1] = table.current,
            Fault::Silent => table.earlier = [table.current; 2],
            Fault::Swapped => table.earlier = [table.earlier[1], table.current],
            Fault::None | Fault::Fresh | Fault::Deaf => {}
        }
    }
}

/// A gateway's maps at a moment.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) maps: &'a MemoryMaps,
    pub(super) pasts: &'a [Past],
}

impl View<'_> {
    /// What the gateway sends for a frame.
    pub(super) fn send(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = [&[0; HEADROOM], frame].concat();
        let mut frame = SliceFrame::new(&mut buffer, HEADROOM, 1);
        let action = lb_ebpf::pipeline::process(&mut frame, self.maps);
        matches!(action, Action::Transmit | Action::Redirect(_)).then(|| frame.bytes().to_vec())
    }

    /// Whether the node serves in its pool.
    pub(super) fn serves(&self, node: IpAddr) -> bool {
        let its = |entry: &&BackendEntry| entry.destination == node.into();
        self.maps.backends.iter().filter(its).any(BackendEntry::serves)
    }

    /// Who takes a flow's packets in a pool whose owner does not serve (docs/contract.md, section 5).
    pub(super) fn stand_in(&self, pool: u32, hash: FlowHash) -> Option<IpAddr> {
        let pool = self.maps.pools.get(pool as usize)?;
        let table = self.maps.tables.get(pool.table as usize)?;
        let tries = (1..=FALLBACK_TRIES).filter_map(|number| {
            let place = select::place(table, hash.fallback_row(number, table.log2_rows), self.maps).ok()?;
            node(self.maps, place.row.index())
        });
        tries.chain(node(self.maps, pool.spare.into())).find(|node| self.serves(*node))
    }
}

/// What the maps say of a flow now.
pub(super) fn look(maps: &MemoryMaps, flow: &Flow, service: usize) -> Option<Seen> {
    let entry: &ServiceEntry = maps.services.get(service)?;
    let control = maps.control.first()?;
    let hash = select::hash(flow, entry, control.key());
    let (pool, _) = select::pool(entry.select, hash, maps).ok()?;
    let nodes = (0..u32::from(POOLS)).map(|pool| {
        let pool = maps.pools.get(pool as usize)?;
        let table = maps.tables.get(pool.table as usize).filter(|_| pool.table != 0)?;
        let place = select::place(table, hash.node_row(table.log2_rows), maps).ok()?;
        node(maps, place.row.index())
    });
    Some(Seen { hash, pool, nodes: nodes.collect() })
}

fn node(maps: &MemoryMaps, index: u32) -> Option<IpAddr> {
    let entry = maps.backends.get(index as usize)?;
    Some(entry.destination.into()).filter(|_| *entry != BackendEntry::default())
}
