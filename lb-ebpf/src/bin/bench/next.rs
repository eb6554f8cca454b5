//! The next frame of a measurement: what the plan says, written over what is left of the last one.

use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use aya_ebpf::programs::XdpContext;
use lb_common::bench::{Plan, Progress, TEMPLATE_LENGTH, flow_at};
use lb_ebpf::program::now;

#[map(name = "plan")]
static PLAN: Array<Plan> = Array::with_max_entries(1, 0);
#[map(name = "progress")]
static PROGRESS: Array<Progress> = Array::with_max_entries(1, 0);

/// What to do, and how far it is; to be called once in a run.
#[inline(always)]
pub(crate) fn plan() -> Option<(&'static Plan, &'static mut Progress)> {
    // SAFETY: the benchmark runs on one CPU, and this is the only reference to the entry.
    Some((PLAN.get(0)?, unsafe { &mut *PROGRESS.get_ptr_mut(0)? }))
}

/// Makes the frame the next flow's, and stamps the first and the last.
#[inline(always)]
pub(crate) fn frame(context: &XdpContext, plan: &Plan, progress: &mut Progress) -> Option<()> {
    write(context, plan, flow_at(progress.position, plan.flow_mask))?;
    stamp(plan, progress);
    Some(())
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
