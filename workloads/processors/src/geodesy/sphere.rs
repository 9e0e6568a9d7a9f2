//! The haversine distance on a sphere, and the first heading of the great circle.

use super::Step;
use super::compass;
use crate::field::Position;

/// Radius of the sphere in metres.
const RADIUS_METRES: f64 = 6_371_000.0;

/// The way between two positions.
pub(super) fn haversine(from: Position, to: Position) -> Step {
    let (from_sin, from_cos) = libm::sincos(from.latitude.to_radians());
    let (to_sin, to_cos) = libm::sincos(to.latitude.to_radians());
    let (longitude_sin, longitude_cos) = libm::sincos((to.longitude - from.longitude).to_radians());
    let east = longitude_sin * to_cos;
    let north = from_cos * to_sin - from_sin * to_cos * longitude_cos;
    Step { metres: metres(from, to), heading: compass(libm::atan2(east, north).to_degrees()) }
}

/// The distance between two positions in metres.
pub(super) fn metres(from: Position, to: Position) -> f64 {
    let (from_latitude, to_latitude) = (from.latitude.to_radians(), to.latitude.to_radians());
    let half_latitude = libm::sin((to_latitude - from_latitude) / 2.0);
    let half_longitude = libm::sin((to.longitude - from.longitude).to_radians() / 2.0);
    let cosines = libm::cos(from_latitude) * libm::cos(to_latitude);
    let a = half_latitude * half_latitude + cosines * half_longitude * half_longitude;
    // Between antipodes rounding can lead out of the domain of the arc sine.
    2.0 * RADIUS_METRES * libm::asin(libm::sqrt(a.min(1.0)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::at;
    use super::super::tests::close;
    use super::*;

    #[test]
    fn haversine_gives_the_golden_distance_both_ways() {
        let a = at(52.067_695_316_642_116, -1.024_163_961_410_522_5);
        let b = at(52.071_236_872_409_735, -1.019_829_511_642_456);
        close(haversine(a, b).metres, 492.804_342_037_707_57);
        assert_eq!(haversine(a, b).metres.to_bits(), haversine(b, a).metres.to_bits());
    }

    #[test]
    fn antipodes_are_half_a_great_circle_apart() {
        close(haversine(at(0.0, 0.0), at(0.0, 180.0)).metres, 20_015_086.796_020_57);
        close(haversine(at(90.0, 0.0), at(-90.0, 77.0)).metres, 20_015_086.796_020_57);
    }
}
