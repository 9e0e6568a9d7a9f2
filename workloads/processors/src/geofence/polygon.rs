//! Polygons of straight lines in latitude and longitude, across the meridian of 180 degrees too.
//!
//! On which side of a line a point lies is decided exactly (by Shewchuk's adaptive predicate), so
//! that a point on an edge that two polygons share is in both, and one beside it in one of them.

use robust::Coord;
use robust::orient2d;

use crate::field::Position;

const FULL_CIRCLE: f64 = 360.0;
const HALF_CIRCLE: f64 = 180.0;

/// A polygon. Its longitudes go on beyond 180 degrees where it crosses that meridian.
pub(super) struct Polygon {
    corners: Vec<Coord<f64>>,
    west: f64,
    east: f64,
    south: f64,
    north: f64,
}

impl Polygon {
    /// The polygon between (latitude, longitude) points. Between two of them it goes the short way
    /// around the Earth.
    pub(super) fn of(points: &[(f64, f64)]) -> Self {
        let mut corners: Vec<Coord<f64>> = Vec::with_capacity(points.len());
        for &(latitude, longitude) in points {
            let turns = match corners.last() {
                Some(last) if last.x - longitude > HALF_CIRCLE => {
                    libm::ceil((last.x - longitude - HALF_CIRCLE) / FULL_CIRCLE)
                }
                Some(last) if longitude - last.x > HALF_CIRCLE => {
                    -libm::ceil((longitude - last.x - HALF_CIRCLE) / FULL_CIRCLE)
                }
                _ => 0.0,
            };
            corners.push(Coord { x: longitude + turns * FULL_CIRCLE, y: latitude });
        }
        let fold = |of: fn(&Coord<f64>) -> f64, pick: fn(f64, f64) -> f64| {
            corners.iter().map(of).reduce(pick).unwrap_or(f64::NAN)
        };
        Self {
            west: fold(|corner| corner.x, f64::min),
            east: fold(|corner| corner.x, f64::max),
            south: fold(|corner| corner.y, f64::min),
            north: fold(|corner| corner.y, f64::max),
            corners,
        }
    }

    /// Whether a position is in the polygon or on its edge.
    pub(super) fn contains(&self, position: Position) -> bool {
        if !(self.south..=self.north).contains(&position.latitude) {
            return false;
        }
        // The polygon's longitudes may lie a circle or more beyond those of positions.
        let mut x = position.longitude
            + FULL_CIRCLE * libm::ceil((self.west - position.longitude) / FULL_CIRCLE);
        while x <= self.east {
            if self.holds(Coord { x, y: position.latitude }) {
                return true;
            }
            x += FULL_CIRCLE;
        }
        false
    }

    /// Whether a point in the polygon's own longitudes is in it: its edge, or an odd number of
    /// edges to the east.
    fn holds(&self, point: Coord<f64>) -> bool {
        let mut odd = false;
        let Some(mut from) = self.corners.last() else { return false };
        for to in &self.corners {
            let side = orient2d(*from, *to, point);
            let between = |a: f64, b: f64, of: f64| a.min(b) <= of && of <= a.max(b);
            if side == 0.0 && between(from.x, to.x, point.x) && between(from.y, to.y, point.y) {
                return true;
            }
            let (upward, downward) =
                (from.y <= point.y && to.y > point.y, to.y <= point.y && from.y > point.y);
            if (upward && side > 0.0) || (downward && side < 0.0) {
                odd = !odd;
            }
            from = to;
        }
        odd
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(latitude: f64, longitude: f64) -> Position {
        Position { latitude, longitude }
    }

    #[test]
    fn corners_edges_and_what_is_between_are_inside() {
        let square = Polygon::of(&[(0.0, 0.0), (0.0, 2.0), (2.0, 2.0), (2.0, 0.0)]);
        for inside in [at(1.0, 1.0), at(0.0, 0.0), at(2.0, 2.0), at(0.0, 1.0), at(1.0, 2.0)] {
            assert!(square.contains(inside), "{inside:?}");
        }
        for outside in [at(1.0, 2.1), at(1.0, -0.1), at(2.1, 1.0), at(-0.1, 1.0), at(0.0, 3.0)] {
            assert!(!square.contains(outside), "{outside:?}");
        }
    }

    #[test]
    fn a_notch_is_outside() {
        let notched = Polygon::of(&[(0.0, 0.0), (0.0, 4.0), (4.0, 4.0), (1.0, 2.0), (4.0, 0.0)]);
        assert!(notched.contains(at(0.5, 2.0)));
        assert!(notched.contains(at(3.0, 0.5)));
        assert!(notched.contains(at(1.0, 2.0)));
        assert!(!notched.contains(at(3.0, 2.0)));
    }

    #[test]
    fn a_polygon_across_the_meridian_of_180_degrees_is_the_small_one() {
        for points in [
            [(-10.0, 170.0), (-10.0, -170.0), (10.0, -170.0), (10.0, 170.0)],
            [(-10.0, -170.0), (10.0, -170.0), (10.0, 170.0), (-10.0, 170.0)],
        ] {
            let across = Polygon::of(&points);
            for longitude in [170.0, 175.0, 180.0, -180.0, -175.0, -170.0] {
                assert!(across.contains(at(0.0, longitude)), "{longitude}");
            }
            for longitude in [169.9, -169.9, 0.0, 90.0, -90.0] {
                assert!(!across.contains(at(0.0, longitude)), "{longitude}");
            }
        }
    }

    #[test]
    fn the_edge_at_the_meridian_of_180_degrees_has_two_names() {
        let west = Polygon::of(&[(0.0, 170.0), (0.0, 180.0), (5.0, 180.0), (5.0, 170.0)]);
        let east = Polygon::of(&[(0.0, -170.0), (0.0, -180.0), (5.0, -180.0), (5.0, -170.0)]);
        for longitude in [180.0, -180.0] {
            assert!(west.contains(at(2.0, longitude)) && east.contains(at(2.0, longitude)));
        }
    }

    #[test]
    fn the_side_of_a_line_is_exact() {
        // Points of one line in whole steps of the last digit; plain arithmetic calls some of them
        // left and some right of it.
        let triangle = Polygon::of(&[(12.0, 12.0), (24.0, 24.0), (24.0, 12.0)]);
        let step = f64::EPSILON * 8.0;
        for n in 0..40_u32 {
            let part = 12.5 + f64::from(n) * step;
            assert!(triangle.contains(at(part, part)), "{n}");
            assert!(triangle.contains(at(part + step, part)), "{n}");
            assert!(!triangle.contains(at(part, part + step)), "{n}");
        }
    }

    proptest! {
        #[test]
        fn two_halves_hold_what_the_whole_holds(
            latitude in -5.0..15.0_f64,
            longitude in -200.0..-160.0_f64,
            cut in 0.0..10.0_f64,
        ) {
            let longitude = if longitude < -180.0 { longitude + 360.0 } else { longitude };
            let whole = Polygon::of(&[(0.0, 170.0), (0.0, -170.0), (10.0, -170.0), (10.0, 170.0)]);
            let lower = Polygon::of(&[(0.0, 170.0), (0.0, -170.0), (cut, 170.0)]);
            let upper = Polygon::of(&[(0.0, -170.0), (10.0, -170.0), (10.0, 170.0), (cut, 170.0)]);
            let here = at(latitude, longitude);
            prop_assert_eq!(whole.contains(here), lower.contains(here) || upper.contains(here));
        }
    }
}
