//! Evidence: what clients' packets say about the backends that they go to, without a probe. Replies are never seen here, but
//! a client that acknowledges had one, and a client that sends its SYN again had none in time.
//!
//! 1. A key of flow and service says whether a flow is followed, one in so many, and in which slot. The hash of the affinity
//!    does not do alone: it may be the same for all flows of a client.
//! 2. The slot is the flow's, or is taken by it if nothing is lost: a handshake keeps its slot for [`PATIENCE`], for the
//!    first retransmission comes after a second (RFC 6298), and an active flow keeps it from flows that are older.
//! 3. What the packet says goes to the backend that the flow's first packet went to ([`Found`]).
//!
//! Retransmitted SYNs count, missing ACKs do not: a flood of SYNs nobody stands behind says nothing about backends. What a
//! flood can do is take slots for [`PATIENCE`] each; then fewer flows are followed.

use crate::parse::Transport;
use crate::tables::Tables;
use crate::wire::protocol;
use lb_common::abi::{Control, Evidence, Features, SAMPLED_FLOWS, SampledFlow};
use lb_common::flow::{Flow, FlowHash};

/// log2 of nanoseconds for which a handshake keeps its slot from others: 2.1 s.
pub const PATIENCE: u32 = 31;
/// log2 of nanoseconds before which a SYN that comes again is a copy that the network made, and says nothing: 268 ms. No stack
/// sends it again so soon: after a second by RFC 6298, after 300 ms at the earliest where that is set (Windows).
pub const SOONEST: u32 = 28;
/// log2 of nanoseconds after which a SYN is of another connection: 137 s, longer than a client retries by default (Linux:
/// `tcp_syn_retries`, 127 s).
pub const MEMORY: u32 = 37;
/// Odd, and with as many ones as zeros: 2^64 over the golden ratio.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// What a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Signal {
    /// A SYN.
    Opens = 0,
    /// An acknowledgement: there was an answer.
    Acknowledges = 1,
    /// An RST.
    Resets = 2,
    /// A datagram.
    Datagram = 3,
}

impl Signal {
    #[inline(always)]
    const fn of(number: u32) -> Self {
        match number & 3 {
            0 => Self::Opens,
            1 => Self::Acknowledges,
            2 => Self::Resets,
            _ => Self::Datagram,
        }
    }
}

/// Takes note of a packet that goes to a backend.
#[inline(always)]
pub fn note<T: Tables>(
    hash: FlowHash,
    transport: &Transport,
    service: u32,
    backend: u32,
    control: &Control,
    tables: &T,
) {
    if !tables.features().has(Features::EVIDENCE) {
        return;
    }
    let key = key(hash, &transport.flow, service);
    if (key >> 48) < u64::from(control.sampled) {
        follow(key, backend, transport.signal() as u32, tables);
    }
}

/// The key of a flow. Its highest bits say whether it is followed, others in which slot.
#[inline(always)]
fn key(hash: FlowHash, flow: &Flow, service: u32) -> u64 {
    let ports = u64::from(flow.source_port.word()) | u64::from(flow.destination_port.word()) << 16;
    let transport = if flow.protocol == protocol::TCP { 1 << 63 } else { 0 };
    (hash.0 ^ ports ^ u64::from(service) << 32 ^ transport).wrapping_mul(FACTOR)
}

/// A function of its own in the kernel program: few packets come here.
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "bits of the key are meant")]
fn follow<T: Tables>(key: u64, backend: u32, signal: u32, tables: &T) {
    let slot = (key >> 24) as u32 & (SAMPLED_FLOWS - 1);
    tables.sampled(slot, |flow, now| meet(flow, key, (backend, Signal::of(signal)), now));
}

/// What a packet of a sampled flow tells: bits, and of a handshake that completed how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Whom it is about.
    pub backend: u16,
    bits: u32,
    micros: u64,
}

impl Found {
    const BEGUN: u32 = 1;
    const COMPLETED: u32 = 1 << 1;
    const RETRIED: u32 = 1 << 2;
    const RECOVERED: u32 = 1 << 3;
    const ABANDONED: u32 = 1 << 4;
    const RESET: u32 = 1 << 5;
    const ACTIVE: u32 = 1 << 6;

    #[inline(always)]
    const fn of(backend: u16, bits: u32) -> Self {
        Self { backend, bits, micros: 0 }
    }

    /// One of a bit, or none.
    #[inline(always)]
    const fn one(&self, bit: u32) -> u64 {
        (self.bits & bit != 0) as u64
    }

