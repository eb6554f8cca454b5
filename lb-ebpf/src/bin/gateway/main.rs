//! The gateway's XDP entry points: the pipeline over the packet and the maps.

#![no_std]
#![no_main]

mod log;
mod maps;
mod tables;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use lb_common::abi::Program;
use lb_ebpf::pipeline::{self, unusual};
use lb_ebpf::program::XdpFrame;
use lb_ebpf::verdict::{Action, End};
use tables::BpfTables;

/// Balances one packet.
#[xdp]
#[inline(always)]
fn gateway(context: XdpContext) -> u32 {
    let tables = BpfTables { context: context.ctx };
    match pipeline::usual(&mut XdpFrame::new(XdpContext::new(context.ctx)), &tables) {
        Err(End::NOT_OURS) => XDP_PASS,
        Err(End::MESSAGE) => maps::call(Program::Message, &context),
        Err(End::PART) => maps::call(Program::Part, &context),
        went => verdict(went, &tables),
    }
}

/// Balances ICMP that the other leaves. A program of its own: it has a stack of its own and costs the other
/// nothing, and the verifier need not try all ways through one with all ways through the other.
#[xdp]
#[inline(always)]
fn message(context: XdpContext) -> u32 {
    let tables = BpfTables { context: context.ctx };
    verdict(unusual::message(&mut XdpFrame::new(context), &tables), &tables)
}

/// Balances fragments and what does not fit, which the other leaves too.
#[xdp]
#[inline(always)]
fn part(context: XdpContext) -> u32 {
    let tables = BpfTables { context: context.ctx };
    verdict(unusual::part(&mut XdpFrame::new(context), &tables), &tables)
}

/// An end is counted, and logged, where all ways meet: the verifier tries that once.
#[inline(always)]
fn verdict(went: Result<Action, End>, tables: &BpfTables) -> u32 {
    let action = went.unwrap_or_else(|end| tables.forgotten_end(end).counted(tables));
    match action {
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
