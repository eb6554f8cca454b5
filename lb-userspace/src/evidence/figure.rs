//! Numbers that were measured, for people.

/// Digits that a sample can hold and people read.
const DIGITS: i32 = 4;

/// A number with four digits that mean something: `0.002092` for 10 of 4,780.
pub fn figure(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return value.to_string();
    }
    #[expect(clippy::cast_possible_truncation, reason = "log10 of a finite number is between -324 and 309")]
    let before_the_point = value.abs().log10().floor() as i32 + 1;
    let scale = 10_f64.powi(DIGITS - before_the_point);
    let rounded = (value * scale).round() / scale;
    if rounded.is_finite() { rounded } else { value }.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn four_digits_are_kept() {
        let cases = [
            (10.0 / 4780.0, "0.002092"),
            (0.25, "0.25"),
            (0.0, "0"),
            (1.0, "1"),
            (2.0 / 3.0, "0.6667"),
            (1048.576, "1049"),
            (99.999, "100"),
            (-0.333_333, "-0.3333"),
            (f64::INFINITY, "inf"),
        ];
        for (value, text) in cases {
            assert_eq!(figure(value), text);
        }
    }

    proptest! {
        #[test]
        fn any_number_is_near_what_is_said_of_it(value in any::<f64>()) {
            let said: f64 = figure(value).parse().unwrap();
            prop_assert!(said.is_nan() == value.is_nan());
            prop_assert!(!value.is_finite() || (said - value).abs() <= value.abs() / 1000.0, "{value}: {said}");
        }
    }
}
