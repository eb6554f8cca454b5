//! The stages in order, and nothing else. What [`usual`] packets need is short, so that they pay for nothing else;
//! the others begin anew in [`unusual`], by ways that in the kernel are programs of their own.

pub mod unusual;

use crate::chain::Earlier;
use crate::frame::Frame;
use crate::parse::{Network, Portless, Transport};
use crate::quic::{ConnectionId, Named};
use crate::select::{MISSING, Selection};
use crate::tables::Tables;
use crate::track::{Owner, Segment};
use crate::verdict::{Action, End};
use crate::wire::protocol;
use crate::{admit, chain, classify, encapsulate, evidence, parse, quic, redirect, select, track, transmit};
use lb_common::abi::{BackendFlags, Control, EventKind, Features, Redirected, ServiceFlags};
use lb_common::flow::{Flow, FlowHash};
use lb_common::reason::Reason;

/// A packet's way from arrival to the action taken. The frame is changed only if it is sent to a backend or
/// answered, or dropped for want of headroom or of a key for its tag.
#[inline(always)]
pub fn process<F: Frame, T: Tables>(frame: &mut F, tables: &T) -> Action {
    let went = match usual(frame, tables) {
        Err(End::REDIRECTED) => redirected(frame, tables),
        went => went,
    };
    let went = match went {
        Err(End::MESSAGE) => unusual::message(frame, tables),
        Err(End::PART) => unusual::part(frame, tables),
        went => went,
    };
    went.unwrap_or_else(|end| end.counted(tables))
}

/// The way of packets that have a transport header and fit the path. The others end with [`End::MESSAGE`] or
/// [`End::PART`], and what other clusters' gateways send here with [`End::REDIRECTED`], unchanged.
#[inline(always)]
pub fn usual<F: Frame, T: Tables>(frame: &mut F, tables: &T) -> Result<Action, End> {
    let network = parse::network(frame)?;
    classify::ours(&network, tables)?;
    let control = tables.control().ok_or(MISSING)?;
    if redirect::is_one(frame, &network, control, tables) {
        return Err(End::REDIRECTED);
    }
    balance(frame, &network, control, tables)
}

/// The way of packets that other clusters' gateways send here. They end as [`usual`] ones may. In the kernel this is a
/// program of its own: the others pay one question for it.
#[inline(always)]
pub fn redirected<F: Frame, T: Tables>(frame: &mut F, tables: &T) -> Result<Action, End> {
    let outer = parse::network(frame)?;
    let control = tables.control().ok_or(MISSING)?;
    let network = redirect::uncovered(frame, &outer, control, tables)?;
    balance(frame, &network, control, tables).map_err(|end| redirect::end(end, network.redirected))
}

#[inline(always)]
fn balance<F: Frame, T: Tables>(
    frame: &mut F,
    network: &Network,
    control: &Control,
    tables: &T,
) -> Result<Action, End> {
    let transport = match parse::transport(frame, network) {
        Ok(transport) => transport,
        Err(odd) => return Err(portless(odd, network, control, tables)),
    };
    let service = classify::service(&transport.flow, control.vips, tables)?;
    forward(frame, network, &transport, service, control, tables).inspect_err(|end| {
        if end.action() == Action::Drop {
            tables.count_dropped(service);
            if let Some(kind) = EventKind::of_reason(end.reason()) {
                tables.tell(kind, service, &transport.flow);
            }
        }
    })
}

#[inline(always)]
fn portless<T: Tables>(odd: Portless, network: &Network, control: &Control, tables: &T) -> End {
    match odd {
        Portless::Fragment => End::PART,
        Portless::Icmp => End::MESSAGE,
        Portless::Discovery => End::NOT_OURS,
        odd => classify::unmatched(network, control.vips, odd.reason(), tables),
    }
}

#[inline(always)]
fn forward<F: Frame, T: Tables>(
    frame: &mut F,
    network: &Network,
    transport: &Transport,
    service: u32,
    control: &Control,
    tables: &T,
) -> Result<Action, End> {
    let connection_id = || ConnectionId::find(frame, tables);
    let told = (network.redirected, || transport.segment());
    let choice = choose(&transport.flow, connection_id, service, control, tables, told)?;
    // Asked for at once: what the rows' modes are is to live no longer, for the verifier knows it.
    let earlier = earlier(&choice, transport.flow.protocol, service, tables, told);
    let flags = choice.owner.backend.route.flags;
    let covered = network.redirected.bits(flags.of(BackendFlags::LOCAL)) != 0;
    if covered || !encapsulate::fits(network, choice.owner.backend, tables.features()) {
        return Err(End::PART);
    }
    evidence::note(choice.hash, transport, service, choice.owner.index, control, tables);
    deliver(frame, network, &choice, earlier, service, tables)
}

