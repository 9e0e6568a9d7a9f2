//! `geofence`: who enters, leaves and is in which area.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::PointSpec;
use crate::text::Length;
use crate::text::Name;
use crate::text::Path;

/// Emits an event of `kind` `enter`, `leave` or `inside` with the name of the `fence` and the
/// `entity`, beside the fields of the event that caused it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GeofenceSpec {
    /// Field that says who moved: a string or an integer.
    pub entity: Path,
    /// Field of the latitude in degrees, -90 to 90. Outside: dead letter.
    pub latitude: Path,
    /// Field of the longitude in degrees, -180 to 180. Outside: dead letter.
    pub longitude: Path,
    /// The areas, 1 to 1000.
    #[schemars(length(min = 1, max = 1000))]
    pub fences: Vec<FenceSpec>,
    /// What is emitted, 1 to 3. Default: `enter` and `leave`. The first position of an entity
    /// within a fence is an `enter` alone; later ones within it are `inside`.
    #[serde(default = "default_emit")]
    #[schemars(length(min = 1, max = 3))]
    pub emit: Vec<FenceEventSpec>,
    /// Entities remembered per partition, 1 to 10000000. Default 100000; events of further ones
    /// are dead letters.
    #[serde(default = "super::default_max_entities")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_entities: i32,
}

/// An area: exactly one of `circle` and `polygon`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.circle), has(self.polygon)].filter(x, x).size() == 1",
    "write exactly one of circle and polygon"
))]
pub struct FenceSpec {
    /// Name of the area, unique among the fences.
    pub name: Name,
    /// All within a distance of a point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circle: Option<CircleSpec>,
    /// All within straight lines (of latitude and longitude) between points, 3 to 1000; the last
    /// is joined to the first. A polygon may cross the 180th meridian, but contain no pole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 1000))]
    pub polygon: Option<Vec<PointSpec>>,
}

/// All within a distance of a point, its edge included; by haversine on a sphere of radius
/// 6371.0 km.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CircleSpec {
    /// The point.
    pub center: PointSpec,
    /// The distance with its unit (m, km, mi), such as `250m`.
    pub radius: Length,
}

/// What a geofence emits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum FenceEventSpec {
    /// An entity came into a fence.
    Enter,
    /// An entity went out of a fence.
    Leave,
    /// An event of an entity that is within a fence, after the `enter`.
    Inside,
}

fn default_emit() -> Vec<FenceEventSpec> {
    vec![FenceEventSpec::Enter, FenceEventSpec::Leave]
}
