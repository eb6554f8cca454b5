//! What a frame costs that really comes and goes.
//!
//! Two namespaces, a veth pair between them. At one end the kernel runs a program on live frames
//! (`BPF_F_TEST_XDP_LIVE_FRAMES`): it writes each anew, for the memory of a frame is used again as it is, and sends
//! it; at the other end is the program under test, in the driver; what it sends comes back and is counted and
//! dropped, what it passes is counted before the network stack would see it. Everything happens on one processor, a
//! batch of frames after the other, so nothing is lost; a sample in which a frame was, or became of another length
//! than its case says, is an error. **Every figure includes the frame's making, the two crossings of the pair and
//! its end.**

mod link;
mod report;

use anyhow::Result;

use super::case::{CASES, Case, Floor, Program};
use super::{Effort, claim_machine, round};
use link::{Link, Pair};
pub use report::Report;

/// Cases that say something here, beside the floors.
const NAMES: [&str; 4] = ["tcp4-1", "tcp4-64k", "tcp6-1", "nonvip4"];

/// Measures the floors and the cases, round by round.
///
/// Fails without root, without the programs, or if a frame was lost or did not become what its case says.
pub fn measure(effort: &Effort) -> Result<Report> {
    let machine = claim_machine()?;
    let figures = with_link(|link, cases| round::measure(link, cases, effort))?;
    Ok(Report::new(machine, &cases(), &figures))
}

/// Does something with a link and the cases, where frames are made.
pub(super) fn with_link<T: Send>(work: impl FnOnce(&mut Link, &[Case]) -> Result<T> + Send) -> Result<T> {
    let pair = Pair::new()?;
    let mut link = Link::new(&pair)?;
    pair.near.enter(|| work(&mut link, &cases()))
}

fn cases() -> Vec<Case> {
    let wanted = |case: &&Case| match case.program {
        Program::Floor(floor) => floor != Floor::ShrinkHead,
        _ => NAMES.contains(&case.name),
    };
    CASES.iter().filter(wanted).copied().collect()
}
