//! Crossings of a gate: the step's segment crosses the gate's from right to left.
//!
//! Gates and steps are short, so the Earth around the gate counts as flat: longitudes are scaled
//! by the cosine of the gate's latitude.

use crate::field::Position;

/// A gate, ready to be compared with steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gate {
    origin: Position,
    /// Length of a degree of longitude against one of latitude.
    scale: f64,
    /// From the first point to the second, (east, north) in degrees of latitude.
    along: (f64, f64),
}

impl Gate {
    /// The gate between two points, (latitude, longitude) each.
    pub(super) fn between(points: [(f64, f64); 2]) -> Self {
        let [first, second] = points.map(|(latitude, longitude)| Position { latitude, longitude });
        let mut gate = Self {
            origin: first,
            scale: libm::cos(first.latitude.to_radians()),
            along: (0.0, 0.0),
        };
        gate.along = gate.flat(second);
        gate
    }

    /// The part of the step at which it crosses the gate in the direction of travel. A step that
    /// ends on the gate has crossed it; one that begins on it has not.
    pub(super) fn crossing(&self, from: Position, to: Position) -> Option<f64> {
        let (start, end) = (self.flat(from), self.flat(to));
        let (start_side, end_side) = (cross(self.along, start), cross(self.along, end));
        if start_side >= 0.0 || end_side < 0.0 {
            return None;
        }
        let part = start_side / (start_side - end_side);
        let east = start.0 + part * (end.0 - start.0);
        let north = start.1 + part * (end.1 - start.1);
        let (along_east, along_north) = self.along;
        let place = east * along_east + north * along_north;
        let length = along_east * along_east + along_north * along_north;
        (0.0..=length).contains(&place).then_some(part)
    }

    /// A position as (east, north) of the gate's first point, in degrees of latitude.
    fn flat(&self, position: Position) -> (f64, f64) {
        let mut east = position.longitude - self.origin.longitude;
        // The short way, also across the meridian of 180 degrees.
        if east > 180.0 {
            east -= 360.0;
        } else if east < -180.0 {
            east += 360.0;
        }
        (east * self.scale, position.latitude - self.origin.latitude)
    }
}

/// Positive where `b` lies to the left of `a`.
fn cross(a: (f64, f64), b: (f64, f64)) -> f64 {
    a.0 * b.1 - a.1 * b.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(latitude: f64, longitude: f64) -> Position {
        Position { latitude, longitude }
    }

    /// A gate that points north along a meridian: its left is the west.
    fn gate(longitude: f64) -> Gate {
        Gate::between([(52.0, longitude), (52.001, longitude)])
    }

    #[test]
    fn a_gate_counts_from_right_to_left_only() {
        let (east, west) = (at(52.0005, 1.001), at(52.0005, 0.999));
        assert!((gate(1.0).crossing(east, west).unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(gate(1.0).crossing(west, east), None);
    }

    #[test]
    fn a_step_past_the_end_of_the_gate_is_no_crossing() {
        assert_eq!(gate(1.0).crossing(at(52.0011, 1.001), at(52.0011, 0.999)), None);
        assert_eq!(gate(1.0).crossing(at(51.9999, 1.001), at(51.9999, 0.999)), None);
    }

    #[test]
    fn two_steps_that_meet_on_the_gate_cross_it_once() {
        let (east, on, west) = (at(52.0005, 1.001), at(52.0005, 1.0), at(52.0005, 0.999));
        assert_eq!(gate(1.0).crossing(east, on), Some(1.0));
        assert_eq!(gate(1.0).crossing(on, west), None);
    }

    #[test]
    fn a_gate_on_the_date_line_is_crossed_the_short_way() {
        let part = gate(180.0).crossing(at(52.0005, -179.999), at(52.0005, 179.999)).unwrap();
        assert!((part - 0.5).abs() < 1e-6);
    }
}
