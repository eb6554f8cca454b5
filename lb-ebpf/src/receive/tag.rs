//! Was a tunnel packet sent by somebody with the key? Asked before anything in it is believed, also of what came by way of
//! another node: what the tag covers does not change there.

use super::Node;
use super::tunnel::Tunnel;
use crate::frame::Frame;
use crate::seal::seal;
use crate::wire::Word;
use lb_common::abi::AcceptedFlags;
use lb_common::reason::ReceiverReason as Reason;
use lb_common::tag::Tag;

/// A node that knows no keys asks nothing.
///
/// Errors: [`Reason::WrongTag`]; [`Reason::MissingTag`] where one is required.
#[inline(always)]
pub fn check<F: Frame, N: Node>(
    frame: &F,
    node: &N,
    flags: AcceptedFlags,
    tunnel: &Tunnel,
) -> Result<(), Reason> {
    if !flags.has(AcceptedFlags::KEYS) {
        return Ok(());
    }
    match tunnel.tag {
        Some(at) if is_right(frame, node, at, tunnel) => Ok(()),
        Some(_) => Err(Reason::WrongTag),
        None if flags.has(AcceptedFlags::TAG_REQUIRED) => Err(Reason::MissingTag),
        None => Ok(()),
    }
}

#[inline(always)]
fn is_right<F: Frame, N: Node>(frame: &F, node: &N, at: usize, tunnel: &Tunnel) -> bool {
    // Both offsets are forgotten: there are many, and what follows is the same for all.
    let places = node.forgotten(tunnel.inner as u64 | (at as u64) << 8);
    let (inner, at) = ((places & 0xff) as usize, (places >> 8 & 0xff) as usize);
    let Some(tag) = frame.header::<Word>(at).and_then(|tag| Tag::of_wire(tag.word)) else { return false };
    let Some(known) = node.tunnel_key(tag.epoch()).filter(|key| key.known != 0) else { return false };
    seal(frame, inner, tunnel.family, (tag.epoch(), &known.key)) == Some(tag)
}
