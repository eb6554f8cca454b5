//! The wrapper:
//!
//! 1. undo the last run's change of length;
//! 2. write the first bytes of the frame anew, from the template;
//! 3. give the frame the next flow's client address and port (no checksum is mended: nobody reads it);
//! 4. stamp the first run and the last;
//! 5. tail-call the program under test.

use aya_ebpf::bindings::xdp_action::XDP_ABORTED;
use aya_ebpf::helpers::generated::bpf_xdp_adjust_head;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::ProgramArray;
use aya_ebpf::programs::XdpContext;
use lb_common::bench::{Plan, Progress};

use crate::next;

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
    let (plan, progress) = next::plan()?;
    rewind(context, plan, progress)?;
    next::frame(context, plan, progress)
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
