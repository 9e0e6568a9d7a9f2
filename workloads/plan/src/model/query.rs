//! What can be asked of a pipeline, as planned.

use millrace_core::FieldPath;
use millrace_core::StreamName;

/// What can be asked.
#[derive(Debug, Clone, Default)]
pub struct QueryPlan {
    /// The dashboard's special views, where the resource describes them.
    pub dashboard: DashboardPlan,
}

/// Views of the dashboard beside those that every pipeline has.
#[derive(Debug, Clone, Default)]
pub struct DashboardPlan {
    /// A map of moving entities.
    pub map: Option<MapView>,
    /// A table of the latest values per entity.
    pub board: Option<BoardView>,
    /// A list of texts as they come.
    pub feed: Option<FeedView>,
}

/// A map on which entities move and leave their track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapView {
    /// The stream of positions.
    pub from: StreamName,
    /// Who moved.
    pub entity: FieldPath,
    /// Latitude in degrees.
    pub latitude: FieldPath,
    /// Longitude in degrees.
    pub longitude: FieldPath,
    /// What separates independent maps (one race from another), if anything does.
    pub group: Option<FieldPath>,
}

/// A table of entities with their latest values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardView {
    /// Its columns; the first one is also the order of rows.
    pub columns: Vec<BoardColumn>,
    /// What separates independent boards, if anything does.
    pub group: Option<FieldPath>,
}

/// A column of a [`BoardView`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardColumn {
    /// Its heading.
    pub title: String,
    /// The stream of its values.
    pub from: StreamName,
    /// Whose value it is.
    pub entity: FieldPath,
    /// The value. Events without it are passed over.
    pub value: FieldPath,
    /// Unit, shown beside the value; may be empty.
    pub unit: String,
    /// Digits after the decimal point.
    pub digits: u8,
}

/// A list of texts as they come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedView {
    /// The stream.
    pub from: StreamName,
    /// The text of an event.
    pub text: FieldPath,
}
