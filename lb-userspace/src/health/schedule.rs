//! When the next probe starts; pure. Draws come from a seed, so a run can be repeated.

use std::net::IpAddr;
use std::time::Duration;

/// First probes start within this time, however long the interval is.
const FIRST_PROBE_WITHIN: Duration = Duration::from_secs(1);

/// The seed of one node's draws. `salt` sets gateways apart, so that they do not probe in step.
pub fn seed(salt: u64, pool: &str, address: IpAddr) -> u64 {
    let address = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let bytes = pool.bytes().chain([0]).chain(address.octets());
    mix(fnv1a(bytes) ^ mix(salt))
}

/// Delay before a node's first probe: even over the shorter of the interval and one second, so that
/// verdicts come soon and a restart does not probe every node at the same instant.
pub fn first_delay(seed: u64, interval: Duration) -> Duration {
    fraction(interval.min(FIRST_PROBE_WITHIN), draw(seed, 0))
}

/// Time from the start of probe `count` (from 1) to the start of the one after it: even over
/// `interval` ± `jitter_percent` (at most 100).
pub fn next_delay(seed: u64, count: u64, interval: Duration, jitter_percent: u8) -> Duration {
    let jitter = interval / 100 * u32::from(jitter_percent.min(100));
    interval.saturating_sub(jitter) + fraction(jitter.saturating_mul(2), draw(seed, count))
}

/// `whole` · `draw` / 2³², in nanoseconds; spans over 584 years are taken as 584 years.
fn fraction(whole: Duration, draw: u32) -> Duration {
    let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
    let part = (u128::from(nanos) * u128::from(draw)) >> 32;
    Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX))
}

/// The upper half of the `count`th output of a `SplitMix64` generator (Steele, Lea, Flood 2014).
fn draw(seed: u64, count: u64) -> u32 {
    const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;
    let [b0, b1, b2, b3, ..] =
        mix(seed.wrapping_add(GAMMA.wrapping_mul(count.wrapping_add(1)))).to_be_bytes();
    u32::from_be_bytes([b0, b1, b2, b3])
}

/// `SplitMix64`'s output function: every bit of `z` changes about half of the result's.
fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// FNV-1a, 64 bits.
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    #[test]
    fn known_answers() {
        // SplitMix64 from seed 0 begins e220a8397b1dcdaf, 6e789e6aa1b965f4.
        assert_eq!(draw(0, 0), 0xE220_A839);
        assert_eq!(draw(0, 1), 0x6E78_9E6A);
        // FNV-1a's published vector for "foobar".
        assert_eq!(fnv1a("foobar".bytes()), 0x8594_4171_F739_67E8);
    }

    #[test]
    fn nodes_pools_and_gateways_draw_differently() {
        let node = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let other = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
        let seeds = [seed(0, "a", node), seed(0, "a", other), seed(0, "b", node), seed(1, "a", node)];
        let different: std::collections::HashSet<_> = seeds.iter().collect();
        assert_eq!(different.len(), seeds.len());
    }

    #[test]
    fn first_probes_are_spread() {
        let mut tenths = [0; 10];
        for host in 0..1000u32 {
            let seed = seed(7, "web", IpAddr::V4(Ipv4Addr::from(0x0A00_0000 + host)));
            let delay = first_delay(seed, Duration::from_secs(5));
            tenths[usize::try_from(delay.as_millis() / 100).expect("below ten")] += 1;
        }
        assert!(tenths.iter().all(|&count| (60..140).contains(&count)), "{tenths:?}");
    }

    #[test]
    fn jitter_reaches_both_ends_and_averages_to_the_interval() {
        let interval = Duration::from_secs(10);
        let delays: Vec<_> = (1..=1000).map(|count| next_delay(3, count, interval, 10)).collect();
        assert!(delays.iter().any(|d| *d < Duration::from_millis(9_100)));
        assert!(delays.iter().any(|d| *d > Duration::from_millis(10_900)));
        let mean = delays.iter().sum::<Duration>() / 1000;
        assert!(mean.abs_diff(interval) < Duration::from_millis(100), "{mean:?}");
    }

    proptest! {
        #[test]
        fn delays_stay_in_bounds(seed: u64, count: u64, millis in 1u64..86_400_000, percent in 0u8..=100) {
            let interval = Duration::from_millis(millis);
            let jitter = interval * u32::from(percent) / 100;
            let delay = next_delay(seed, count, interval, percent);
            prop_assert!(delay + jitter >= interval && delay <= interval + jitter);
            prop_assert!(first_delay(seed, interval) <= interval.min(Duration::from_secs(1)));
        }

        #[test]
        fn no_interval_overflows(seed: u64, secs: u64, percent: u8) {
            let interval = Duration::from_secs(secs.min(u64::MAX / 4));
            prop_assert!(next_delay(seed, 1, interval, percent) <= interval * 2);
        }

        #[test]
        fn no_jitter_is_the_interval(seed: u64, count: u64, millis in 1u64..86_400_000) {
            let interval = Duration::from_millis(millis);
            prop_assert_eq!(next_delay(seed, count, interval, 0), interval);
        }
    }
}
