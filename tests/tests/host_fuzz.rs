//! Generated frames through the packet's way as a library and through the oracle, which know nothing of each
//! other: same verdict, same bytes, same backend, and the same reason and service counted.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use lb_tests::fixture::{Effort, Frames, Host, INTERFACE, Oracle, Outcome, Verdict, World, hex};

/// Differences that are shown.
const SHOWN: usize = 10;
/// What a run must have met, each at least once in [`RARE`] frames.
const MET: [&str; 11] = [
    "bad-redirect",
    "echo-reply",
    "fragment",
    "no-backend",
    "no-service",
    "passed",
    "passed to this machine",
    "too-big-reported",
    "too-many-headers",
    "truncated",
    "unknown-gateway",
];
const RARE: usize = 1000;

#[test]
fn every_generated_frame_comes_out_as_the_oracle_says() -> Result<()> {
    let effort = Effort::from_env(Effort::USUAL)?;
    let world = World::load()?;
    let host = Host::new(&world, INTERFACE)?;
    let frames = Frames::new(effort.seed, &world)?.take(effort.frames);
    let Some(oracle) = Oracle::ask(&World::file(), frames)? else {
        println!("SKIP: python3 is not installed");
        return Ok(());
    };
    let (mut met, mut differences) = (BTreeMap::new(), Vec::new());
    for asked in oracle {
        let (frame, expected) = asked?;
        let outcome = host.outcome(&frame).with_context(|| hex(&frame))?;
        *met.entry(kind(&outcome)).or_insert(0) += 1;
        if outcome != expected && differences.len() < SHOWN {
            differences.push(format!("{}\n  oracle {expected:?}\n  is     {outcome:?}", hex(&frame)));
        }
    }
    println!("{met:?}");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(met.values().sum::<usize>(), effort.frames);
    judge(&met, effort.frames);
    Ok(())
}

fn kind(outcome: &Outcome) -> String {
    let text = match (outcome.verdict, &outcome.reason) {
        (Verdict::Pass, _) if outcome.backend.is_some() => "passed to this machine",
        (Verdict::Pass, _) => "passed",
        (_, Some(reason)) => reason,
        (Verdict::Drop, None) => "dropped",
        (Verdict::Transmit, _) => "sent",
    };
    text.to_owned()
}

/// A generator that has lost its aim proves nothing.
fn judge(met: &BTreeMap<String, usize>, frames: usize) {
    let times = |kind: &str| met.get(kind).copied().unwrap_or(0);
    assert!(times("sent") * 20 > frames * 9, "fewer than nine in twenty were sent: {met:?}");
    for kind in MET {
        assert!(times(kind) * RARE >= frames, "{kind} too seldom: {met:?}");
    }
}
