//! The receiver's XDP entry points: its stages over the packet and the maps.

#![no_std]
#![no_main]

mod maps;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use lb_ebpf::program::XdpFrame;
use lb_ebpf::receive::{self, Verdict};
use maps::BpfNode;

/// Takes outer headers off that a gateway put on.
#[xdp]
fn receiver(context: XdpContext) -> u32 {
    match receive::process(&mut XdpFrame::new(context), &BpfNode) {
        Verdict::Pass => XDP_PASS,
        Verdict::Drop => XDP_DROP,
    }
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
