//! Quantiles within 1 %, by a `DDSketch`: counts of values in buckets that grow by a constant factor.
//!
//! The factor is e^0.02: the relative error is at most tanh(0.01), a little less than 1 %. Bucket
//! numbers are integers computed by `libm`, the same on every platform, so that sketches can be
//! merged and taken from each other, and the order of values does not matter. Buckets of negative
//! values mirror those of positive ones. Magnitudes below 10^-9 count as zero. All doubles together
//! have 73,055 buckets; a sketch holds those alone that are not empty.
//!
//! The quantile `q` of `n` values is the lowest value that at least `q * n` values do not exceed (the
//! nearest rank).

use super::buckets::Buckets;
use super::number::Number;

/// Buckets by the natural logarithm.
const BUCKETS_PER_E: f64 = 50.0;

/// Smaller magnitudes count as zero.
const SMALLEST: f64 = 1e-9;

/// Number of the bucket of [`SMALLEST`] is 1: zero has 0, negative values have negative numbers.
const SHIFT: i32 = 1037;

/// The highest number: that of the largest double.
pub(super) const HIGHEST: i32 = 36_527;

/// The bucket of a value.
pub(super) fn bucket(value: f64) -> i32 {
    let magnitude = value.abs();
    if magnitude < SMALLEST {
        return 0;
    }
    #[expect(clippy::cast_possible_truncation, reason = "between -1036 and 35490")]
    let number = libm::ceil(libm::log(magnitude) * BUCKETS_PER_E) as i32 + SHIFT;
    if value < 0.0 { -number } else { number }
}

/// A value at most 1 % off from all values of a bucket.
fn estimate(bucket: i32) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let upper = f64::from(bucket.abs() - SHIFT);
    // 2 / (1 + e^-0.02) times the lower bound is as far from it as from the upper one.
    let magnitude = libm::exp((upper - 0.5) / BUCKETS_PER_E) / libm::cosh(0.5 / BUCKETS_PER_E);
    if bucket < 0 { -magnitude } else { magnitude }
}

/// The quantile `q` of the values of a sketch, whose lowest and highest are known; none of none.
pub(super) fn quantile(
    sketch: &Buckets,
    q: f64,
    lowest: Option<Number>,
    highest: Option<Number>,
) -> Option<f64> {
    let (lowest, highest) = (lowest?.to_double(), highest?.to_double());
    let rank = rank(sketch.total(), q);
    let mut passed: i64 = 0;
    let (bucket, _) = sketch.iter().find(|(_, count)| {
        passed = passed.saturating_add(*count);
        passed > rank
    })?;
    Some(estimate(bucket).max(lowest).min(highest))
}

/// The rank of the quantile `q` of `count` values in ascending order, counted from 0.
fn rank(count: i64, q: f64) -> i64 {
    #[expect(clippy::cast_precision_loss, reason = "a rank to 53 bits is exact enough")]
    let wanted = q * count as f64;
    // A product such as 0.07 * 100 lies a little above the whole number that is meant.
    #[expect(clippy::cast_possible_truncation, reason = "at most a count of 64 bits")]
    let wanted = libm::ceil(wanted * (1.0 - 1e-12)) as i64;
    (wanted - 1).max(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(values: &[f64], q: f64) -> Option<f64> {
        let mut sketch = Buckets::default();
        for value in values {
            sketch.add(bucket(*value));
        }
        let lowest = values.iter().copied().map(Number::Double).min();
        let highest = values.iter().copied().map(Number::Double).max();
        quantile(&sketch, q, lowest, highest)
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            0.0..100.0_f64,
            -10.0..10.0_f64,
            prop::num::f64::NORMAL,
            Just(0.0),
            Just(SMALLEST),
            Just(f64::MAX),
            Just(f64::MIN),
        ]
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_one_percent_of_the_value_of_its_rank(
            mut values in prop::collection::vec(value(), 1..300),
            q in prop_oneof![Just(0.0), Just(0.5), Just(0.95), Just(1.0), 0.0..1.0_f64],
        ) {
            let found = found(&values, q).unwrap();
            values.sort_by(f64::total_cmp);
            // The lowest value that at least `q * n` do not exceed, counted one by one.
            #[expect(clippy::cast_precision_loss)]
            let enough = |place: usize| (place + 1) as f64 >= q * values.len() as f64 - 1e-9;
            let exact = values[(0..values.len()).find(|place| enough(*place)).unwrap()];
            let allowed = if exact.abs() < SMALLEST { SMALLEST } else { 0.01 * exact.abs() };
            prop_assert!((found - exact).abs() <= allowed, "{found} for {exact}");
        }

        #[test]
        fn buckets_are_in_the_order_of_their_values(a in value(), b in value()) {
            if a < b {
                prop_assert!(bucket(a) <= bucket(b));
            }
            prop_assert!((-HIGHEST..=HIGHEST).contains(&bucket(a)));
        }
    }

    #[test]
    fn a_single_value_is_its_own_quantile_and_none_has_none() {
        assert_eq!(found(&[42.5], 0.5), Some(42.5));
        assert_eq!(found(&[100.0, 100.0], 0.95), Some(100.0));
        assert_eq!(found(&[], 0.5), None);
    }

    #[test]
    fn the_rank_is_the_nearest_one_at_or_above() {
        let ranks = [(3, 0.95), (3, 0.5), (100, 0.07), (20, 0.95), (4, 0.0), (4, 1.0)];
        assert_eq!(ranks.map(|(count, q)| rank(count, q)), [2, 1, 6, 18, 0, 3]);
    }

    #[test]
    fn bucket_numbers_are_the_same_in_every_version_of_the_program() {
        let values = [0.0, 1e-9, 1.0, 42.5, 100.0, f64::MAX, -1.0, f64::MIN];
        let numbers = [0, 1, 1037, 1225, 1268, 36_527, -1037, -36_527];
        assert_eq!(values.map(bucket), numbers);
    }
}
