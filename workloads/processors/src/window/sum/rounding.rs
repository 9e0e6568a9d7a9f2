//! Rounding a fraction of large integers to the nearest double, once.

use super::wide::LIMBS;

/// Zero limbs put below a number before it is divided, so that enough of the quotient is left to
/// round.
const GUARD: usize = 2;

/// The double nearest to `limbs * 2^exponent / divisor`, of two equally near ones the even one; the
/// largest double for what lies beyond. The lowest limb comes first; a divisor of 0 counts as 1.
pub(super) fn quotient(negative: bool, limbs: &[u64], exponent: i32, divisor: u64) -> f64 {
    let Some(top) = limbs.iter().rposition(|limb| *limb != 0) else { return 0.0 };
    let divisor = u128::from(divisor.max(1));
    let mut buffer = [0; LIMBS + GUARD];
    let digits = &mut buffer[..=top + GUARD];
    digits[GUARD..].copy_from_slice(&limbs[..=top]);
    let mut remainder: u128 = 0;
    for digit in digits.iter_mut().rev() {
        let part = remainder << 64 | u128::from(*digit);
        // The remainder is less than the divisor, so the quotient is one digit.
        *digit = u64::try_from(part / divisor).unwrap_or(u64::MAX);
        remainder = part % divisor;
    }
    let guard = i32::try_from(64 * GUARD).unwrap_or_default();
    let magnitude = nearest(digits, exponent - guard, remainder != 0);
    if negative { -magnitude } else { magnitude }
}

/// The double nearest to `digits * 2^exponent` and a little more if `more`.
fn nearest(digits: &[u64], exponent: i32, more: bool) -> f64 {
    let Some(top) = digits.iter().rposition(|digit| *digit != 0) else { return 0.0 };
    let below = top.checked_sub(1).map_or(0, |below| digits[below]);
    let shift = digits[top].leading_zeros();
    let pair = (u128::from(digits[top]) << 64 | u128::from(below)) << shift;
    // The number is `leading * 2^scale` and a bit more if `rest`, and its first bit is set.
    let leading = u64::try_from(pair >> 64).unwrap_or(u64::MAX);
    let rest = more
        || pair & u128::from(u64::MAX) != 0
        || digits[..top.saturating_sub(1)].iter().any(|digit| *digit != 0);
    // At most 36 digits.
    let place = i32::try_from(64 * top).unwrap_or(i32::MAX / 2);
    let scale = exponent + place - shift.cast_signed();
    let highest = scale + 63;
    if highest > 1023 {
        return f64::MAX;
    }
    let bits = (53 + (highest + 1022).min(0)).max(-1);
    // Dropping more than 64 bits leaves less than half of the smallest double.
    let Ok(dropped @ 0..=64) = u32::try_from(64 - bits) else { return 0.0 };
    let kept = leading.checked_shr(dropped).unwrap_or(0);
    let lost = if dropped == 64 { leading } else { leading & ((1 << dropped) - 1) };
    let half = 1 << (dropped - 1);
    let up = lost > half || lost == half && (rest || kept & 1 == 1);
    let rounded = kept + u64::from(up);
    // A carry out of the fraction raises the exponent, as the format of doubles has it.
    let biased = u64::try_from(highest + 1022).unwrap_or(0);
    let found = if highest >= -1022 {
        f64::from_bits((biased << 52) + rounded)
    } else {
        f64::from_bits(rounded)
    };
    found.min(f64::MAX)
}
