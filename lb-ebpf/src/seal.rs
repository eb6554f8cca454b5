//! The keyed tag of a packet: made at the gateway, made again at the receiver.

use crate::frame::Frame;
use crate::wire::{HeadV4, HeadV6};
use lb_common::abi::TunnelKey;
use lb_common::net::Family;
use lb_common::tag::{Tag, digest_v4, digest_v6};

/// The tag of this epoch of the packet whose IP header lies at `offset`. `None`: the frame ends before the header does,
/// or 0 is no epoch.
#[inline(always)]
pub fn seal<F: Frame>(
    frame: &F,
    offset: usize,
    family: Family,
    (epoch, key): (u8, &TunnelKey),
) -> Option<Tag> {
    Tag::of_word(match family {
        Family::V4 => of_v4(frame.header(offset)?, key, epoch),
        Family::V6 => of_v6(frame.header(offset)?, key, epoch),
    })
}

/// Functions of their own in the kernel program: the registers of what goes on around them are few.
#[inline(never)]
fn of_v4(header: &HeadV4, key: &TunnelKey, epoch: u8) -> u64 {
    Tag::word(epoch, digest_v4(key.key(), header.words, header.half))
}

#[inline(never)]
fn of_v6(header: &HeadV6, key: &TunnelKey, epoch: u8) -> u64 {
    Tag::word(epoch, digest_v6(key.key(), header.words))
}
