//! The shortest way on the WGS84 ellipsoid, to half a millimetre.
//!
//! By the inverse formula of T. Vincenty, "Direct and Inverse Solutions of Geodesics on the
//! Ellipsoid with Application of Nested Equations", Survey Review 23 (176), 1975. Its iteration
//! finds nothing between points that are nearly antipodal (within about 0.6 degrees). The shortest
//! way between such points is searched for through the points that are a quarter of the Earth away
//! from both, where the formula holds for either half.

use std::f64::consts::PI;
use std::f64::consts::TAU;

use super::Step;
use super::compass;
use crate::field::Position;

/// Equatorial radius of WGS84 in metres.
const EQUATORIAL_METRES: f64 = 6_378_137.0;
/// Flattening of WGS84.
const FLATTENING: f64 = 1.0 / 298.257_223_563;
const POLAR_METRES: f64 = EQUATORIAL_METRES * (1.0 - FLATTENING);

/// Two longitudes of the iteration that count as one: so many radians apart, which is less than a
/// nanometre, …
const CONVERGED_RADIANS: f64 = 1e-16;
/// … and this part of the longitude, which is a hundredth of a millimetre half around the Earth.
const CONVERGED_PART: f64 = 1e-12;
/// Elsewhere than near antipodes a tenth of these are made.
const MAX_ITERATIONS: u32 = 50;

/// Ways that are compared at first where points are nearly antipodal.
const FIRST_WAYS: u8 = 16;
/// Each narrows the search to two thirds; after all of them it is as narrow as a double tells.
const NARROWINGS: u8 = 50;

/// The way between two positions.
pub(super) fn geodesic(from: Position, to: Position) -> Step {
    vincenty(from, to).unwrap_or_else(|| between_antipodes(from, to))
}

/// The inverse formula; none where it does not converge. Symbols are those of the paper.
fn vincenty(from: Position, to: Position) -> Option<Step> {
    let (sin_u1, cos_u1) = reduced_latitude(from);
    let (sin_u2, cos_u2) = reduced_latitude(to);
    let difference = longitude_difference(from, to);
    let mut lambda = difference;
    for _ in 0..MAX_ITERATIONS {
        let (sin_lambda, cos_lambda) = libm::sincos(lambda);
        let east = cos_u2 * sin_lambda;
        let north = cos_u1 * sin_u2 - sin_u1 * cos_u2 * cos_lambda;
        let sin_sigma = libm::sqrt(east * east + north * north);
        let cos_sigma = sin_u1 * sin_u2 + cos_u1 * cos_u2 * cos_lambda;
        if sin_sigma == 0.0 {
            // One place, or two of which every way leads to the other.
            return (cos_sigma > 0.0).then_some(Step { metres: 0.0, heading: 0.0 });
        }
        let sigma = libm::atan2(sin_sigma, cos_sigma);
        let sin_alpha = cos_u1 * east / sin_sigma;
        // The paper's 1 - sin²α, in a form that keeps its digits on the equator.
        let cos_alpha1 = north / sin_sigma;
        let cos2_alpha = sin_u1 * sin_u1 + cos_u1 * cos_u1 * cos_alpha1 * cos_alpha1;
        // The paper's cos 2σm. On the equator it has no value, and what it is multiplied by is 0.
        let middle = if cos2_alpha > 0.0 {
            (cos_sigma - 2.0 * sin_u1 * sin_u2 / cos2_alpha).clamp(-1.0, 1.0)
        } else {
            0.0
        };
        let middle2 = middle * middle;
        let c = FLATTENING / 16.0 * cos2_alpha * (4.0 + FLATTENING * (4.0 - 3.0 * cos2_alpha));
        let bend = middle + c * cos_sigma * (2.0 * middle2 - 1.0);
        let next = difference + (1.0 - c) * FLATTENING * sin_alpha * (sigma + c * sin_sigma * bend);
        if next.abs() > PI {
            return None;
        }
        if (next - lambda).abs() > CONVERGED_RADIANS + CONVERGED_PART * lambda.abs() {
            lambda = next;
            continue;
        }
        let u2 = cos2_alpha
            * (EQUATORIAL_METRES * EQUATORIAL_METRES / (POLAR_METRES * POLAR_METRES) - 1.0);
        let a = 1.0 + u2 / 16384.0 * (4096.0 + u2 * (-768.0 + u2 * (320.0 - 175.0 * u2)));
        let b = u2 / 1024.0 * (256.0 + u2 * (-128.0 + u2 * (74.0 - 47.0 * u2)));
        let third = b / 6.0 * middle * (4.0 * sin_sigma * sin_sigma - 3.0) * (4.0 * middle2 - 3.0);
        let second = b / 4.0 * (cos_sigma * (2.0 * middle2 - 1.0) - third);
        let delta_sigma = b * sin_sigma * (middle + second);
        return Some(Step {
            metres: POLAR_METRES * a * (sigma - delta_sigma),
            heading: compass(libm::atan2(east, north).to_degrees()),
        });
    }
    None
}

