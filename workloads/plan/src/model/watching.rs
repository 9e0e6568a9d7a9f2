//! Settings of `geofence`, `dedupe`, `enrich` and `alert`.

use std::time::Duration;

use millrace_core::FieldPath;

use crate::program::Program;

/// Settings of `geofence`.
#[derive(Debug, Clone, PartialEq)]
pub struct GeofenceSettings {
    /// Who moved.
    pub entity: FieldPath,
    /// Latitude in degrees, -90 to 90.
    pub latitude: FieldPath,
    /// Longitude in degrees, -180 to 180.
    pub longitude: FieldPath,
    /// The areas.
    pub fences: Vec<Fence>,
    /// Whether `enter` is emitted.
    pub enter: bool,
    /// Whether `leave` is emitted.
    pub leave: bool,
    /// Whether `inside` is emitted.
    pub inside: bool,
    /// Entities remembered per task; events of further ones are dead letters.
    pub max_entities: usize,
}

/// An area.
#[derive(Debug, Clone, PartialEq)]
pub struct Fence {
    /// Its name.
    pub name: String,
    /// Its extent.
    pub area: Area,
}

/// The extent of a fence.
#[derive(Debug, Clone, PartialEq)]
pub enum Area {
    /// All within a distance of a point, by haversine.
    Circle {
        /// The point as (latitude, longitude) in degrees.
        center: (f64, f64),
        /// The distance in metres.
        radius: f64,
    },
    /// All within lines between these (latitude, longitude) points; the last is joined to the
    /// first.
    Polygon(Vec<(f64, f64)>),
}

/// Settings of `dedupe`.
#[derive(Debug, Clone, PartialEq)]
pub struct DedupeSettings {
    /// The value that makes events the same; none: the event's id.
    pub by: Option<FieldPath>,
    /// For how much event time a value is remembered.
    pub within: Duration,
    /// Values remembered per task; the oldest are forgotten first.
    pub max_keys: usize,
}

/// Settings of `enrich`.
#[derive(Debug, Clone, PartialEq)]
pub struct EnrichSettings {
    /// The stream or processor of the values: events whose [`millrace_core::Event::stream`] is
    /// this are values, all others are enriched.
    pub with: String,
    /// Field that takes the value.
    pub field: String,
    /// What becomes of an event without a value.
    pub missing: Missing,
    /// Older values do not count.
    pub max_age: Option<Duration>,
    /// Keys remembered per task; values of further ones are dead letters.
    pub max_keys: usize,
}

/// What becomes of an event without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The field is null.
    Null,
    /// It is dropped, counted.
    Drop,
    /// It is a dead letter.
    DeadLetter,
}

/// Settings of `alert`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertSettings {
    /// Whether something is wrong.
    pub when: Program,
    /// For whom; empty: the key of the events.
    pub by: Vec<FieldPath>,
    /// How long the condition must hold.
    pub hold: Duration,
    /// How long it must not hold until it is resolved.
    pub until: Duration,
    /// Whom it remembers per task; events of further ones are dead letters.
    pub max_entities: usize,
}
