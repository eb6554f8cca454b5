//! What a node does with a frame it sends, whatever it is: what it refuses is counted ([`refuse`]), what it accepts is
//! clamped ([`clamp`]).
//!
//! Both are about VIPs, and a packet is a VIP's if its source is no address of the node's own. Nothing else needs to be
//! known: no list of VIPs, no state. A pod that answers by an address of its own is taken for a VIP.

use crate::clamp::{self, Limits, Outgoing};
use crate::frame::Frame;
use crate::parse::{self, IPV4_LENGTH, Network};
use crate::refuse::{self, Refusals};
use crate::wire::{TcpState, protocol};
use lb_common::net::Address;

/// Bytes of a TCP header without options.
pub(crate) const TCP_LENGTH: usize = 20;
/// Flags: FIN, SYN, RST, ACK.
pub(crate) const FLAGS: u16 = 0b1_0111;

/// What both ask.
pub trait Sender {
    /// Whether the address is one of the node's own.
    fn is_own(&self, address: &Address) -> bool;

    /// The same word, of which the verifier knows nothing, as of that of
    /// [`Tables::forgotten`](crate::tables::Tables::forgotten).
    #[inline(always)]
    fn forgotten(&self, word: u64) -> u64 {
        word
    }
}

/// A frame's way out.
#[inline(always)]
pub fn process<F: Outgoing, S: Limits + Refusals>(frame: &mut F, sender: &S) {
    let Ok(network) = parse::network(frame) else { return };
    refuse::process(frame, &network, sender);
    clamp::process(frame, &network, sender);
}

/// The same where nothing is clamped.
#[inline(always)]
pub fn look<F: Frame, R: Refusals>(frame: &F, sender: &R) {
    if let Ok(network) = parse::network(frame) {
        refuse::process(frame, &network, sender);
    }
}

/// Where a segment of TCP begins, and what it begins with. What extension headers or a fragment's place are before it, no
/// kernel sends where a connection begins.
#[inline(always)]
pub(crate) fn segment<'f, F: Frame>(frame: &'f F, network: &Network) -> Option<(usize, &'f TcpState)> {
    if network.next != protocol::TCP || network.fragment || network.header_length < IPV4_LENGTH {
        return None;
    }
    let start = network.offset + network.header_length;
    Some((start, frame.header::<TcpState>(start)?))
}