/// To the backend of the choice; encapsulated, the packet fits the path.
#[inline(always)]
fn deliver<F: Frame, T: Tables>(
    frame: &mut F,
    network: &Network,
    choice: &Choice,
    earlier: Earlier,
    service: u32,
    tables: &T,
) -> Result<Action, End> {
    let Owner { index, backend, .. } = choice.owner;
    // Tables may say so while they are changed: what was redirected is never redirected again.
    if network.redirected.bits(backend.route.flags.of(BackendFlags::GATEWAY)) != 0 {
        return Err(End::drop(Reason::NoBackend));
    }
    if backend.route.flags.has(BackendFlags::LOCAL) {
        tables.count_sent(service, index, network.length as u64);
        return Err(End::pass(Reason::LocalBackend));
    }
    encapsulate::wrap(frame, network, backend, choice.hash, earlier, tables)?;
    tables.count_sent(service, index, network.length as u64);
    Ok(transmit::send(frame, backend))
}

/// Where a packet of a service goes, and by which rows.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'t> {
    /// The flow's hash.
    pub hash: FlowHash,
    /// Where the tables say its flow belongs; `None`: they were not asked, for its connection id says it.
    pub selection: Option<Selection<'t>>,
    /// Who takes it.
    pub owner: Owner<'t>,
}

/// Admit, QUIC, select and track: the decision, which `explain` and `plan` ask for without a packet. `connection_id` and
/// `segment` say what the packet tells of its connection, and are asked only where that matters; `redirected`, that another
/// cluster's gateway sent it here: it goes to this cluster's nodes alone, and by its hash. How many flows a source may begin
/// was that gateway's to ask.
#[inline(always)]
pub fn choose<'t, T: Tables>(
    flow: &Flow,
    connection_id: impl FnOnce() -> Option<ConnectionId>,
    service: u32,
    control: &Control,
    tables: &'t T,
    (redirected, segment): (Redirected, impl Fn() -> Segment),
) -> Result<Choice<'t>, End> {
    let entry = tables.service(service).ok_or(MISSING)?;
    let by_id = tables.features().has(Features::QUIC)
        && redirected.bits(ServiceFlags::QUIC.of(entry.flags)) != entry.flags.of(ServiceFlags::QUIC)
        && flow.protocol == protocol::UDP;
    let id = if by_id { connection_id() } else { None };
    let named = id.map_or(Named::NOBODY, |id| quic::named(id, service, entry, tables));
    let segment = || if by_id && named.begins() { Segment::Opening } else { segment() };
    admit::admit(flow, entry, redirected, tables, || segment() == Segment::Opening)?;
    let hash = select::hash(flow, entry, control.key());
    if by_id && let Some(owner) = named.owner(tables) {
        return Ok(Choice { hash, selection: None, owner });
    }
    let selection = select::select(hash, entry.selector(redirected), tables)?;
    let owner = track::owner(flow, service, entry, &selection, tables, (redirected, segment))?;
    Ok(Choice { hash, selection: Some(selection), owner })
}

/// Whom else its receiver may ask after a packet's connection: of services that track by chain, unless it begins here.
#[inline(always)]
pub fn earlier<T: Tables>(
    choice: &Choice,
    protocol: u8,
    service: u32,
    tables: &T,
    (redirected, segment): (Redirected, impl FnOnce() -> Segment),
) -> Earlier {
    let entry = if tables.features().has(Features::CHAIN) { tables.service(service) } else { None };
    let Some(entry) = entry else { return Earlier::NONE };
    let moves = protocol == crate::wire::protocol::UDP && entry.flags.has(ServiceFlags::UDP_MOVES);
    // What a connection id named is that backend's.
    let Some(selection) = &choice.selection else { return Earlier::NONE };
    if !entry.flags.has(ServiceFlags::CHAIN) || moves || segment() == Segment::Opening {
        return Earlier::NONE;
    }
    chain::earlier(choice.hash, entry.selector(redirected), selection.pool, &choice.owner, tables)
}

#[cfg(test)]
mod tests;
