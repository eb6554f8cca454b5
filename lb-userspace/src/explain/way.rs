use lb_common::abi::{Connection, Control, ServiceFlags, VipKey};
use lb_common::flow::{Flow, FlowHash};
use lb_ebpf::chain::Earlier;
use lb_ebpf::select::{self, MISSING, Place};
use lb_ebpf::tables::Tables;
use lb_ebpf::track::Owner;
use lb_ebpf::verdict::End;
use lb_ebpf::{classify, pipeline};

use super::query::Query;

/// How far a flow gets, and its end there or the backend that takes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'t> {
    /// The service it is for.
    pub(super) service: Option<Steps>,
    /// Who takes it, or why nobody does.
    pub(super) outcome: Result<Owner<'t>, End>,
    /// Who else may be asked.
    pub(super) earlier: Earlier,
}

/// Within a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    /// Index of the service.
    pub(super) index: u32,
    /// The hash that decides; `None` if the service has no entry.
    pub(super) hash: Option<FlowHash>,
    /// Row of the cluster table; `None` if there is none.
    pub(super) cluster: Option<Place>,
    /// Index of the pool.
    pub(super) pool: Option<u32>,
    /// Row of the pool's table, with the table's size in rows.
    pub(super) node: Option<(Place, u32)>,
}

/// Walks the packet that is asked about through the tables.
pub(super) fn walk<'t, T: Tables>(query: &Query, tables: &'t T) -> Way<'t> {
    let (flow, id, segment) = (&query.flow(), query.connection_id, query.segment());
    match arrive(flow, tables) {
        Err(end) => Way { service: None, outcome: Err(end), earlier: Earlier::NONE },
        Ok((control, service)) => {
            let told = (query.redirected, || segment);
            let choice = pipeline::choose(flow, || id, service, control, tables, told);
            let earlier =
                choice.map(|choice| pipeline::earlier(&choice, flow.protocol, service, tables, told));
            Way {
                service: Some(steps(query, service, control, tables)),
                outcome: choice.map(|choice| choice.owner),
                earlier: earlier.unwrap_or(Earlier::NONE),
            }
        }
    }
}

/// The filter, then the VIP table: as `classify` does with a packet.
fn arrive<'t, T: Tables>(flow: &Flow, tables: &'t T) -> Result<(&'t Control, u32), End> {
    let (word, bit) = VipKey::filter_bit(flow.family, &flow.destination);
    if tables.filter(word).unwrap_or(0) & bit == 0 {
        return Err(End::NOT_OURS);
    }
    let control = tables.control().ok_or(MISSING)?;
    Ok((control, classify::service(flow, control.vips, tables)?))
}

/// What the connection would be recorded under; `None` if the flow is for no service.
pub(super) fn connection<T: Tables>(query: &Query, tables: &T) -> Option<u64> {
    let flow = query.flow();
    let (control, service) = arrive(&flow, tables).ok()?;
    Some(flow.connection(Connection::service_in_key(service, query.redirected), control.key()))
}

/// The access policy of the flow's service.
pub(super) fn access_policy<T: Tables>(flow: &Flow, tables: &T) -> Option<u32> {
    let (_, service) = arrive(flow, tables).ok()?;
    let entry = tables.service(service)?;
    entry.flags.has(ServiceFlags::ADMISSION).then_some(entry.access)
}

/// The steps of `choose`, as far as they go: it tells them only of a flow that somebody takes.
fn steps<T: Tables>(query: &Query, index: u32, control: &Control, tables: &T) -> Steps {
    let nothing = Steps { index, hash: None, cluster: None, pool: None, node: None };
    let Some(service) = tables.service(index) else { return nothing };
    let hash = select::hash(&query.flow(), service, control.key());
    let Ok((pool, cluster)) = select::pool(service.selector(query.redirected), hash, tables) else {
        return Steps { hash: Some(hash), ..nothing };
    };
    Steps { index, hash: Some(hash), cluster, pool: Some(pool), node: node(pool, hash, tables) }
}

fn node<T: Tables>(pool: u32, hash: FlowHash, tables: &T) -> Option<(Place, u32)> {
    let entry = tables.pool(pool)?;
    let table = select::node_table(&entry, tables).ok()?;
    let place = select::place(table, hash.node_row(table.log2_rows), tables).ok()?;
    Some((place, 1_u32.checked_shl(table.log2_rows)?))
}
