//! The gateway's entry points: the pipeline over the packet and the maps, by XDP, and by traffic control what encapsulates
//! the agent's own probes.

#![no_std]
#![no_main]

mod log;
mod maps;
mod tables;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use core::ptr::null_mut;
use lb_common::abi::Program;
use lb_ebpf::pipeline::{self, unusual};
use lb_ebpf::probe::{self, Fate};
use lb_ebpf::program::{TcFrame, XdpFrame, redirect, sent};
use lb_ebpf::verdict::{Action, End};
use tables::BpfTables;

/// Balances one packet.
#[xdp]
#[inline(always)]
fn gateway(context: XdpContext) -> u32 {
    let tables = BpfTables { context: context.ctx };
    match pipeline::usual(&mut XdpFrame::new(XdpContext::new(context.ctx)), &tables) {
        Err(End::NOT_OURS) => XDP_PASS,
        Err(End::REDIRECTED) => maps::call(Program::Redirected, &context),
        went => usual(went, &context, &tables),
    }
}

/// Balances what other clusters' gateways send here. A program of its own, for the same reasons as the next.
#[xdp]
#[inline(always)]
fn redirected(context: XdpContext) -> u32 {
    let tables = BpfTables { context: context.ctx };
    let went = pipeline::redirected(&mut XdpFrame::new(XdpContext::new(context.ctx)), &tables);
    usual(went, &context, &tables)
}

/// Where those two end.
#[inline(always)]
fn usual(went: Result<Action, End>, context: &XdpContext, tables: &BpfTables) -> u32 {
    match went {
        Err(End::MESSAGE) => maps::call(Program::Message, context),
        Err(End::PART) => maps::call(Program::Part, context),
        went => verdict(went, tables),
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

/// Encapsulates what the agent's probes send, and leaves all else that this machine sends alone. Whatever else looks at
/// the frame has its turn.
#[classifier]
fn probe(context: TcContext) -> i32 {
    let Some((mark, way)) = sent(&context) else { return TC_ACT_UNSPEC };
    // Nothing on this way is logged, which is all that the context is for.
    let tables = BpfTables { context: null_mut() };
    let mut frame = TcFrame::new(context);
    match probe::process(&mut frame, mark, way, &tables) {
        Fate::Sent(interface) => {
            // What it is now is no probe's any more, and may come by here again.
            frame.unmark();
            if interface == way.interface { TC_ACT_UNSPEC } else { redirect(interface) }
        }
        Fate::Dropped => TC_ACT_SHOT,
    }
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
