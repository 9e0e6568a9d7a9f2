//! Distance and heading between two positions.
//!
//! Sines, cosines and their inverses come from the `libm` crate, so that results have the same
//! bits on every platform.

mod ellipsoid;
mod sphere;

use millrace_plan::model::DistanceModel;

use crate::field::Position;

/// The way from one position to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    /// Length in metres.
    pub(crate) metres: f64,
    /// Direction at its start, clockwise from north, in degrees from 0 up to but not including
    /// 360. Means nothing where the length is 0.
    pub(crate) heading: f64,
}

/// The way between two positions.
pub(crate) fn step(model: DistanceModel, from: Position, to: Position) -> Step {
    match model {
        DistanceModel::Haversine => sphere::haversine(from, to),
        DistanceModel::Wgs84 => ellipsoid::geodesic(from, to),
    }
}

/// The haversine distance between two positions in metres.
pub(crate) fn haversine_metres(from: Position, to: Position) -> f64 {
    sphere::metres(from, to)
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

    pub(super) fn at(latitude: f64, longitude: f64) -> Position {
        Position { latitude, longitude }
    }

    pub(super) fn close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() <= 1e-9 * expected.abs(), "{actual} is not {expected}");
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

    pub(super) fn anywhere() -> impl Strategy<Value = Position> {
        (-90.0..=90.0, -180.0..=180.0).prop_map(|(latitude, longitude)| at(latitude, longitude))
    }

    proptest! {
        #[test]
        fn distance_is_symmetric_and_zero_to_itself(a in anywhere(), b in anywhere()) {
            for (model, metres) in [(DistanceModel::Haversine, 5e-8), (DistanceModel::Wgs84, 5e-4)] {
                let there = step(model, a, b).metres;
                let back = step(model, b, a).metres;
                prop_assert!((there - back).abs() <= metres, "{there} {back}");
                prop_assert!(step(model, a, a).metres.abs() < 1e-9);
            }
        }

        #[test]
        fn a_detour_is_never_shorter(a in anywhere(), b in anywhere(), c in anywhere()) {
            // Near antipodes the arc sine turns a rounding error into as much as 0.3 m.
            for (model, metres) in [(DistanceModel::Haversine, 0.5), (DistanceModel::Wgs84, 1e-3)] {
                let direct = step(model, a, c).metres;
                let detour = step(model, a, b).metres + step(model, b, c).metres;
                prop_assert!(direct <= detour + metres, "{direct} {detour}");
            }
        }
    }
}
