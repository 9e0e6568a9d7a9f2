//! Distance and heading between two positions.
//!
//! Haversine uses the `libm` crate and so gives the same bits on every platform. The WGS84
//! geodesic comes from `geographiclib-rs`, which calls the platform's own sine, cosine and
//! arc tangent: between platforms its last bits may differ.

use std::sync::LazyLock;

use geographiclib_rs::Geodesic;
use geographiclib_rs::InverseGeodesic;
use millrace_plan::model::DistanceModel;

use crate::field::Position;

/// Radius of the sphere of the haversine distance, in metres.
const SPHERE_RADIUS_METRES: f64 = 6_371_000.0;

static WGS84: LazyLock<Geodesic> = LazyLock::new(Geodesic::wgs84);

/// The way from one position to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    /// Length in metres.
    pub(super) metres: f64,
    /// Direction at its start, clockwise from north, in degrees from 0 up to but not including
    /// 360. Means nothing where the length is 0.
    pub(super) heading: f64,
}

/// The way between two positions.
pub(super) fn step(model: DistanceModel, from: Position, to: Position) -> Step {
    match model {
        DistanceModel::Haversine => haversine(from, to),
        DistanceModel::Wgs84 => {
            let (metres, azimuth, _, _): (f64, f64, f64, f64) =
                WGS84.inverse(from.latitude, from.longitude, to.latitude, to.longitude);
            Step { metres, heading: compass(azimuth) }
        }
    }
}

fn haversine(from: Position, to: Position) -> Step {
    let from_latitude = from.latitude.to_radians();
    let to_latitude = to.latitude.to_radians();
    let longitude = (to.longitude - from.longitude).to_radians();
    let (from_sin, from_cos) = libm::sincos(from_latitude);
    let (to_sin, to_cos) = libm::sincos(to_latitude);
    let half_latitude = libm::sin((to_latitude - from_latitude) / 2.0);
    let half_longitude = libm::sin(longitude / 2.0);
    let a = half_latitude * half_latitude + from_cos * to_cos * half_longitude * half_longitude;
    // Between antipodes rounding can lead out of the domain of the arc sine.
    let metres = 2.0 * SPHERE_RADIUS_METRES * libm::asin(libm::sqrt(a.min(1.0)));
    let (longitude_sin, longitude_cos) = libm::sincos(longitude);
    let east = longitude_sin * to_cos;
    let north = from_cos * to_sin - from_sin * to_cos * longitude_cos;
    Step { metres, heading: compass(libm::atan2(east, north).to_degrees()) }
}

/// An angle of -180 to 180 degrees as one of 0 to 360.
fn compass(degrees: f64) -> f64 {
    let turned = if degrees < 0.0 { degrees + 360.0 } else { degrees };
    // The sum of 360 and a tiny negative angle is 360; 0 and -0 are both north.
    if turned >= 360.0 || turned == 0.0 { 0.0 } else { turned }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(latitude: f64, longitude: f64) -> Position {
        Position { latitude, longitude }
    }

    fn close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() <= 1e-9 * expected.abs(), "{actual} is not {expected}");
    }

    #[test]
    fn haversine_gives_the_golden_distance_both_ways() {
        let a = at(52.067_695_316_642_116, -1.024_163_961_410_522_5);
        let b = at(52.071_236_872_409_735, -1.019_829_511_642_456);
        close(haversine(a, b).metres, 492.804_342_037_707_57);
        assert_eq!(haversine(a, b).metres.to_bits(), haversine(b, a).metres.to_bits());
    }

    #[test]
    fn a_hundredth_of_a_degree_of_latitude_differs_between_sphere_and_ellipsoid() {
        let miles = |model| step(model, at(0.0, 0.0), at(0.01, 0.0)).metres / 1609.344;
        close(miles(DistanceModel::Haversine), 0.690_933_241_399);
        close(miles(DistanceModel::Wgs84), 0.687_076_696_050_494_2);
    }

    #[test]
    fn headings_go_clockwise_from_north() {
        for model in [DistanceModel::Haversine, DistanceModel::Wgs84] {
            for (to, heading) in [
                (at(1.0, 0.0), 0.0),
                (at(0.0, 1.0), 90.0),
                (at(-1.0, 0.0), 180.0),
                (at(0.0, -1.0), 270.0),
            ] {
                let found = step(model, at(0.0, 0.0), to).heading;
                assert!((found - heading).abs() < 1e-9, "{model:?} {to:?}: {found}");
            }
        }
        assert_eq!(compass(-1e-20).to_bits(), 0.0_f64.to_bits());
        assert_eq!(compass(-0.0).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn antipodes_are_half_a_great_circle_apart() {
        close(haversine(at(0.0, 0.0), at(0.0, 180.0)).metres, 20_015_086.796_020_57);
        close(haversine(at(90.0, 0.0), at(-90.0, 77.0)).metres, 20_015_086.796_020_57);
    }

    fn anywhere() -> impl Strategy<Value = Position> {
        (-90.0..=90.0, -180.0..=180.0).prop_map(|(latitude, longitude)| at(latitude, longitude))
    }

    proptest! {
        #[test]
        fn distance_is_symmetric_and_zero_to_itself(a in anywhere(), b in anywhere()) {
            for model in [DistanceModel::Haversine, DistanceModel::Wgs84] {
                let there = step(model, a, b).metres;
                let back = step(model, b, a).metres;
                // The ellipsoid's library promises 15 nanometres.
                prop_assert!((there - back).abs() <= 5e-8, "{there} {back}");
                prop_assert!(step(model, a, a).metres.abs() < 1e-9);
            }
        }

        #[test]
        fn a_detour_is_never_shorter(a in anywhere(), b in anywhere(), c in anywhere()) {
            for model in [DistanceModel::Haversine, DistanceModel::Wgs84] {
                let direct = step(model, a, c).metres;
                let detour = step(model, a, b).metres + step(model, b, c).metres;
                // Near antipodes the arc sine turns a rounding error into as much as 0.3 m.
                prop_assert!(direct <= detour + 0.5, "{direct} {detour}");
            }
        }
    }
}