    /// Counts it.
    #[inline(always)]
    pub fn count(&self, evidence: &mut Evidence) {
        evidence.begun += self.one(Self::BEGUN);
        evidence.completed += self.one(Self::COMPLETED);
        evidence.retried += self.one(Self::RETRIED);
        evidence.recovered += self.one(Self::RECOVERED);
        evidence.abandoned += self.one(Self::ABANDONED);
        evidence.resets += self.one(Self::RESET);
        evidence.active += self.one(Self::ACTIVE);
        evidence.in_a_row += self.one(Self::RETRIED);
        if self.one(Self::COMPLETED) != 0 {
            evidence.in_a_row = 0;
        }
        if self.one(Self::COMPLETED | Self::RECOVERED) != 0
            && let Some(time) = evidence.times.get_mut(Evidence::bucket(self.micros))
        {
            *time += 1;
        }
    }
}

/// A packet of the flow under `key`, which goes to a backend, meets what is in the flow's slot at `now`, in nanoseconds.
#[inline(always)]
pub fn meet(flow: &mut SampledFlow, key: u64, (backend, signal): (u32, Signal), now: u64) -> Found {
    #[expect(clippy::cast_possible_truncation, reason = "an index of a backend has 14 bits")]
    let to = backend as u16;
    if flow.key != key {
        return arrives(flow, key, (to, signal), now);
    }
    let opening = flow.state & SampledFlow::OPENING != 0;
    match signal {
        Signal::Opens if opening && now.wrapping_sub(flow.begun) >> MEMORY == 0 => retried(flow, now),
        // Its ports are used again.
        Signal::Opens => begin(flow, key, (to, signal), now),
        Signal::Resets => {
            flow.state = 0;
            Found::of(flow.backend, if opening { Found::ABANDONED } else { Found::RESET })
        }
        Signal::Acknowledges if opening && flow.backend == to => answered(flow, now),
        // The row has moved: another has answered.
        Signal::Acknowledges if opening => {
            flow.state = 0;
            Found::of(to, 0)
        }
        Signal::Acknowledges | Signal::Datagram => Found::of(flow.backend, active(flow, now)),
    }
}

#[inline(always)]
fn retried(flow: &mut SampledFlow, now: u64) -> Found {
    if now.wrapping_sub(flow.begun) >> SOONEST == 0 {
        return Found::of(flow.backend, 0);
    }
    let before = flow.state;
    flow.state |= SampledFlow::RETRIED;
    Found::of(flow.backend, if before & SampledFlow::RETRIED == 0 { Found::RETRIED } else { 0 })
}

#[inline(always)]
fn answered(flow: &mut SampledFlow, now: u64) -> Found {
    let late = flow.state & SampledFlow::RETRIED != 0;
    flow.state = 0;
    // Nanoseconds over 1,024: 2.4 % less than microseconds, of no weight beside the width of a bucket.
    let micros = now.wrapping_sub(flow.begun) >> 10;
    let bits = if late { Found::RECOVERED } else { Found::COMPLETED };
    Found { micros, ..Found::of(flow.backend, bits) }
}

/// Whether it was not yet counted in the interval that this is. Each flow has its own, or all would be counted at once.
#[inline(always)]
fn active(flow: &mut SampledFlow, now: u64) -> u32 {
    let interval = |at: u64| at.wrapping_add(flow.key >> (64 - Evidence::INTERVAL)) >> Evidence::INTERVAL;
    if interval(flow.seen) == interval(now) {
        return 0;
    }
    flow.seen = now;
    Found::ACTIVE
}

/// A flow that does not have its slot takes it, unless that has another that is not to be lost.
#[inline(always)]
fn arrives(flow: &mut SampledFlow, key: u64, (backend, signal): (u16, Signal), now: u64) -> Found {
    let opening = flow.state & SampledFlow::OPENING != 0 && now.wrapping_sub(flow.begun) >> PATIENCE == 0;
    let active = flow.key != 0 && now.wrapping_sub(flow.seen) >> Evidence::INTERVAL == 0;
    match signal {
        Signal::Resets => Found::of(backend, 0),
        // It began all the same.
        Signal::Opens if opening => Found::of(backend, Found::BEGUN),
        Signal::Acknowledges | Signal::Datagram if opening || active => Found::of(backend, 0),
        _ => begin(flow, key, (backend, signal), now),
    }
}

#[inline(always)]
fn begin(flow: &mut SampledFlow, key: u64, (backend, signal): (u16, Signal), now: u64) -> Found {
    let state = if signal == Signal::Opens { SampledFlow::OPENING } else { 0 };
    *flow = SampledFlow { key, begun: now, seen: now, backend, state, padding: 0 };
    // An acknowledgement is of a flow that began when it was not followed.
    let begun = if signal == Signal::Acknowledges { 0 } else { Found::BEGUN };
    Found::of(backend, begun | Found::ACTIVE)
}

#[cfg(test)]
mod tests;
