use proptest::prelude::*;

use super::*;
use crate::policy::desired::{MemberState, Reach};

const SPAN: Duration = Duration::from_secs(9);

fn members(states: &[MemberState]) -> Vec<Member> {
    let member = |(last, state): (u8, &MemberState)| Member {
        address: [192, 0, 2, last].into(),
        weight: 1,
        tenths: WHOLE,
        server_id: None,
        state: *state,
        reason: String::new(),
        changed_ms: 0,
        reach: Reach::Local,
    };
    (0..).zip(states).map(member).collect()
}

/// Tenths of the endpoints that take new flows.
fn counts(grown: &Arrivals, now: u64) -> Vec<u8> {
    grown.values().map(|since| tenths(*since, SPAN, now)).collect()
}

#[test]
fn one_that_comes_up_grows_by_a_tenth_each_ninth_of_the_time() {
    use MemberState::{Down, Draining, Unknown, Up};
    let first = follow(None, &members(&[Up, Unknown, Down, Draining]), SPAN, 4_000);
    assert_eq!(counts(&first, 4_000), [10, 10], "at the first start all are grown");
    assert_eq!(due(&first, SPAN, 4_000), None);
    // One is found up, one undrained, and one is new.
    let then = follow(Some(&first), &members(&[Up, Up, Up, Up, Unknown]), SPAN, 10_001);
    assert_eq!(counts(&then, 10_001), [10, 10, 1, 1, 1]);
    assert_eq!(due(&then, SPAN, 10_001), Some(12_000), "by whole ninths of the clock");
    assert_eq!(counts(&then, 11_999), [10, 10, 1, 1, 1]);
    assert_eq!(counts(&then, 12_000), [10, 10, 2, 2, 2]);
    assert_eq!(counts(&then, 19_999), [10, 10, 9, 9, 9]);
    let grown = follow(Some(&then), &members(&[Up; 5]), SPAN, 20_000);
    assert_eq!((counts(&grown, 20_000), due(&grown, SPAN, 20_000)), (vec![10; 5], None));
    assert!(grown.values().all(|since| *since == 0), "a longer slow start makes nobody small again");
}

#[test]
fn one_that_fails_again_begins_again() {
    use MemberState::{Down, Up};
    let first = follow(None, &members(&[Up, Down]), SPAN, 1_000);
    let up = follow(Some(&first), &members(&[Up, Up]), SPAN, 2_000);
    let down = follow(Some(&up), &members(&[Up, Down]), SPAN, 8_000);
    assert_eq!((counts(&down, 8_000), due(&down, SPAN, 8_000)), (vec![10], None));
    let again = follow(Some(&down), &members(&[Up, Up]), SPAN, 9_000);
    assert_eq!(counts(&again, 9_000), [10, 1]);
}

proptest! {
    #[test]
    fn it_takes_nine_changes_and_no_longer_than_a_ninth_more(span in 1_000_u64..3_600_000, began in 1_u64..1 << 40) {
        use MemberState::{Down, Up};
        let (millis, span) = (span, Duration::from_millis(span));
        let first = follow(None, &members(&[Up, Down]), span, began);
        let mut grown = follow(Some(&first), &members(&[Up, Up]), span, began);
        let (mut now, mut seen) = (began, vec![1]);
        while let Some(next) = due(&grown, span, now) {
            prop_assert!(next > now && seen.len() < 12);
            now = next;
            grown = follow(Some(&grown), &members(&[Up, Up]), span, now);
            seen.extend(grown.values().last().map(|since| tenths(*since, span, now)));
        }
        prop_assert_eq!(seen, (1..=10).collect::<Vec<_>>());
        let took = now - began;
        prop_assert!(took >= millis && took <= millis * 10 / 9 + 10, "{}", took);
    }
}
