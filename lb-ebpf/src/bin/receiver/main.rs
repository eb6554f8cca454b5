//! The receiver's entry points, XDP for what comes and traffic control for what goes: its stages over the packet and the
//! maps.

#![no_std]
#![no_main]

mod maps;
mod sockets;

use aya_ebpf::bindings::TC_ACT_UNSPEC;
use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use lb_ebpf::leave;
use lb_ebpf::program::{TcFrame, XdpFrame, redirect};
use lb_ebpf::receive::{self, Verdict};
use maps::{BpfNode, BpfSender};

/// Takes outer headers off that a gateway put on, or sends the packet on to another node.
#[xdp]
fn receiver(context: XdpContext) -> u32 {
    let (node, ingress) = (BpfNode { context: context.ctx }, context.ingress_ifindex());
    match receive::process(&mut XdpFrame::new(context), &node) {
        Verdict::Pass => XDP_PASS,
        Verdict::Drop => XDP_DROP,
        Verdict::Send(interface) if interface as usize == ingress => XDP_TX,
        Verdict::Send(interface) => redirect(interface).cast_unsigned(),
    }
}

/// Counts what the node refuses, and lowers what its answers to SYNs say of the length of segments. Whatever else looks at
/// the frame has its turn.
#[classifier]
fn clamp(context: TcContext) -> i32 {
    leave::process(&mut TcFrame::new(context), &BpfSender);
    TC_ACT_UNSPEC
}

/// The same, but for the answers to SYNs.
#[classifier]
fn refuse(context: TcContext) -> i32 {
    leave::look(&TcFrame::new(context), &BpfSender);
    TC_ACT_UNSPEC
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
