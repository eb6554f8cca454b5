//! What a receiver does with a frame: the outer headers come off, if a known gateway put them there for this node.
//!
//! 1. [`tunnel`]: is it a tunnel packet for this node, and where does the packet in it begin;
//! 2. [`decapsulate`]: the packet in it to the front of the frame, for the kernel to take.
//!
//! What is no tunnel packet for this node is the kernel's, however odd: nothing of it is looked at twice.

pub mod decapsulate;
pub mod tunnel;

use crate::frame::Frame;
use lb_common::abi::{Accepted, AccessKey, TunnelKind};
use lb_common::net::Address;
use lb_common::reason::ReceiverReason;

/// What a receiver may look up and count.
pub trait Node {
    /// What it takes off.
    fn accepted(&self) -> Option<&Accepted>;

    /// Whether the address is one of the node's own.
    fn is_own(&self, address: &Address) -> bool;

    /// Whether a source is a gateway's: the key of policy 0.
    fn is_peer(&self, source: &AccessKey) -> bool;

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
}

/// A frame's way from arrival to the verdict. It is changed only if its outer headers come off.
#[inline(always)]
pub fn process<F: Frame, N: Node>(frame: &mut F, node: &N) -> Verdict {
    match receive(frame, node) {
        Ok(()) | Err(ReceiverReason::NotTunnelled) => Verdict::Pass,
        Err(reason) => {
            node.count_reason(reason);
            Verdict::Drop
        }
    }
}

#[inline(always)]
fn receive<F: Frame, N: Node>(frame: &mut F, node: &N) -> Result<(), ReceiverReason> {
    let tunnel = tunnel::find(frame, node)?;
    let bytes = decapsulate::take_off(frame, &tunnel)?;
    node.count_taken(tunnel.kind, bytes as u64);
    Ok(())
}

#[cfg(test)]
mod tests;
