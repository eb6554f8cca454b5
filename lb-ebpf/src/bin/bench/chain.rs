//! The wrapper:
//!
//! 1. undo the last run's change of length;
//! 2. write the first bytes of the frame anew, from the template;
//! 3. give the frame the next flow's client address and port (no checksum is mended: nobody reads it);
//! 4. stamp the first run and the last;
//! 5. tail-call the program under test.

use aya_ebpf::bindings::xdp_action::XDP_ABORTED;
use aya_ebpf::helpers::generated::{bpf_ktime_get_ns, bpf_xdp_adjust_head};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, ProgramArray};
use aya_ebpf::programs::XdpContext;
use lb_common::bench::{Plan, Progress, TEMPLATE_LENGTH, flow_at};

#[map(name = "plan")]
static PLAN: Array<Plan> = Array::with_max_entries(1, 0);
#[map(name = "progress")]
static PROGRESS: Array<Progress> = Array::with_max_entries(1, 0);
#[map(name = "under_test")]
static UNDER_TEST: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// One run.
#[xdp]
fn chain(context: XdpContext) -> u32 {
    if prepare(&context).is_some() {
        // SAFETY: nothing of this program's is live any more.
        unsafe { UNDER_TEST.tail_call(&context, 0) };
    }
    XDP_ABORTED
}

#[inline(always)]
fn prepare(context: &XdpContext) -> Option<()> {
    let plan = PLAN.get(0)?;
    // SAFETY: the benchmark runs on one CPU, and this is the only reference to the entry.
    let progress = unsafe { &mut *PROGRESS.get_ptr_mut(0)? };
    rewind(context, plan, progress)?;
    write(context, plan, flow_at(progress.position, plan.flow_mask))?;
    stamp(plan, progress);
    Some(())
}

#[inline(always)]
fn rewind(context: &XdpContext, plan: &Plan, progress: &mut Progress) -> Option<()> {
    let change = (context.data_end() - context.data()) as i64 - i64::from(plan.length);
    if change == 0 {
        return Some(());
    }
    progress.rewinds += 1;
    progress.length_change += change;
    // SAFETY: the context is the one this program was called with; no pointer into the packet is kept.
    (unsafe { bpf_xdp_adjust_head(context.ctx, change as i32) } == 0).then_some(())
}

#[inline(always)]
fn write(context: &XdpContext, plan: &Plan, flow: u32) -> Option<()> {
    let start = context.data();
    if start + TEMPLATE_LENGTH > context.data_end() {
        return None;
    }
    let words = with_flow(plan, flow);
    // SAFETY: six bytes and seven words are the bytes that the frame was just found to have.
    unsafe {
        (start as *mut u32).write_unaligned(plan.template.head);
        ((start + 4) as *mut u16).write_unaligned(plan.template.tail);
        for (index, word) in words.iter().enumerate() {
            ((start + 6) as *mut u64).add(index).write_unaligned(*word);
        }
    }
    Some(())
}

/// The template's words with the client's address (its last four bytes) and port changed by the flow's
/// number. IPv4 keeps them at 26 and 34, IPv6 at 34 and 54.
#[inline(always)]
fn with_flow(plan: &Plan, flow: u32) -> [u64; 7] {
    let [a, b, c, d, e, f, g] = plan.template.words;
    let (address, port) = (u64::from(flow.to_be()) << 32, u64::from(flow as u16));
    if plan.family == 4 {
        [a, b, c ^ address, d ^ port << 32, e, f, g]
    } else {
        [a, b, c, d ^ address, e, f, g ^ port]
    }
}

#[inline(always)]
fn stamp(plan: &Plan, progress: &mut Progress) {
    let run = progress.runs;
    progress.runs = run + 1;
    progress.position += 1;
    if run == 0 {
        progress.first = now();
    } else if run == u64::from(plan.last_run) {
        progress.last = now();
    }
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper takes nothing and gives a number.
    unsafe { bpf_ktime_get_ns() }
}
