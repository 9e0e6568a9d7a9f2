//! Operators: what the processors of a stage do to each event.

use std::time::Duration;

use millrace_core::FieldPath;
use millrace_core::StreamName;

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
    /// Replaces each event by the program's result; `abort` drops it.
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
