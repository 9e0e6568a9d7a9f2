//! Sums that are exact whatever the order, and rounded once when they are read.
//!
//! Nearly all measurements are multiples of 2^-64 below 2^59: they are added as integers of 128
//! bits in that unit. What does not fit goes to an accumulator as wide as all doubles together.

mod rounding;
mod wide;

use serde::Deserialize;
use serde::Serialize;

use super::number::Number;
use rounding::quotient;
use wide::Wide;

/// The unit of the narrow part is 2 to the power of this.
const NARROW_EXPONENT: i32 = -64;

/// Bits that a double's fraction has, the leading one included.
const FRACTION_BITS: i32 = 53;

/// An exact sum of integers and doubles.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct ExactSum {
    narrow: i128,
    wide: Option<Box<Wide>>,
}

impl ExactSum {
    /// Adds a number.
    pub(super) fn add(&mut self, number: Number) {
        match number {
            Number::Integer(number) => self.add_narrow(i128::from(number) << -NARROW_EXPONENT),
            Number::Double(number) => match narrow(number) {
                Some(narrow) => self.add_narrow(narrow),
                None => self.wide().add_double(number),
            },
        }
    }

    /// Adds another sum.
    pub(super) fn merge(&mut self, other: &Self) {
        self.add_narrow(other.narrow);
        if let Some(wide) = &other.wide {
            self.wide().add(wide);
        }
    }

    /// Takes away what was added before.
    pub(super) fn subtract(&mut self, other: &Self) {
        match self.narrow.checked_sub(other.narrow) {
            Some(narrow) => self.narrow = narrow,
            None => self.wide().subtract_narrow(other.narrow),
        }
        if let Some(wide) = &other.wide {
            self.wide().subtract(wide);
        }
    }

    /// Back to nothing.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The sum divided by `count`, rounded once to the nearest double, of two equally near ones to
    /// the even one. Beyond the largest double it is the largest double.
    pub(super) fn divided_by(&self, count: u64) -> f64 {
        match self.whole() {
            None => {
                let magnitude = self.narrow.unsigned_abs();
                let limbs = magnitude.to_le_bytes();
                let (low, high) = limbs.split_at(8);
                let limbs = [low, high].map(|bytes| {
                    bytes.iter().rev().fold(0_u64, |limb, byte| limb << 8 | u64::from(*byte))
                });
                quotient(self.narrow < 0, &limbs, NARROW_EXPONENT, count)
            }
            Some(wide) => {
                let (negative, limbs) = wide.magnitude();
                quotient(negative, &limbs, wide::EXPONENT, count)
            }
        }
    }

    /// The sum as an integer, where it is one of 64 bits.
    pub(super) fn to_integer(&self) -> Option<i64> {
        match self.whole() {
            None if self.narrow.trailing_zeros() >= NARROW_EXPONENT.unsigned_abs() => {
                i64::try_from(self.narrow >> -NARROW_EXPONENT).ok()
            }
            None => None,
            Some(wide) => wide.to_integer(),
        }
    }

    /// Both parts in one, where there is a wide one.
    fn whole(&self) -> Option<Box<Wide>> {
        let mut wide = self.wide.clone()?;
        wide.add_narrow(self.narrow);
        Some(wide)
    }

    fn wide(&mut self) -> &mut Wide {
        self.wide.get_or_insert_default()
    }

    fn add_narrow(&mut self, narrow: i128) {
        match self.narrow.checked_add(narrow) {
            Some(sum) => self.narrow = sum,
            None => self.wide().add_narrow(narrow),
        }
    }
}

/// Sign, fraction and exponent of a double: it is `fraction * 2^exponent`.
fn parts(number: f64) -> (bool, u64, i32) {
    let bits = number.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    // Eleven bits fit.
    let exponent = i32::try_from(bits >> 52 & 0x7ff).unwrap_or_default();
    if exponent == 0 {
        (number.is_sign_negative(), fraction, -1074)
    } else {
        (number.is_sign_negative(), fraction | 1 << 52, exponent - 1075)
    }
}

