//! The receiver's XDP entry points: its stages over the packet and the maps.

#![no_std]
#![no_main]

mod maps;
mod sockets;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::helpers::generated::bpf_redirect;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use lb_ebpf::program::XdpFrame;
use lb_ebpf::receive::{self, Verdict};
use maps::BpfNode;

/// Takes outer headers off that a gateway put on, or sends the packet on to another node.
#[xdp]
fn receiver(context: XdpContext) -> u32 {
    let (node, ingress) = (BpfNode { context: context.ctx }, context.ingress_ifindex());
    match receive::process(&mut XdpFrame::new(context), &node) {
        Verdict::Pass => XDP_PASS,
        Verdict::Drop => XDP_DROP,
        Verdict::Send(interface) if interface as usize == ingress => XDP_TX,
        Verdict::Send(interface) => redirect(interface),
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it returns one of the actions")]
fn redirect(interface: u32) -> u32 {
    // SAFETY: the helper takes numbers; an interface that is not there is its error.
    unsafe { bpf_redirect(interface, 0) as u32 }
}

/// Passes everything: a veth delivers what `XDP_TX` sends out of its peer only while a program is attached.
#[xdp]
fn pass(_context: XdpContext) -> u32 {
    XDP_PASS
}

/// Never reached: an object in which a panic is reachable is refused when it is built.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
