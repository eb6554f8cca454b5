//! `explain --live`: the packet that is asked about, through the program that is loaded.

use anyhow::anyhow;

use super::{Answer, Options, by_pins, look};
use crate::cli::Failure;
use crate::cli::look::Look;
use crate::datapath::pins::{PinnedMode, Pins};
use crate::datapath::test_run::{Placed, TestRunError};
use crate::explain::frame::frame;
use crate::explain::live::Verdict;
use crate::explain::{Live, Outcome, Query, connection};

/// Explains, and compares. What differs is tried once more by the maps as they are then: they may have changed in between.
pub(super) fn run(query: &Query, options: &Options) -> Result<Answer, Failure> {
    let answer = once(query, options)?;
    if answer.live.as_ref().is_some_and(|live| live.equal) { Ok(answer) } else { once(query, options) }
}

fn once(query: &Query, options: &Options) -> Result<Answer, Failure> {
    let look = look(query, &options.answer.pinned)?;
    let link = link(&look.pins, options.interface.as_deref())?;
    let program = Placed::find(&link, &look.pins).map_err(failure)?;
    let frame = frame(query);
    // What a packet leaves in the copy is not to be there for the next one.
    let computed = Outcome::computed(&frame, program.index, &look.snapshot.clone());
    let live = send(query, &look, &program, &frame)?;
    let live = Live::compare(&program.interface, program.program_id, &computed, &live);
    Ok(Answer { explanation: by_pins(query, &look), live: Some(live) })
}

/// Runs the frame. If it was recorded as a connection that was not there before, that is taken back: the next packet of
/// that flow is to find what it would have found.
fn send(query: &Query, look: &Look, program: &Placed, frame: &[u8]) -> Result<Outcome, Failure> {
    let unknown =
        connection(query, &look.snapshot).filter(|key| !look.snapshot.connections.borrow().contains_key(key));
    let (action, frame) = program.run(frame).map_err(failure)?;
    if let Some(key) = unknown {
        let mut connections = look.connections()?;
        let made = connections.get(key).map(|connection| (key, connection));
        connections.remove(made.as_slice()).map_err(|error| Failure::of_kernel(error.into()))?;
    }
    Ok(Outcome { verdict: Verdict::of_xdp(action), frame })
}

/// The link of the interface that is asked for, or the first one.
fn link(pins: &Pins, interface: Option<&str>) -> Result<PinnedMode, Failure> {
    let links = pins.links().map_err(|error| Failure::of_kernel(error.into()))?;
    let names: Vec<_> = links.iter().map(|link| link.interface.as_str()).collect();
    let known = names.join(", ");
    let wanted = |link: &PinnedMode| interface.is_none_or(|name| link.interface == name);
    let absent = || match interface {
        Some(name) => anyhow!("{name} is not balanced; those that are: {known}"),
        None => anyhow!("no interface is balanced; is the agent running? see `spillway status`"),
    };
    links.iter().find(|link| wanted(link)).cloned().ok_or_else(|| absent().into())
}

fn failure(error: TestRunError) -> Failure {
    match error {
        TestRunError::NoContext { .. } => Failure::incapable(error.into()),
        _ => Failure::of_kernel(error.into()),
    }
}
