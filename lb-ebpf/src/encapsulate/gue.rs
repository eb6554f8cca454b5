//! Generic UDP Encapsulation, variant 0 (draft-ietf-intarea-gue, section 3): a data message without options.

use super::inner_protocol;
use crate::frame::Frame;
use crate::wire::{Gue, Udp};
use lb_common::net::Family;

/// Bytes between the outer IP header and the packet.
pub const LENGTH: usize = size_of::<Gue>();

/// Writes both headers at `offset`. `None` if the frame ends before they do.
#[inline(always)]
pub(super) fn write<F: Frame>(frame: &mut F, offset: usize, udp: Udp, inner: Family) -> Option<()> {
    let header = frame.header_mut::<Gue>(offset)?;
    header.udp = udp;
    header.word = (u32::from(inner_protocol(inner)) << 16).to_be();
    Some(())
}
