//! Whether a position is in an area.

use millrace_plan::model::Area;

use super::polygon::Polygon;
use crate::field::Position;
use crate::geodesy::haversine_metres;

/// An area, ready to be compared with positions.
pub(super) enum Extent {
    Circle { center: Position, radius: f64 },
    Polygon(Polygon),
}

impl Extent {
    pub(super) fn of(area: &Area) -> Self {
        match area {
            Area::Circle { center: (latitude, longitude), radius } => Self::Circle {
                center: Position { latitude: *latitude, longitude: *longitude },
                radius: *radius,
            },
            Area::Polygon(points) => Self::Polygon(Polygon::of(points)),
        }
    }

    /// Whether a position is in the area or on its edge.
    pub(super) fn contains(&self, position: Position) -> bool {
        match self {
            Self::Circle { center, radius } => haversine_metres(*center, position) <= *radius,
            Self::Polygon(polygon) => polygon.contains(position),
        }
    }
}
