//! What a receiver does with a frame: the outer headers come off, if a known gateway put them there for this node, and
//! the connection is this node's.
//!
//! 1. [`tunnel`]: is it a tunnel packet for this node, and where does the packet in it begin;
//! 2. [`tag`]: did somebody with the key send it, if this node knows keys;
//! 3. [`own`]: is its connection this node's, where others may have it ([`chain`](crate::chain));
//! 4. [`send_on`]: if not, on to the next who may have it;
//! 5. [`decapsulate`]: if so, the packet in it to the front of the frame, for the kernel to take.
//!
//! What is no tunnel packet for this node is the kernel's, however odd: nothing of it is looked at twice.

pub mod decapsulate;
pub mod own;
pub mod send_on;
pub mod tag;
pub mod tunnel;

use crate::frame::Frame;
use lb_common::abi::{Accepted, AccessKey, KnownKey, NodeHop, TunnelKind};
use lb_common::flow::Flow;
use lb_common::net::Address;
use lb_common::reason::ReceiverReason;

/// What a receiver may look up and count.
pub trait Node {
    /// What it takes off.
    fn accepted(&self) -> Option<&Accepted>;

    /// Whether the address is one of the node's own.
    fn is_own(&self, address: &Address) -> bool;

    /// Whether a source is a gateway's, or another node's that sends on: the key of policy 0.
    fn is_peer(&self, source: &AccessKey) -> bool;

    /// Whether a socket of this node has the TCP connection: not one that listens, unless the packet brings back a SYN
    /// cookie that it sent. The packet's IP header lies at `ip`, its TCP header at `tcp`.
    fn has_socket<F: Frame>(&self, _frame: &F, _flow: &Flow, _ip: usize, _tcp: usize) -> bool {
        false
    }

    /// Whether the node took packets of this flow before. If it has ended, only one with a sequence number about its end
    /// is of it; of UDP, 0.
    fn owns(&self, _flow: &Flow, _sequence: u32) -> bool {
        false
    }

    /// Remembers that a packet of this flow is taken, one of its last if it `ends`.
    fn own(&self, _flow: &Flow, _sequence: u32, _ends: bool) {}

    /// The way to another node.
    fn hop(&self, _address: &Address) -> Option<NodeHop> {
        None
    }

    /// What is known of an epoch of tags.
    fn tunnel_key(&self, _epoch: u8) -> Option<&KnownKey> {
        None
    }

    /// The same word ([`Tables::forgotten`](crate::tables::Tables::forgotten)).
    #[inline(always)]
    fn forgotten(&self, word: u64) -> u64 {
        word
    }

    /// A packet of `bytes` bytes was taken out of a tunnel.
    fn count_taken(&self, kind: TunnelKind, bytes: u64);

    /// A packet ended for this reason.
    fn count_reason(&self, reason: ReceiverReason);
}

/// What the kernel is to do with the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// On to the kernel's own stack.
    Pass,
    /// Away with it.
    Drop,
    /// Out of the interface with this index.
    Send(u32),
}

/// A frame's way from arrival to the verdict. It is changed only if its outer headers come off, or it is sent on.
#[inline(always)]
pub fn process<F: Frame, N: Node>(frame: &mut F, node: &N) -> Verdict {
    match receive(frame, node) {
        Ok(verdict) => verdict,
        Err(ReceiverReason::NotTunnelled) => Verdict::Pass,
        Err(reason) => {
            node.count_reason(reason);
            Verdict::Drop
        }
    }
}

#[inline(always)]
fn receive<F: Frame, N: Node>(frame: &mut F, node: &N) -> Result<Verdict, ReceiverReason> {
    let accepted = node.accepted().ok_or(ReceiverReason::NotTunnelled)?;
    let tunnel = tunnel::find(frame, node, accepted)?;
    tag::check(frame, node, accepted.flags, &tunnel)?;
    let ours = own::is_ours(frame, node, accepted, &tunnel);
    if let Some(chain) = tunnel.chain {
        if !ours {
            return send_on::send_on(frame, node, &tunnel.outer, chain);
        }
        if chain.header.is_final() {
            node.count_reason(ReceiverReason::NobodysTaken);
        }
    }
    let bytes = decapsulate::take_off(frame, &tunnel)?;
    node.count_taken(tunnel.kind, bytes as u64);
    Ok(Verdict::Pass)
}

#[cfg(test)]
mod tests;
