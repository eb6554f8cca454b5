//! The gateway's XDP entry point: the pipeline over the packet and the maps.

#![no_std]
#![no_main]

mod log;
mod maps;
mod tables;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use lb_ebpf::pipeline;
use lb_ebpf::program::XdpFrame;
use lb_ebpf::verdict::Action;

/// Balances one packet.
#[xdp]
fn gateway(context: XdpContext) -> u32 {
    let tables = tables::BpfTables { context: context.ctx };
    match pipeline::process(&mut XdpFrame::new(context), &tables) {
        Action::Pass => XDP_PASS,
        Action::Drop => XDP_DROP,
        Action::Transmit => XDP_TX,
        Action::Redirect(interface) => maps::redirect(interface),
    }
}

/// Never reached: an object in which a panic is reachable is refused when it is built.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
