//! Which of a row's owners takes the packet.
//!
//! Nearly always the current one, and nothing is looked up: its rows are CLEAN and it serves. Else:
//!
//! 1. A connection that is recorded goes to the backend it is recorded with, if that serves. A SYN on one
//!    whose FIN or RST was seen begins another connection, and counts as not recorded.
//! 2. A new flow, and any packet on rows of which none is MOVING, goes to the current owner.
//! 3. Else the packet belongs to a flow that may have begun before its row moved. It goes to the stable owner
//!    (the stable pool if the cluster row is MOVING; in that pool the stable backend if its row is MOVING),
//!    if that serves; else to the current one.
//! 4. Where the current owner does not serve, to who stands in for it: the owner of one of two other rows of
//!    the pool, at hashes derived from the flow's own ([`fallback_row`](lb_common::flow::FlowHash::fallback_row)); then the pool's spare, any
//!    backend that serves; else nobody: [`Reason::NoBackend`].
//!
//! What 2 to 4 decide is recorded if a row is MOVING or its owner does not serve, so that it holds when the
//! row changes again; and wherever a record was of no use, which would be of use again when its backend
//! serves. Else RESIDUE rows are looked up only: nothing new is recorded there.

use crate::select::{MISSING, Selection, node_table, place, stable};
use crate::tables::Tables;
use crate::verdict::End;
use crate::wire::protocol;
use lb_common::abi::{BackendEntry, Connection, Insert, Redirected, ServiceEntry, ServiceFlags, TableEntry};
use lb_common::flow::{FALLBACK_TRIES, Flow, FlowHash};
use lb_common::reason::Reason;
use lb_common::row::Mode;

/// How a backend came to be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It owns the flow's row.
    Current,
    /// It owned the row before, and the flow may be older than the change.
    Stable,
    /// The connection is recorded with it.
    Tracked,
    /// The owner does not serve; it owns a fallback row, or is the pool's spare.
    Fallback,
    /// The packet's connection id names it ([`quic`](crate::quic)); no row was asked.
    Quic,
}

/// The backend that takes the packet.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'t> {
    /// Index of the backend.
    pub index: u32,
    /// The backend.
    pub backend: &'t BackendEntry,
    /// Why this one.
    pub decision: Decision,
    /// Whether the rows that led to it are clean.
    pub clean: bool,
}

/// What a packet says about its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment {
    /// It begins: a SYN without ACK; of a service that routes QUIC by connection id a long header whose id names nobody.
    Opening,
    /// It goes on; what there is to say of UDP, too.
    Middle,
    /// It ends: FIN or RST.
    Closing,
    /// It is none of it, but about it: an ICMP error. Goes where the connection is, and records nothing.
    Related,
}

impl Segment {
    /// From its number in the lower two bits.
    #[inline(always)]
    pub const fn of(number: u64) -> Self {
        match number & 3 {
            0 => Self::Opening,
            1 => Self::Middle,
            2 => Self::Closing,
            _ => Self::Related,
        }
    }
}

/// A packet's flow in the name of its service, and where the tables say it belongs.
#[derive(Debug)]
pub struct Candidate<'t> {
    /// What its connection is recorded under.
    pub flow: Flow,
    /// Index of the service.
    pub service: u32,
    /// The service.
    pub entry: &'t ServiceEntry,
    /// Its rows.
    pub selection: Selection<'t>,
}

/// The row's owner, or who takes the packet in its place. `segment` is asked only where it matters.
#[inline(always)]
pub fn owner<'t, T: Tables>(
    flow: &Flow,
    service: u32,
    entry: &'t ServiceEntry,
    selection: &Selection<'t>,
    tables: &'t T,
    (redirected, segment): (Redirected, impl FnOnce() -> Segment),
) -> Result<Owner<'t>, End> {
    let index = selection.node.row.index();
    let backend = tables.backend(index).ok_or(MISSING)?;
    let clean = selection.is_clean();
    if backend.serves() && clean && !entry.flags.has(ServiceFlags::FULLY_TRACKED) {
        return Ok(Owner { index, backend, decision: Decision::Current, clean });
    }
    let candidate = Candidate { flow: connection(flow, entry), service, entry, selection: *selection };
    let pick = unsettled(&candidate, redirected, segment(), tables);
    let (index, decision) = pick.decode()?;
    Ok(Owner { index, backend: tables.backend(index).ok_or(MISSING)?, decision, clean })
}

/// The part of a flow that its connection is recorded under: the 5-tuple, but UDP to a 3-tuple service without its ports,
/// for a fragment of it has none. (TCP begins connections that must not stand for each other, and is hardly ever cut.)
#[inline(always)]
fn connection(flow: &Flow, service: &ServiceEntry) -> Flow {
    let portless = service.flags.has(ServiceFlags::THREE_TUPLE) && flow.protocol == protocol::UDP;
    if portless { flow.three_tuple() } else { *flow }
}

/// A backend's index and why it, or an end: one word, which a function of the kernel program can return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pick(u64);

#[expect(clippy::cast_possible_truncation, reason = "the bits of one of its parts are meant")]
impl Pick {
    const END: u64 = 1 << 32;

