//! `processors`: what is computed. Each reads one or several streams and writes one.

mod geofence;
mod state;
mod window;

pub use geofence::*;
pub use state::*;
pub use window::*;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::text::Duration;
use crate::text::Length;
use crate::text::Name;
use crate::text::Path;
use crate::text::Vrl;

/// A processor: exactly one of `map`, `filter`, `window`, `motion`, `rank`, `laps`,
/// `geofence`, `dedupe`, `enrich` and `alert`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.map), has(self.filter), has(self.window), has(self.motion), has(self.rank), has(self.laps), has(self.geofence), has(self.dedupe), has(self.enrich), has(self.alert)].filter(x, x).size() == 1",
    "write exactly one of map, filter, window, motion, rank, laps, geofence, dedupe, enrich and alert"
))]
#[x_kube(validation = (
    "self.generation >= oldSelf.generation",
    "generation only grows; write a higher number than before"
))]
pub struct ProcessorSpec {
    /// Name of the processor and of the stream it writes, unique among streams and processors.
    /// 1 to 63 letters, digits and `-`.
    pub name: Name,
    /// Streams and processors whose events it reads, 1 to 16.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub from: Vec<Name>,
    /// Program that replaces each event: `.` is the event, `%stream`, `%key`, `%eventTime`,
    /// `%ingestTime` and `%id` are what is known beside it. `abort` drops the event, counted. An
    /// array left in `.` is an event for each of its items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<Vrl>,
    /// Program that is `true` for the events to keep. The others are dropped, counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Vrl>,
    /// Aggregates over stretches of event time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowSpec>,
    /// Distance, speed, heading and total distance of moving entities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub motion: Option<MotionSpec>,
    /// Order of entities by a number, and who passed whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<RankSpec>,
    /// Laps of entities, by length or by a gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub laps: Option<LapsSpec>,
    /// Who enters, leaves and is in which area.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geofence: Option<GeofenceSpec>,
    /// Drops repetitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<DedupeSpec>,
    /// Adds what another stream knows of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrich: Option<EnrichSpec>,
    /// Tells when a condition holds for a while, and when no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<AlertSpec>,
    /// Fields that make the key of its events, in this order; at most 8. Default: the key of what
    /// it reads. Who reads a changed key runs in a stage of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub key: Vec<Path>,
    /// Raise it to compute everything again from the log, after a change that the state it has
    /// cannot survive. Default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub generation: i32,
}

/// Adds `distance` (metres since the entity's previous event), `speed`, `heading` (degrees),
/// `totalDistance` (metres) and `elapsed` (milliseconds) to each event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MotionSpec {
    /// Field that says who moved: a string or an integer.
    pub entity: Path,
    /// Field of the latitude in degrees, -90 to 90. Outside: dead letter.
    pub latitude: Path,
    /// Field of the longitude in degrees, -180 to 180. Outside: dead letter.
    pub longitude: Path,
    /// Unit of `speed` and `maxSpeed`: `mps` (metres per second, default), `kmh`, `mph` or
    /// `knots`.
    #[serde(default)]
    pub speed_unit: SpeedUnitSpec,
    /// Steps that are faster are dead letters and change nothing. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.001, max = 1e9))]
    pub max_speed: Option<f64>,
    /// How distances are computed: `haversine` (sphere of radius 6371.0 km, default) or `wgs84`
    /// (geodesic on the ellipsoid).
    #[serde(default)]
    pub distance: DistanceSpec,
    /// Entities remembered per partition, 1 to 10000000. Default 100000; events of further ones
    /// are dead letters.
    #[serde(default = "default_max_entities")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_entities: i32,
}

/// Unit of a speed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SpeedUnitSpec {
    /// Metres per second.
    #[default]
    Mps,
    /// Kilometres per hour.
    Kmh,
    /// Miles of 1609.344 m per hour.
    Mph,
    /// Nautical miles of 1852 m per hour.
    Knots,
}

/// How distances are computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DistanceSpec {
    /// Haversine on a sphere of radius 6371.0 km.
    #[default]
    Haversine,
    /// Geodesic on the WGS84 ellipsoid.
    Wgs84,
}

/// Emits an event of `kind` `position` when an entity's position changed, and one of `kind`
/// `overtake` for each pair that changed order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RankSpec {
    /// Field of what is ranked together, such as `.race`.
    pub group: Path,
    /// Field that says who is ranked: a string or an integer.
    pub entity: Path,
    /// Field of the number to rank by; the largest is first.
    pub by: Path,
    /// For how much event time a reversal must last before it counts. Default `0s`: it counts at
    /// once.
    #[serde(default = "default_hold")]
    pub hold: Duration,
    /// Entities per group, 1 to 100000. Default 1000; events of further ones are dead letters.
    #[serde(default = "default_rank_entities")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_entities: i32,
}

/// Emits an event of `kind` `lap` for each completed lap, and one of `kind` `fastestLap` for each
/// that is faster than all before. Reads what `motion` writes. Exactly one of `length` and `gate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.length), has(self.gate)].filter(x, x).size() == 1",
    "write exactly one of length (a lap by distance) and gate (a lap by crossing a line)"
))]
pub struct LapsSpec {
    /// Field that says who completes laps: a string or an integer.
    pub entity: Path,
    /// Length of a lap with its unit (m, km, mi), such as `5119.77m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<Length>,
    /// Line that a lap ends at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateSpec>,
    /// Field of the total distance in metres. Default `.totalDistance`, as `motion` writes it.
    #[serde(default = "default_total_distance")]
    pub total_distance: Path,
    /// A lap that ends sooner is not one; its length counts for the next. Default `0s`.
    #[serde(default = "default_hold")]
    pub min_lap_time: Duration,
    /// Unit of the average speed: `mps` (metres per second, default), `kmh`, `mph` or `knots`.
    #[serde(default)]
    pub speed_unit: SpeedUnitSpec,
    /// Entities remembered per partition, 1 to 10000000. Default 100000; events of further ones
    /// are dead letters.
    #[serde(default = "default_max_entities")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_entities: i32,
}

/// A line between two points; it counts when crossed from the right to the left of it, seen from
/// `from` to `to`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateSpec {
    /// One end of the line.
    pub from: PointSpec,
    /// The other end of the line.
    pub to: PointSpec,
    /// Field of the latitude in degrees.
    pub latitude: Path,
    /// Field of the longitude in degrees.
    pub longitude: Path,
}

/// A point on the earth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointSpec {
    /// Latitude in degrees, -90 to 90.
    #[schemars(range(min = -90, max = 90))]
    pub latitude: f64,
    /// Longitude in degrees, -180 to 180.
    #[schemars(range(min = -180, max = 180))]
    pub longitude: f64,
}

pub(crate) const fn default_max_entities() -> i32 {
    100_000
}

const fn default_rank_entities() -> i32 {
    1000
}

fn default_hold() -> Duration {
    "0s".into()
}

fn default_total_distance() -> Path {
    ".totalDistance".into()
}
