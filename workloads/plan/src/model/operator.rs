//! Operators: what the processors of a stage do to each event.

use std::time::Duration;

use millrace_core::FieldPath;
use millrace_core::Partition;
use millrace_core::StreamName;

use crate::model::AlertSettings;
use crate::model::DedupeSettings;
use crate::model::EnrichSettings;
use crate::model::GeofenceSettings;
use crate::model::WindowSettings;
use crate::program::Program;

/// A processor in its stage.
#[derive(Debug, Clone)]
pub struct OperatorPlan {
    /// The processor's name in the resource.
    pub name: String,
    /// Raised to recompute; part of the ids of its outputs.
    pub generation: i32,
    /// Whose events it takes.
    pub inputs: Vec<OperatorInput>,
    /// What it does.
    pub operation: Operation,
    /// The fields that make the key of its outputs; empty: the key of what it read.
    pub key: Vec<FieldPath>,
    /// The stream that takes its outputs, where anything outside of the stage reads them.
    pub output: Option<StreamName>,
    /// Number of partitions of its outputs: that of its stage, or 1 where all keys come together.
    pub output_partitions: Partition,
    /// Hash of everything its state depends on. State with another fingerprint is not read.
    pub fingerprint: String,
}

/// Where an operator's events come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperatorInput {
    /// An input of the stage.
    Stream(StreamName),
    /// An operator of the same stage, by its index; always a lower one than the reader's.
    Operator(usize),
}

/// What an operator does.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Replaces each event by the program's result; `abort` drops it, an array is an event for
    /// each item.
    Map(Program),
    /// Keeps the events for which the program is `true`.
    Filter(Program),
    /// Passes each event on unchanged under the key of [`OperatorPlan::key`].
    Rekey,
    /// Distance, speed, heading and total distance per entity.
    Motion(MotionSettings),
    /// Order of entities, and who passed whom.
    Rank(RankSettings),
    /// Laps by length or by gate.
    Laps(LapsSettings),
    /// An event for each group and window.
    Window(WindowSettings),
    /// The first step of a window over all partitions: what this task has of each window, for
    /// [`Operation::WindowCombine`] alone. Its outputs are keyed by their field `window`, which is
    /// the same in all of them.
    WindowPartial(WindowSettings),
    /// The second step: one event for each window, made of the partial ones of all tasks.
    WindowCombine {
        /// Settings of the window.
        window: WindowSettings,
        /// The field that lists the groups.
        field: String,
    },
    /// Who enters, leaves and is in which area.
    Geofence(GeofenceSettings),
    /// Passes on the first of several events of one value.
    Dedupe(DedupeSettings),
    /// Adds the value that another stream has for the key as of the event's time.
    Enrich(EnrichSettings),
    /// Tells when a condition holds for a while, and when no longer.
    Alert(AlertSettings),
}

impl Operation {
    /// Its name, which is that of the resource's field unless the planner put it in front of one.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Map(_) => "map",
            Self::Filter(_) => "filter",
            Self::Rekey => "rekey",
            Self::Motion(_) => "motion",
            Self::Rank(_) => "rank",
            Self::Laps(_) => "laps",
            Self::Window(_) => "window",
            Self::WindowPartial(_) => "window-partial",
            Self::WindowCombine { .. } => "window-combine",
            Self::Geofence(_) => "geofence",
            Self::Dedupe(_) => "dedupe",
            Self::Enrich(_) => "enrich",
            Self::Alert(_) => "alert",
        }
    }
}

/// Settings of `motion`.
#[derive(Debug, Clone, PartialEq)]
pub struct MotionSettings {
    /// The moving thing's field.
    pub entity: FieldPath,
    /// Latitude in degrees, -90 to 90.
    pub latitude: FieldPath,
    /// Longitude in degrees, -180 to 180.
    pub longitude: FieldPath,
    /// Unit of speeds, `maxSpeed` included.
    pub speed_unit: SpeedUnit,
    /// Faster steps are dead letters; none: no limit.
    pub max_speed: Option<f64>,
    /// How the distance between two positions is computed.
    pub distance: DistanceModel,
    /// Entities remembered per task; events of further ones are dead letters.
    pub max_entities: usize,
}

/// Units of speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpeedUnit {
    /// Metres per second.
    MetresPerSecond,
    /// Kilometres per hour.
    KilometresPerHour,
    /// Miles (of 1609.344 m) per hour.
    MilesPerHour,
    /// Nautical miles (of 1852 m) per hour.
    Knots,
}

impl SpeedUnit {
    /// How many metres per second one of this unit is.
    #[must_use]
    pub const fn metres_per_second(self) -> f64 {
        match self {
            Self::MetresPerSecond => 1.0,
            Self::KilometresPerHour => 1000.0 / 3600.0,
            Self::MilesPerHour => 1609.344 / 3600.0,
            Self::Knots => 1852.0 / 3600.0,
        }
    }
}

/// How the distance between two positions is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DistanceModel {
    /// Haversine on a sphere of radius 6371.0 km.
    Haversine,
    /// Geodesic on the WGS84 ellipsoid.
    Wgs84,
}

/// Settings of `rank`.
#[derive(Debug, Clone, PartialEq)]
pub struct RankSettings {
    /// What is ranked together.
    pub group: FieldPath,
    /// Who is ranked.
    pub entity: FieldPath,
    /// The number to rank by, the largest first.
    pub by: FieldPath,
    /// For how much event time a reversal must last before it counts.
    pub hold: Duration,
    /// Entities per group; events of further ones are dead letters.
    pub max_entities: usize,
}

/// Settings of `laps`.
#[derive(Debug, Clone, PartialEq)]
pub struct LapsSettings {
    /// Who completes laps.
    pub entity: FieldPath,
    /// What makes a lap.
    pub by: LapRule,
    /// A lap that ends within this time is not one.
    pub min_lap_time: Duration,
    /// Unit of the average speed.
    pub speed_unit: SpeedUnit,
    /// Entities remembered per task; events of further ones are dead letters.
    pub max_entities: usize,
}

/// What makes a lap.
#[derive(Debug, Clone, PartialEq)]
pub enum LapRule {
    /// Every so many metres of total distance (the field that `motion` computes).
    Length {
        /// Length of a lap in metres.
        metres: f64,
        /// Total distance in metres.
        total_distance: FieldPath,
    },
    /// Crossing a gate in the direction of travel: from right to left of the line from the
    /// first to the second point.
    Gate {
        /// Both ends of the gate as (latitude, longitude) in degrees.
        points: [(f64, f64); 2],
        /// Latitude in degrees.
        latitude: FieldPath,
        /// Longitude in degrees.
        longitude: FieldPath,
        /// Total distance in metres, for the average speed.
        total_distance: FieldPath,
    },
}
