//! An integer wide enough for the sum of 2^63 doubles of any size, in units of 2^-1088.

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error as _;

use super::NARROW_EXPONENT;
use super::parts;

/// The unit is 2 to the power of this: a whole number of limbs below 1, and below all doubles.
pub(super) const EXPONENT: i32 = -1088;

/// 2176 bits: doubles end below 2^1024, and 2^63 of them below 2^1087.
pub(super) const LIMBS: usize = 34;

/// The first limb of whole numbers.
const WHOLE: usize = 17;

/// Two's complement, the lowest limb first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wide([u64; LIMBS]);

impl Default for Wide {
    fn default() -> Self {
        Self([0; LIMBS])
    }
}

impl Wide {
    /// Adds a double.
    pub(super) fn add_double(&mut self, number: f64) {
        let (negative, fraction, exponent) = parts(number);
        self.add_at(negative, u128::from(fraction), (exponent - EXPONENT).unsigned_abs());
    }

    /// Adds a number in the narrow unit.
    pub(super) fn add_narrow(&mut self, narrow: i128) {
        let place = (NARROW_EXPONENT - EXPONENT).unsigned_abs();
        self.add_at(narrow < 0, narrow.unsigned_abs(), place);
    }

    /// Takes away a number in the narrow unit.
    pub(super) fn subtract_narrow(&mut self, narrow: i128) {
        let place = (NARROW_EXPONENT - EXPONENT).unsigned_abs();
        self.add_at(narrow >= 0, narrow.unsigned_abs(), place);
    }

    /// Adds another one.
    pub(super) fn add(&mut self, other: &Self) {
        let mut carry = false;
        for (limb, added) in self.0.iter_mut().zip(other.0) {
            let (sum, first) = limb.overflowing_add(added);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, first || second);
        }
    }

    /// Takes another one away.
    pub(super) fn subtract(&mut self, other: &Self) {
        self.add(&other.negated());
    }

    /// Whether it is negative, and its magnitude, the lowest limb first.
    pub(super) fn magnitude(&self) -> (bool, [u64; LIMBS]) {
        if self.is_negative() { (true, self.negated().0) } else { (false, self.0) }
    }

    /// The integer that it is, if it is one of 64 bits.
    pub(super) fn to_integer(&self) -> Option<i64> {
        let (fraction, whole) = self.0.split_at(WHOLE);
        let (lowest, above) = whole.split_first()?;
        let integer = lowest.cast_signed();
        let sign = (integer >> 63).cast_unsigned();
        let fits = fraction.iter().all(|limb| *limb == 0) && above.iter().all(|limb| *limb == sign);
        fits.then_some(integer)
    }

    fn is_negative(&self) -> bool {
        self.0[LIMBS - 1] >> 63 == 1
    }

    fn negated(&self) -> Self {
        let mut carry = true;
        Self(self.0.map(|limb| {
            let (negated, carried) = (!limb).overflowing_add(u64::from(carry));
            carry = carried;
            negated
        }))
    }

    /// Adds or takes away a magnitude, shifted left by so many bits.
    fn add_at(&mut self, negative: bool, magnitude: u128, place: u32) {
        let mut added = Self::default();
        let (limb, shift) = ((place / 64) as usize, place % 64);
        let [low, high] = [magnitude, magnitude >> 64].map(|part| part & u128::from(u64::MAX));
        for (index, part) in [low << shift, high << shift].into_iter().enumerate() {
            for (index, part) in [part, part >> 64].into_iter().zip(limb + index..).map(swap) {
                if let Some(limb) = added.0.get_mut(index) {
                    // The parts of one limb share no bits.
                    *limb |= u64::try_from(part & u128::from(u64::MAX)).unwrap_or_default();
                }
            }
        }
        if negative {
            self.subtract(&added);
        } else {
            self.add(&added);
        }
    }
}

fn swap<A, B>((a, b): (A, B)) -> (B, A) {
    (b, a)
}

/// The limbs up to the last one that says more than the sign.
impl Serialize for Wide {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sign = if self.is_negative() { u64::MAX } else { 0 };
        let said = self.0.iter().rposition(|limb| *limb != sign).map_or(0, |last| last + 1);
        (self.is_negative(), &self.0[..said]).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Wide {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (negative, said): (bool, Vec<u64>) = Deserialize::deserialize(deserializer)?;
        let mut wide = Self([if negative { u64::MAX } else { 0 }; LIMBS]);
        match wide.0.get_mut(..said.len()) {
            Some(limbs) => limbs.copy_from_slice(&said),
            None => return Err(D::Error::custom("a sum is too wide")),
        }
        Ok(wide)
    }
}
