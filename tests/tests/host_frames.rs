//! The oracle's frames through the packet's way as a library: same verdict, same bytes, same backend, and the
//! same reason and service counted.

use anyhow::{Context as _, Result};
use lb_tests::fixture::{Host, INTERFACE, Verdict, World, cases};

#[test]
fn every_frame_comes_out_as_the_oracle_says() -> Result<()> {
    let host = Host::new(&World::load()?, INTERFACE)?;
    let cases = cases()?;
    let sent = cases.iter().filter(|case| case.expected.verdict == Verdict::Transmit).count();
    assert!(sent > 50, "{sent} frames that are sent");
    for case in &cases {
        let outcome = host.outcome(&case.input).with_context(|| case.about.clone())?;
        assert_eq!(outcome, case.expected, "{}", case.about);
    }
    Ok(())
}
