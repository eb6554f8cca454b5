//! Frames on a real wire: made at one end, counted wherever they arrive.

use aya_ebpf::bindings::TC_ACT_SHOT;
use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_TX};
use aya_ebpf::macros::{classifier, map, xdp};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::{TcContext, XdpContext};
use lb_common::bench::{Arrivals, BACK, PASSED};

use crate::next;

#[map(name = "arrivals")]
static ARRIVALS: PerCpuArray<Arrivals> = PerCpuArray::with_max_entries(2, 0);

/// The next frame, on its way. Run on live frames, which the kernel makes once and uses again: they keep what
/// the last packet left in them.
#[xdp]
fn generate(context: XdpContext) -> u32 {
    let made = next::plan().and_then(|(plan, progress)| next::frame(&context, plan, progress));
    if made.is_some() { XDP_TX } else { XDP_ABORTED }
}

/// The end of a frame that came back to where it was made.
#[xdp]
fn came_back(context: XdpContext) -> u32 {
    count(BACK, (context.data_end() - context.data()) as u64);
    XDP_DROP
}

/// The end of a frame that was passed to the kernel.
#[classifier]
fn passed(context: TcContext) -> i32 {
    count(PASSED, context.len().into());
    TC_ACT_SHOT as i32
}

#[inline(always)]
fn count(which: u32, bytes: u64) {
    if let Some(arrivals) = ARRIVALS.get_ptr_mut(which) {
        // SAFETY: the entry is this CPU's own, and the programs of a kind do not interrupt each other on a CPU.
        unsafe {
            (*arrivals).frames += 1;
            (*arrivals).bytes += bytes;
        }
    }
}
