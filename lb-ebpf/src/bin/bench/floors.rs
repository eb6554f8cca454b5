//! The least that a balancer can do, in four steps, and the least that a receiver can.

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_PASS, XDP_TX};
use aya_ebpf::helpers::generated::bpf_xdp_adjust_head;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

/// Two MACs, as words: packed fields that are moved whole are moved byte by byte.
#[repr(C, packed)]
struct Link {
    destination_head: u32,
    destination_tail: u16,
    source_head: u32,
    source_tail: u16,
}

/// Bytes of an IPv4 header.
const OUTER: i32 = 20;

/// An Ethernet and an IPv4 header, as words too.
#[repr(C, packed)]
struct Outer {
    words: [u64; 4],
    rest: u16,
}

/// To the kernel, unseen.
#[xdp]
fn pass(_: XdpContext) -> u32 {
    XDP_PASS
}

/// Back to the sender.
#[xdp]
fn mac_swap(context: XdpContext) -> u32 {
    let Some(link) = start::<Link>(&context) else { return XDP_ABORTED };
    // SAFETY: `start` has compared the header's end with the frame's; it is packed.
    let link = unsafe { &mut *link };
    (link.destination_head, link.source_head) = (link.source_head, link.destination_head);
    (link.destination_tail, link.source_tail) = (link.source_tail, link.destination_tail);
    XDP_TX
}

/// Room for an outer header, and out.
#[xdp]
fn adjust_head(context: XdpContext) -> u32 {
    if grow(&context) { XDP_TX } else { XDP_ABORTED }
}

/// An outer header that is always the same.
#[xdp]
fn constant_encap(context: XdpContext) -> u32 {
    if !grow(&context) {
        return XDP_ABORTED;
    }
    let Some(outer) = start::<Outer>(&context) else { return XDP_ABORTED };
    // SAFETY: as above.
    let outer = unsafe { &mut *outer };
    outer.words =
        [0x0200_0200_0000_0002, 0x0045_0008_0100_0000, 0x0440_0040_0000_4600, 0x02c0_0102_00c0_0000];
    outer.rest = 0x0202;
    XDP_TX
}

/// The room of an outer header away, and to the kernel.
#[xdp]
fn shrink_head(context: XdpContext) -> u32 {
    // SAFETY: as in `grow`.
    if unsafe { bpf_xdp_adjust_head(context.ctx, OUTER) } == 0 { XDP_PASS } else { XDP_ABORTED }
}

#[inline(always)]
fn grow(context: &XdpContext) -> bool {
    // SAFETY: the context is the one the program was called with; no pointer into the packet is held.
    unsafe { bpf_xdp_adjust_head(context.ctx, -OUTER) == 0 }
}

#[inline(always)]
fn start<T>(context: &XdpContext) -> Option<*mut T> {
    let data = context.data();
    (data + size_of::<T>() <= context.data_end()).then_some(data as *mut T)
}