/// Sine and cosine of the latitude on the auxiliary sphere.
fn reduced_latitude(position: Position) -> (f64, f64) {
    let (sin, cos) = libm::sincos(position.latitude.to_radians());
    let sin = (1.0 - FLATTENING) * sin;
    let length = libm::sqrt(sin * sin + cos * cos);
    (sin / length, cos / length)
}

/// The difference of longitudes the short way, in radians, positive to the east.
fn longitude_difference(from: Position, to: Position) -> f64 {
    let degrees = to.longitude - from.longitude;
    let short = if degrees > 180.0 {
        degrees - 360.0
    } else if degrees < -180.0 {
        degrees + 360.0
    } else {
        degrees
    };
    short.to_radians()
}

/// The shortest way between points that are nearly antipodal. Each way crosses the circle half way
/// between them once; where it does so is searched for.
fn between_antipodes(from: Position, to: Position) -> Step {
    let circle = Circle::between(from, to);
    let metres = |angle: f64| {
        let middle = circle.at(angle);
        let half = |end| vincenty(end, middle).map_or(f64::INFINITY, |step| step.metres);
        half(from) + half(to)
    };
    let width = TAU / f64::from(FIRST_WAYS);
    let best = (0..FIRST_WAYS)
        .map(|way| f64::from(way) * width)
        .min_by(|a, b| metres(*a).total_cmp(&metres(*b)))
        .unwrap_or_default();
    let (mut low, mut high) = (best - width, best + width);
    for _ in 0..NARROWINGS {
        let third = (high - low) / 3.0;
        if metres(low + third) <= metres(high - third) {
            high -= third;
        } else {
            low += third;
        }
    }
    let angle = f64::midpoint(low, high);
    let heading = vincenty(from, circle.at(angle)).map_or(0.0, |step| step.heading);
    Step { metres: metres(angle), heading }
}

/// The great circle of the points that are as far from one position as from another.
struct Circle {
    first: [f64; 3],
    second: [f64; 3],
}

impl Circle {
    fn between(from: Position, to: Position) -> Self {
        let (a, b) = (direction(from), direction(to));
        let axis = unit([a[0] - b[0], a[1] - b[1], a[2] - b[2]]);
        // Poles have no direction on the equator of their own; any will do.
        let level = libm::sqrt(axis[0] * axis[0] + axis[1] * axis[1]);
        let first = if level > 0.0 { unit([axis[1], -axis[0], 0.0]) } else { [1.0, 0.0, 0.0] };
        let second = [
            axis[1] * first[2] - axis[2] * first[1],
            axis[2] * first[0] - axis[0] * first[2],
            axis[0] * first[1] - axis[1] * first[0],
        ];
        Self { first, second }
    }

    /// The point at an angle in radians.
    fn at(&self, angle: f64) -> Position {
        let (sin, cos) = libm::sincos(angle);
        let [x, y, z] = [0, 1, 2].map(|i| cos * self.first[i] + sin * self.second[i]);
        Position {
            latitude: libm::atan2(z, libm::sqrt(x * x + y * y)).to_degrees(),
            longitude: libm::atan2(y, x).to_degrees(),
        }
    }
}

fn direction(position: Position) -> [f64; 3] {
    let (sin_latitude, cos_latitude) = libm::sincos(position.latitude.to_radians());
    let (sin_longitude, cos_longitude) = libm::sincos(position.longitude.to_radians());
    [cos_latitude * cos_longitude, cos_latitude * sin_longitude, sin_latitude]
}

