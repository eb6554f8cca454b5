use crate::frame::Frame;
use aya_ebpf::helpers::generated::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail};
use aya_ebpf::programs::XdpContext;
use bytemuck::Pod;
use core::ptr::read_volatile;

/// The largest offset a header is read at. The verifier wants a bound on every variable offset.
const MAX_OFFSET: usize = 0x3fff;

/// The packet of an XDP context.
pub struct XdpFrame {
    context: XdpContext,
    data: usize,
    data_end: usize,
}

impl XdpFrame {
    /// The frame as it arrived.
    #[inline(always)]
    pub fn new(context: XdpContext) -> Self {
        let (data, data_end) = (context.data(), context.data_end());
        Self { context, data, data_end }
    }

    #[inline(always)]
    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        let start = self.data + (offset & MAX_OFFSET);
        (start + size_of::<T>() <= self.data_end).then_some(start as *mut T)
    }
}

impl Frame for XdpFrame {
    #[inline(always)]
    fn holds(&self, length: usize) -> bool {
        // Numbers, not pointers: most verifiers forget the bounds of a length whose bytes were swapped, and a
        // mask that would give them back the compiler leaves out, for it does not forget. Read anew: it would
        // conclude from this that headers lie inside the frame, and leave out the comparisons in `at`, but the
        // verifier cannot.
        // SAFETY: the context is the one this program was called with.
        let (data, data_end) = unsafe {
            let context = self.context.ctx;
            (read_volatile(&raw const (*context).data), read_volatile(&raw const (*context).data_end))
        };
        length <= (data_end - data) as usize
    }

    #[inline(always)]
    fn header<T: Pod>(&self, offset: usize) -> Option<&T> {
        const { assert!(align_of::<T>() == 1, "headers are packed") }
        // SAFETY: `at` has compared the header's end with the packet's, which the verifier checks again;
        // T is packed, so any address is aligned, and any bytes are a T.
        self.at(offset).map(|header| unsafe { &*header })
    }

    #[inline(always)]
    fn header_mut<T: Pod>(&mut self, offset: usize) -> Option<&mut T> {
        const { assert!(align_of::<T>() == 1, "headers are packed") }
        // SAFETY: as above; the frame is borrowed mutably, so no other header is.
        self.at(offset).map(|header| unsafe { &mut *header })
    }

    #[inline(always)]
    fn grow(&mut self, by: i32) -> Option<()> {
        // SAFETY: the context is the one this program was called with. The pointers that the helper makes
        // invalid are read anew below, and no header outlives the mutable borrow.
        if unsafe { bpf_xdp_adjust_head(self.context.ctx, -by) } != 0 {
            return None;
        }
        (self.data, self.data_end) = (self.context.data(), self.context.data_end());
        Some(())
    }

    #[inline(always)]
    fn cut(&mut self, length: usize) -> Option<()> {
        let by = length as i64 - (self.data_end - self.data) as i64;
        // SAFETY: as in `grow`. The helper refuses to make a frame longer than its buffer, and one that is not to
        // become shorter is not asked for.
        if by >= 0 || unsafe { bpf_xdp_adjust_tail(self.context.ctx, by as i32) } != 0 {
            return None;
        }
        (self.data, self.data_end) = (self.context.data(), self.context.data_end());
        Some(())
    }

    #[inline(always)]
    fn ingress(&self) -> u32 {
        self.context.ingress_ifindex() as u32
    }
}
