//! The model's histories of change, through the loaded program.

use anyhow::Result;
use lb_tests::fixture::Effort;
use lb_tests::lab::is_root;
use lb_tests::model::{Rules, run};

use crate::twin::Twin;

/// Histories that a run tries unless told otherwise: some seconds.
const USUAL: usize = 24;

#[test]
fn no_established_connection_is_led_away_by_the_program() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let effort = Effort::replays_from_env(USUAL)?;
    let (mut packets, mut established, mut hits) = (0, 0, 0);
    for number in 0..effort.frames as u64 {
        let seed = effort.seed.wrapping_add(number);
        println!("history {seed}");
        let mut twin = Twin::new()?;
        let outcome = run(seed, Rules::default(), &mut twin);
        assert_eq!(outcome.broken, None);
        let tracking = twin.tracking();
        assert_eq!((tracking.refused_new, tracking.refused_missed), (0, 0), "the budget was too small");
        packets += outcome.packets;
        established += outcome.established;
        hits += tracking.hits;
    }
    println!("{packets} packets, {established} connections established, {hits} records found");
    assert!(established > effort.frames as u64 * 10, "a history without connections proves nothing");
    assert!(hits > packets / 100, "records that nobody needs prove nothing");
    Ok(())
}