    #[inline(always)]
    const fn new(index: u32, decision: Decision) -> Self {
        Self((index & 0xffff) as u64 | (decision as u64) << 16)
    }

    #[inline(always)]
    const fn end(end: End) -> Self {
        Self(end.word() as u64 | Self::END)
    }

    #[inline(always)]
    const fn index(self) -> u16 {
        self.0 as u16
    }

    #[inline(always)]
    const fn decode(self) -> Result<(u32, Decision), End> {
        if self.0 & Self::END != 0 {
            return Err(End::of_word(self.0 as u32));
        }
        let decision = match self.0 >> 16 & 3 {
            0 => Decision::Current,
            1 => Decision::Stable,
            2 => Decision::Tracked,
            _ => Decision::Fallback,
        };
        Ok((self.index() as u32, decision))
    }
}

/// A function of its own in the kernel program, too: the way that nearly all packets take stays short.
#[inline(never)]
fn unsettled<T: Tables>(candidate: &Candidate, redirected: Redirected, segment: Segment, tables: &T) -> Pick {
    let Candidate { flow, service, entry, selection } = candidate;
    let current = serving(selection.node.row.index(), Decision::Current, tables);
    if entry.flags.has(ServiceFlags::UNTRACKED) {
        return current.unwrap_or_else(|| fallback(selection, tables));
    }
    // Asked for again rather than handed over: the caller has no room on its stack.
    let Some(control) = tables.control() else { return Pick::end(MISSING) };
    let key = flow.connection(Connection::service_in_key(*service, redirected), control.key());
    let held = tables.connection(key, segment == Segment::Closing);
    if let Some(pick) = held.and_then(|held| recorded(held, segment, tables)) {
        return pick;
    }
    let moving = selection.is_moving();
    let new = segment == Segment::Opening
        || flow.protocol == protocol::UDP && entry.flags.has(ServiceFlags::UDP_MOVES);
    let before = if moving && !new { before(selection, entry, tables) } else { None };
    let pick = before.or(current).unwrap_or_else(|| fallback(selection, tables));
    let full = entry.flags.has(ServiceFlags::FULLY_TRACKED);
    if segment == Segment::Related {
        return pick;
    }
    if pick.decode().is_ok() && (held.is_some() || full || moving || current.is_none()) {
        let insert = match held {
            Some(_) => Insert::Anew,
            None if full => Insert::Full,
            None if new => Insert::New,
            None => Insert::Missed,
        };
        let state = Connection::state_of(segment == Segment::Closing, redirected);
        let connection =
            Connection { backend: pick.index(), state, service: *service, hash: selection.hash.0, seen: 0 };
        tables.record(flow, key, &connection, insert);
    }
    pick
}

/// The backend that the connection is recorded with, if it is still that connection, and the backend serves.
#[inline(always)]
fn recorded<T: Tables>((backend, was_closing): (u16, bool), segment: Segment, tables: &T) -> Option<Pick> {
    if segment == Segment::Opening && was_closing {
        return None;
    }
    serving(backend.into(), Decision::Tracked, tables)
}

/// Who had the flow before its rows began to move, if that backend serves.
#[inline(always)]
fn before<T: Tables>(selection: &Selection, service: &ServiceEntry, tables: &T) -> Option<Pick> {
    let (hash, mut table, mut node) = (selection.hash, selection.table, selection.node);
    if let Some(cluster) = selection.cluster.filter(|cluster| cluster.row.mode() == Mode::Moving) {
        let pool = stable(tables.table(service.select.table())?, cluster.number, tables)?;
        table = node_table(&tables.pool(pool)?, tables).ok()?;
        node = place(table, hash.node_row(table.log2_rows), tables).ok()?;
    }
    let index =
        if node.row.mode() == Mode::Moving { stable(table, node.number, tables)? } else { node.row.index() };
    serving(index, Decision::Stable, tables)
}

#[inline(always)]
fn fallback<T: Tables>(selection: &Selection, tables: &T) -> Pick {
    let Selection { hash, table, spare, .. } = *selection;
    let found = stand_in(hash, table, spare, tables);
    found.map_or(Pick::end(End::drop(Reason::NoBackend)), |index| Pick::new(index, Decision::Fallback))
}

/// Index of the backend that takes the packets of one that does not serve, in a pool with this table and spare.
#[inline(always)]
pub fn stand_in<T: Tables>(hash: FlowHash, table: &TableEntry, spare: u16, tables: &T) -> Option<u32> {
    let serves = |index: u32| tables.backend(index).is_some_and(BackendEntry::serves);
    for try_number in 1..=FALLBACK_TRIES {
        let index = place(table, hash.fallback_row(try_number, table.log2_rows), tables).ok()?.row.index();
        if serves(index) {
            return Some(index);
        }
    }
    let spare = spare.into();
    serves(spare).then_some(spare)
}

#[inline(always)]
fn serving<T: Tables>(index: u32, decision: Decision, tables: &T) -> Option<Pick> {
    tables.backend(index).is_some_and(BackendEntry::serves).then_some(Pick::new(index, decision))
}
