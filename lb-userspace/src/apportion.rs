//! A whole in whole parts: the method of largest remainders (Hamilton's).

use std::cmp::Reverse;

/// `whole` divided by weight: the whole parts, then one more by largest remainder; ties go to the earlier. The parts add
/// up to `whole`, unless all weights are 0: then each part is 0.
pub fn apportion<W: Copy + Into<u64>>(whole: u32, weights: &[W]) -> Vec<u32> {
    let weights: Vec<u128> = weights.iter().map(|&weight| u128::from(weight.into())).collect();
    let total: u128 = weights.iter().sum();
    if total == 0 {
        return vec![0; weights.len()];
    }
    let quota = |position: usize| weights[position] * u128::from(whole);
    #[expect(clippy::cast_possible_truncation, reason = "a part of a whole of 32 bits")]
    let mut parts: Vec<_> = (0..weights.len()).map(|position| (quota(position) / total) as u32).collect();
    let mut order: Vec<_> = (0..weights.len()).collect();
    order.sort_by_key(|&position| Reverse(quota(position) % total));
    let rest = whole - parts.iter().sum::<u32>();
    for &position in order.iter().take(rest as usize) {
        parts[position] += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::apportion;

    #[test]
    fn the_largest_remainder_gets_one_more_and_of_equals_the_first() {
        assert_eq!(apportion(4096, &[90_u16, 10]), [3686, 410]);
        assert_eq!(apportion(10, &[1_u16, 1, 1]), [4, 3, 3]);
        assert_eq!(apportion(10, &[u64::MAX, u64::MAX]), [5, 5]);
        assert_eq!(apportion(7, &[0_u16, 3]), [0, 7]);
    }

    #[test]
    fn nobody_with_a_weight_gets_nothing() {
        assert_eq!(apportion(7, &[0_u16, 0]), [0, 0]);
        assert!(apportion::<u16>(7, &[]).is_empty());
    }
}
