use crate::clamp::{Change, Outgoing};
use crate::frame::Frame;
use crate::probe::{Carries, Way, Wrapped};
use aya_ebpf::bindings::bpf_adj_room_mode::BPF_ADJ_ROOM_MAC;
use aya_ebpf::bindings::{
    __sk_buff, BPF_ADJ_ROOM_ENCAP_L2_SHIFT, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4, BPF_F_ADJ_ROOM_ENCAP_L3_IPV6,
    BPF_F_ADJ_ROOM_ENCAP_L4_UDP,
};
use aya_ebpf::helpers::generated::bpf_skb_adjust_room;
use aya_ebpf::programs::TcContext;
use bytemuck::Pod;
use core::ptr::read_volatile;
use lb_common::abi::ProbeMark;

/// As in [`XdpFrame`](super::XdpFrame).
const MAX_OFFSET: usize = 0x3fff;
/// No answer to a SYN is longer, in bytes: link header and tags, forty bytes of addresses or sixty with options, a TCP
/// header with all options, and some data perhaps.
const SHORT: u32 = 256;

/// The packet of a traffic control context. Its tag, if it has one, may lie beside it.
pub struct TcFrame {
    context: TcContext,
    data: usize,
    data_end: usize,
    /// What the helper is told of headers that are put before the packet.
    carries: u64,
}

/// Mark and way out of a frame that a probe sends; `None`: it is anybody else's.
#[inline(always)]
pub fn sent(context: &TcContext) -> Option<(ProbeMark, Way)> {
    let skb = context.skb.skb;
    // SAFETY: the context is the one this program was called with. Volatile: the kernel takes a field by itself only, and
    // at its own offset.
    let (mark, interface, segment) = unsafe {
        (
            read_volatile(&raw const (*skb).mark),
            read_volatile(&raw const (*skb).ifindex),
            read_volatile(&raw const (*skb).gso_size),
        )
    };
    Some((ProbeMark::of_packet(mark)?, Way { interface, segmented: segment != 0 }))
}

impl TcFrame {
    /// The frame as it is to leave. Of a long one only the first bytes may lie in one piece, which with all that this
    /// kernel sends are its headers; a short one is put into one piece.
    #[inline(always)]
    pub fn new(context: TcContext) -> Self {
        let length = context.len();
        if length <= SHORT && in_one_piece(context.skb.skb) < length {
            // What stays in pieces has no header to be read, and goes as it is.
            let _ = context.pull_data(length);
        }
        let (data, data_end) = (context.data(), context.data_end());
        Self { context, data, data_end, carries: 0 }
    }

    /// Takes the mark off.
    #[inline(always)]
    pub fn unmark(&mut self) {
        // SAFETY: the context is the one this program was called with.
        unsafe { (&raw mut (*self.context.skb.skb).mark).write_volatile(0) };
    }

    #[inline(always)]
    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        let start = self.data + (offset & MAX_OFFSET);
        (start + size_of::<T>() <= self.data_end).then_some(start as *mut T)
    }
}

/// How many bytes can be read. Numbers, not pointers, as in [`XdpFrame`](super::XdpFrame).
#[inline(always)]
fn in_one_piece(context: *mut __sk_buff) -> u32 {
    // SAFETY: the context is the one this program was called with.
    let (data, data_end) =
        unsafe { (read_volatile(&raw const (*context).data), read_volatile(&raw const (*context).data_end)) };
    data_end - data
}

/// A program that writes headers gets a copy of its own of every frame that this machine's sockets keep to send it again,
/// from the kernel and before it begins. So only what must writes them; [`Outgoing::make`] goes by helpers.
impl Frame for TcFrame {
    #[inline(always)]
    fn holds(&self, length: usize) -> bool {
        length <= self.context.len() as usize
    }

    #[inline(always)]
    fn header<T: Pod>(&self, offset: usize) -> Option<&T> {
        const { assert!(align_of::<T>() == 1, "headers are packed") }
        // SAFETY: as in `XdpFrame`.
        self.at(offset).map(|header| unsafe { &*header })
    }

    #[inline(always)]
    fn header_mut<T: Pod>(&mut self, offset: usize) -> Option<&mut T> {
        const { assert!(align_of::<T>() == 1, "headers are packed") }
        // SAFETY: as in `XdpFrame`.
        self.at(offset).map(|header| unsafe { &mut *header })
    }

    /// Between the Ethernet header and the packet, so that what the kernel knows of its headers, for a checksum that is
    /// not finished or segments that are not cut, stays true.
    #[inline(always)]
    fn grow(&mut self, by: i32) -> Option<()> {
        // SAFETY: the context is the one this program was called with. The pointers that the helper makes invalid are
        // read anew below, and no header outlives the mutable borrow.
        if unsafe { bpf_skb_adjust_room(self.context.skb.skb, by, BPF_ADJ_ROOM_MAC, self.carries) } != 0 {
            return None;
        }
        (self.data, self.data_end) = (self.context.data(), self.context.data_end());
        Some(())
    }

    #[inline(always)]
    fn cut(&mut self, _length: usize) -> Option<()> {
        None
    }

    #[inline(always)]
    fn ingress(&self) -> u32 {
        // SAFETY: the context is the one this program was called with.
        unsafe { (*self.context.skb.skb).ingress_ifindex }
    }
}

impl Wrapped for TcFrame {
    #[inline(always)]
    fn carries(&mut self, what: Carries) {
        let outer = if what.outer_v6 { BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 } else { BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 };
        let udp = if what.udp { BPF_F_ADJ_ROOM_ENCAP_L4_UDP } else { 0 };
        self.carries = u64::from(outer | udp) | u64::from(what.link) << BPF_ADJ_ROOM_ENCAP_L2_SHIFT;
    }
}

impl Outgoing for TcFrame {
    /// The helper knows whether the checksum is finished, and leaves alone one that is not.
    #[inline(always)]
    fn make(&mut self, change: &Change) -> Option<()> {
        // The option lies behind the checksum: where it can be written, so can that.
        self.context.store(change.offset, &change.value, 0).ok()?;
        let (from, to) = (u64::from(change.from), u64::from(change.to));
        let written = self.context.l4_csum_replace(change.checksum, from, to, size_of::<u16>() as u64);
        // Both move the packet, perhaps.
        (self.data, self.data_end) = (self.context.data(), self.context.data_end());
        written.ok()
    }
}
