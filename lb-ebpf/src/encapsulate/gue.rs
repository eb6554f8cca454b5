//! Generic UDP Encapsulation, variant 0 (draft-ietf-intarea-gue, section 3): a data message without options, and as
//! private data a keyed tag, if one is wanted, and the earlier owners of the packet's rows, if there are any; or to another
//! cluster's gateway how often it may be redirected.

use super::inner_protocol;
use crate::chain::header::{Header, address_length};
use crate::chain::{Earlier, header};
use crate::frame::Frame;
use crate::redirect::is_gateway;
use crate::tables::Tables;
use crate::wire::{Gue, HalfWord, Udp, WideAddress, Word};
use lb_common::abi::{ASKED, BackendEntry, BackendFlags, Features};
use lb_common::net::Family;
use lb_common::tag::Tag;

/// Bytes between the outer IP header and a packet that nothing travels with.
pub const LENGTH: usize = size_of::<Gue>();

/// Bytes between the outer IP header and a packet of which these earlier owners may be asked. Nobody is asked after what
/// goes to another cluster's gateway.
#[inline(always)]
pub fn length(backend: &BackendEntry, features: Features, earlier: Earlier) -> usize {
    LENGTH + private(backend, features, earlier)
}

/// Bytes of GUE's private data.
#[inline(always)]
fn private(backend: &BackendEntry, features: Features, earlier: Earlier) -> usize {
    if is_gateway(backend, features) {
        Header::LENGTH
    } else {
        header::length(earlier.count(), is_v6(backend), is_tagged(backend, features))
    }
}

/// The most that these bytes may be.
#[inline(always)]
pub fn longest(backend: &BackendEntry, features: Features) -> usize {
    let chained = features.has(Features::CHAIN) && backend.route.flags.has(BackendFlags::CHAIN);
    let room = header::room(is_v6(backend), chained, is_tagged(backend, features));
    LENGTH + if is_gateway(backend, features) { Header::LENGTH } else { room }
}

/// Whether packets to the backend carry a keyed tag.
#[inline(always)]
pub fn is_tagged(backend: &BackendEntry, features: Features) -> bool {
    features.has(Features::TAG) && backend.route.flags.has(BackendFlags::TAG)
}

#[inline(always)]
fn is_v6(backend: &BackendEntry) -> bool {
    backend.route.flags.has(BackendFlags::OUTER_V6)
}

/// Writes all of it at `offset`, but for the tag. `None` if the frame ends before it does.
#[inline(always)]
pub(super) fn write<F: Frame, T: Tables>(
    frame: &mut F,
    offset: usize,
    udp: Udp,
    inner: Family,
    (backend, features, earlier): (&BackendEntry, Features, Earlier),
    tables: &T,
) -> Option<()> {
    let (count, v6, tagged) = (earlier.count(), is_v6(backend), is_tagged(backend, features));
    let words = (private(backend, features, earlier) / size_of::<u32>()) as u32;
    let header = frame.header_mut::<Gue>(offset)?;
    header.udp = udp;
    header.word = (words << 24 | u32::from(inner_protocol(inner)) << 16).to_be();
    let start = offset + LENGTH;
    if is_gateway(backend, features) {
        frame.header_mut::<HalfWord>(start)?.half = Header::TO_GATEWAY.wire();
        return Some(());
    }
    if count == 0 && !tagged {
        return Some(());
    }
    frame.header_mut::<HalfWord>(start)?.half = Header::new(count).tagged(tagged).wire();
    for at in 0..ASKED {
        if at >= count {
            break;
        }
        let address = tables.backend(earlier.index(at))?.destination;
        let start = start + header::before(tagged) + at * address_length(v6);
        if v6 {
            frame.header_mut::<WideAddress>(start)?.set(&address);
        } else {
            frame.header_mut::<HalfWord>(start)?.half = address.v4_word();
        }
    }
    Some(())
}

/// Writes the tag of what begins at `offset`. `None` if the frame ends before it does.
#[inline(always)]
pub(super) fn write_tag<F: Frame>(frame: &mut F, offset: usize, tag: Tag) -> Option<()> {
    frame.header_mut::<Word>(offset + LENGTH + Header::LENGTH)?.word = tag.wire();
    Some(())
}