/// A double in the narrow unit, where it is a multiple of it and leaves room for many more.
fn narrow(number: f64) -> Option<i128> {
    let (negative, fraction, exponent) = parts(number);
    let shift = exponent - NARROW_EXPONENT;
    let magnitude = if (0..=123 - FRACTION_BITS).contains(&shift) {
        i128::from(fraction) << shift
    } else if fraction == 0 {
        0
    } else if shift < 0 && fraction.trailing_zeros() >= shift.unsigned_abs() {
        i128::from(fraction >> shift.unsigned_abs())
    } else {
        return None;
    };
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use proptest::prelude::*;

    use super::*;

    /// The sum in units of 2^-1074, by integers of any size.
    fn reference(numbers: &[Number]) -> BigInt {
        numbers
            .iter()
            .map(|number| match *number {
                Number::Integer(number) => BigInt::from(number) << 1074_u32,
                Number::Double(number) => {
                    let (negative, fraction, exponent) = parts(number);
                    let magnitude = BigInt::from(fraction) << (exponent + 1074).unsigned_abs();
                    if negative { -magnitude } else { magnitude }
                }
            })
            .sum()
    }

    /// Whether no double is nearer to `sum / count` (in units of 2^-1074) than `found`, and an
    /// equally near one is odd.
    fn is_nearest(found: f64, sum: &BigInt, count: u64) -> bool {
        let distance = |double: f64| {
            let scaled = reference(&[Number::Double(double)]) * BigInt::from(count);
            let difference = scaled - sum;
            if difference < BigInt::ZERO { -difference } else { difference }
        };
        let mine = distance(found);
        [found.next_up(), found.next_down()].into_iter().filter(|other| other.is_finite()).all(
            |other| match mine.cmp(&distance(other)) {
                std::cmp::Ordering::Less => true,
                std::cmp::Ordering::Equal => found.to_bits() & 1 == 0,
                std::cmp::Ordering::Greater => false,
            },
        )
    }

    fn sum(numbers: &[Number]) -> ExactSum {
        let mut sum = ExactSum::default();
        for number in numbers {
            sum.add(*number);
        }
        sum
    }

    fn number() -> impl Strategy<Value = Number> {
        prop_oneof![
            any::<i64>().prop_map(Number::Integer),
            (-1000..1000_i64).prop_map(Number::Integer),
            (-1e6..1e6_f64).prop_map(Number::Double),
            prop::num::f64::NORMAL.prop_map(Number::Double),
            prop::num::f64::SUBNORMAL.prop_map(Number::Double),
            Just(Number::Double(f64::MAX)),
            Just(Number::Double(-f64::MAX)),
            Just(Number::Double(5e-324)),
            Just(Number::Double(1e16)),
            Just(Number::Double(-0.0)),
        ]
    }

    proptest! {
        #[test]
        fn sums_and_means_are_the_nearest_doubles_in_every_order(
            numbers in prop::collection::vec(number(), 1..20),
            cut in 0..20_usize,
        ) {
            let exact = reference(&numbers);
            let forward = sum(&numbers);
            let reversed: Vec<_> = numbers.iter().rev().copied().collect();
            let backward = sum(&reversed);
            let (head, tail) = numbers.split_at(cut.min(numbers.len()));
            let mut merged = sum(tail);
            merged.merge(&sum(head));
            let mut less = forward.clone();
            less.subtract(&sum(head));
            for count in [1, 3, numbers.len() as u64, u64::MAX >> 1] {
                let found = forward.divided_by(count);
                let largest = BigInt::from(count) * reference(&[Number::Double(f64::MAX)]);
                if exact.magnitude() <= largest.magnitude() {
                    prop_assert!(is_nearest(found, &exact, count), "{found} of {numbers:?}");
                } else {
                    prop_assert_eq!(found.abs().to_bits(), f64::MAX.to_bits());
                }
                prop_assert_eq!(found.to_bits(), backward.divided_by(count).to_bits());
                prop_assert_eq!(found.to_bits(), merged.divided_by(count).to_bits());
                let rest = sum(tail).divided_by(count);
                prop_assert_eq!(less.divided_by(count).to_bits(), rest.to_bits());
            }
            let bytes = postcard::to_allocvec(&forward).unwrap();
            let read: ExactSum = postcard::from_bytes(&bytes).unwrap();
            prop_assert_eq!(read.divided_by(1).to_bits(), forward.divided_by(1).to_bits());
        }

        #[test]
        fn sums_of_integers_are_integers_while_they_fit(
            numbers in prop::collection::vec(prop_oneof![any::<i64>(), -9..9_i64], 0..12),
        ) {
            let exact: i128 = numbers.iter().map(|number| i128::from(*number)).sum();
            let all: Vec<_> = numbers.iter().map(|number| Number::Integer(*number)).collect();
            prop_assert_eq!(sum(&all).to_integer(), i64::try_from(exact).ok());
        }
    }

    #[test]
    fn what_doubles_would_lose_is_kept() {
        let numbers = [1e16, 1.0, 1e-30, -1e16].map(Number::Double);
        assert!((sum(&numbers).divided_by(1) - 1.0).abs() < f64::EPSILON);
        let tenths: Vec<_> = (0..10).map(|_| Number::Double(0.1)).collect();
        assert_eq!(sum(&tenths).divided_by(1).to_bits(), 1.0_f64.to_bits());
        assert_eq!(sum(&[Number::Double(0.5)]).to_integer(), None);
        assert_eq!(sum(&[]).divided_by(1).to_bits(), 0);
    }
}