fn unit([x, y, z]: [f64; 3]) -> [f64; 3] {
    let length = libm::sqrt(x * x + y * y + z * z);
    [x / length, y / length, z / length]
}

#[cfg(test)]
mod tests {
    use geographiclib_rs::Geodesic;
    use geographiclib_rs::InverseGeodesic;
    use proptest::prelude::*;

    use super::super::tests::anywhere;
    use super::super::tests::at;
    use super::*;

    /// Length and heading by another algorithm (C. F. F. Karney's), exact to 15 nanometres.
    fn reference(from: Position, to: Position) -> Step {
        let (metres, azimuth, _, _): (f64, f64, f64, f64) =
            Geodesic::wgs84().inverse(from.latitude, from.longitude, to.latitude, to.longitude);
        Step { metres, heading: compass(azimuth) }
    }

    fn within(actual: f64, expected: f64, metres: f64) {
        assert!((actual - expected).abs() <= metres, "{actual} is not {expected}");
    }

    #[test]
    fn a_quarter_of_the_meridian_and_of_the_equator_have_their_lengths() {
        within(geodesic(at(0.0, 7.0), at(90.0, 7.0)).metres, 10_001_965.729_3, 1e-4);
        within(geodesic(at(0.0, -45.0), at(0.0, 45.0)).metres, 10_018_754.171_4, 1e-4);
    }

    #[test]
    fn the_shortest_way_between_antipodes_leads_over_a_pole() {
        for (from, to) in [
            (at(0.0, 0.0), at(0.0, 180.0)),
            (at(0.0, 90.0), at(0.0, -90.0)),
            (at(45.0, 10.0), at(-45.0, -170.0)),
            (at(90.0, 0.0), at(-90.0, 77.0)),
        ] {
            within(geodesic(from, to).metres, 20_003_931.458_6, 1e-3);
        }
    }

    #[test]
    fn the_date_line_is_crossed_the_short_way() {
        let step = geodesic(at(0.0, 179.5), at(0.0, -179.5));
        within(step.metres, 111_319.490_8, 1e-4);
        within(step.heading, 90.0, 1e-9);
    }

    proptest! {
        #[test]
        fn near_points_are_as_far_apart_as_by_another_algorithm(
            from in anywhere(),
            north in -6.0..6.0_f64,
            east in -6.0..6.0_f64,
            scale in 0..7_i32,
        ) {
            let scale = libm::exp10(-f64::from(scale));
            let latitude = (from.latitude + north * scale).clamp(-90.0, 90.0);
            let longitude = (from.longitude + east * scale).clamp(-180.0, 180.0);
            let to = at(latitude, longitude);
            let (found, expected) = (geodesic(from, to), reference(from, to));
            // A double tells places a nanometre apart.
            let tolerance = 1e-9 * expected.metres + 1e-8;
            prop_assert!((found.metres - expected.metres).abs() <= tolerance, "{found:?} {expected:?}");
        }

        #[test]
        fn any_points_are_as_far_apart_as_by_another_algorithm(from in anywhere(), to in anywhere()) {
            let (found, expected) = (geodesic(from, to), reference(from, to));
            prop_assert!((found.metres - expected.metres).abs() <= 5e-4, "{found:?} {expected:?}");
            // Towards an antipode all headings come to the same length.
            if expected.metres < 19_900_000.0 {
                let turn = (found.heading - expected.heading).abs();
                prop_assert!(turn.min(360.0 - turn) <= 1e-6, "{found:?} {expected:?}");
            }
        }

        #[test]
        fn nearly_antipodal_points_are_as_far_apart_as_by_another_algorithm(
            from in anywhere(),
            north in -1.0..1.0_f64,
            east in -1.0..1.0_f64,
        ) {
            let latitude = (north - from.latitude).clamp(-90.0, 90.0);
            let opposite = from.longitude + 180.0 + east;
            let longitude = if opposite > 180.0 { opposite - 360.0 } else { opposite };
            let to = at(latitude, longitude);
            let (found, expected) = (geodesic(from, to), reference(from, to));
            prop_assert!((found.metres - expected.metres).abs() <= 1e-3, "{found:?} {expected:?}");
        }
    }
}
