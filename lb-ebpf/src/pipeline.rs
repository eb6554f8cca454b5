//! The stages in order, and nothing else.

use crate::frame::Frame;
use crate::parse::Network;
use crate::select::{MISSING, Place};
use crate::tables::Tables;
use crate::track::Owner;
use crate::verdict::{Action, End};
use crate::{classify, encapsulate, parse, select, track, transmit};
use lb_common::abi::{BackendFlags, Control};
use lb_common::flow::{Flow, FlowHash};
use lb_common::reason::Reason;

/// A packet's way from arrival to the action taken. The frame is changed only if it is sent to a backend,
/// or dropped for want of headroom.
#[inline(always)]
pub fn process<F: Frame, T: Tables>(frame: &mut F, tables: &T) -> Action {
    walk(frame, tables).unwrap_or_else(|end| end.counted(tables))
}

#[inline(always)]
fn walk<F: Frame, T: Tables>(frame: &mut F, tables: &T) -> Result<Action, End> {
    let network = parse::network(frame)?;
    classify::ours(&network, tables)?;
    let control = tables.control().ok_or(MISSING)?;
    let flow = flow(frame, &network, control, tables)?;
    let service = classify::service(&flow, control.vips, tables)?;
    forward(frame, &network, &flow, service, control, tables).inspect_err(|end| {
        if end.action() == Action::Drop {
            tables.count_dropped(service);
        }
    })
}

#[inline(always)]
fn flow<F: Frame, T: Tables>(
    frame: &F,
    network: &Network,
    control: &Control,
    tables: &T,
) -> Result<Flow, End> {
    parse::transport(frame, network).map_err(|reason| match reason {
        Reason::NotOurs => End::NOT_OURS,
        odd => classify::unmatched(network, control.vips, odd, tables),
    })
}

#[inline(always)]
fn forward<F: Frame, T: Tables>(
    frame: &mut F,
    network: &Network,
    flow: &Flow,
    service: u32,
    control: &Control,
    tables: &T,
) -> Result<Action, End> {
    let choice = choose(flow, service, control, tables)?;
    let Owner { index, backend, .. } = choice.owner;
    if backend.route.flags.has(BackendFlags::LOCAL) {
        tables.count_sent(service, index, network.length as u64);
        return Err(End::pass(Reason::LocalBackend));
    }
    encapsulate::wrap(frame, network, backend, choice.hash)?;
    tables.count_sent(service, index, network.length as u64);
    Ok(transmit::send(frame, backend))
}

/// Where a flow of a service goes, and by which rows.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'t> {
    /// The hash that decided.
    pub hash: FlowHash,
    /// Row of the cluster table; `None` where the service has one pool.
    pub cluster: Option<Place>,
    /// Index of the pool.
    pub pool: u32,
    /// Row of the pool's node table.
    pub node: Place,
    /// Who takes it.
    pub owner: Owner<'t>,
}

/// Hash, select and track: the pure decision, which `explain` and `plan` ask for without a packet.
#[inline(always)]
pub fn choose<'t, T: Tables>(
    flow: &Flow,
    service: u32,
    control: &Control,
    tables: &'t T,
) -> Result<Choice<'t>, End> {
    let service = tables.service(service).ok_or(MISSING)?;
    let hash = select::hash(flow, service, control.key());
    let (pool, cluster) = select::pool(service, hash, tables)?;
    let entry = tables.pool(pool).ok_or(MISSING)?;
    let table = select::node_table(&entry, tables)?;
    let node = select::place(table, hash.node_row(table.log2_rows), tables)?;
    let owner = track::owner(node.row.index(), &entry, table, hash, tables)?;
    Ok(Choice { hash, cluster, pool, node, owner })
}

#[cfg(test)]
mod tests;
