//! Where a node refuses a connection to a VIP, that is counted: the client hears of it, but no gateway does, for the
//! answer goes from the node straight to the client.
//!
//! A refusal is the reset that answers a SYN to a port on which nothing listens: it acknowledges, and its sequence number
//! is 0, for the SYN acknowledged nothing from which to take one (RFC 9293, section 3.10.7.1). Or it is the message that
//! the port is unreachable (RFC 792, RFC 4443), which answers UDP without a socket, and whatever a service proxy rejects.
//! What a client sees as often is counted as often.

use crate::frame::Frame;
use crate::leave::{FLAGS, Sender, TCP_LENGTH, segment};
use crate::parse::{self, IPV4_LENGTH, Network};
use crate::wire::{IcmpMessage, Ports, protocol};
use lb_common::abi::RefusedKey;
use lb_common::net::Family;

/// RST and ACK, of [`FLAGS`].
const REFUSAL: u16 = 0b1_0100;
/// Type and code of "port unreachable", as their two bytes are read natively.
const UNREACHABLE_V4: u16 = u16::from_ne_bytes([3, 3]);
const UNREACHABLE_V6: u16 = u16::from_ne_bytes([1, 4]);

/// What is counted.
pub trait Refusals: Sender {
    /// A connection to that was refused.
    fn count_refused(&self, key: &RefusedKey);
}

/// Looks at a frame on its way out.
#[inline(always)]
pub fn process<F: Frame, R: Refusals>(frame: &F, network: &Network, refusals: &R) {
    let Some(key) = reset(frame, network).or_else(|| unreachable(frame, network, refusals)) else { return };
    if !refusals.is_own(&key.address) {
        refusals.count_refused(&key);
    }
}

#[inline(always)]
fn reset<F: Frame>(frame: &F, network: &Network) -> Option<RefusedKey> {
    let (start, state) = segment(frame, network)?;
    let refuses = state.offset_flags.get() & FLAGS == REFUSAL && state.sequence == 0;
    let whole = start + TCP_LENGTH <= network.end() && frame.holds(network.end());
    (refuses && whole).then(|| RefusedKey::new(network.source, state.ports.source, protocol::TCP))
}

/// What the message quotes is the client's packet, whose destination is what cannot be reached.
#[inline(always)]
fn unreachable<F: Frame, R: Refusals>(frame: &F, network: &Network, refusals: &R) -> Option<RefusedKey> {
    let (next, unreachable) = match network.family {
        Family::V4 => (protocol::ICMP, UNREACHABLE_V4),
        Family::V6 => (protocol::ICMPV6, UNREACHABLE_V6),
    };
    if network.next != next || network.fragment || network.header_length < IPV4_LENGTH {
        return None;
    }
    let message = network.offset + network.header_length;
    if frame.header::<IcmpMessage>(message)?.kind_code != unreachable || !frame.holds(network.end()) {
        return None;
    }
    // As with answers to SYNs: few frames come here, and by many ways.
    let at = (refusals.forgotten((message + size_of::<IcmpMessage>()) as u64) & 0xff) as usize;
    let quoted = parse::ip(frame, network.family, at)?;
    let known = matches!(quoted.next, protocol::TCP | protocol::UDP);
    if !known || quoted.fragment || quoted.header_length < IPV4_LENGTH {
        return None;
    }
    let ports = at + quoted.header_length;
    let whole = ports + size_of::<Ports>() <= network.end();
    let port = frame.header::<Ports>(ports)?.destination;
    whole.then(|| RefusedKey::new(quoted.destination, port, quoted.next))
}

#[cfg(test)]
mod tests;
