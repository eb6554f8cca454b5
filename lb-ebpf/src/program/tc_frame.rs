use crate::clamp::{Change, Outgoing};
use crate::frame::Frame;
use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::programs::TcContext;
use bytemuck::Pod;
use core::ptr::read_volatile;

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
        Self { context, data, data_end }
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

/// It is written by [`Outgoing::make`] alone.
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
    fn header_mut<T: Pod>(&mut self, _offset: usize) -> Option<&mut T> {
        None
    }

    #[inline(always)]
    fn grow(&mut self, _by: i32) -> Option<()> {
        None
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
