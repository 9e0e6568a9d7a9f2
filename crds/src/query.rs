//! `query`: what can be asked beside what every pipeline answers, and the dashboard's views.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::routes::QueryRouteSpec;
use crate::text::Name;
use crate::text::Path;
use crate::text::Title;
use crate::text::Unit;

/// What can be asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuerySpec {
    /// Routes that are answered from tables, at most 64.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub routes: Vec<QueryRouteSpec>,
    /// Views of the dashboard. Default: those that every pipeline has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dashboard: Option<DashboardSpec>,
}

/// Views of the dashboard beside rates, lag, streams and tables: at least one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.map) || has(self.board) || has(self.feed) || self.charts.size() > 0",
    "write at least one of map, board, feed and charts, or leave dashboard out"
))]
pub struct DashboardSpec {
    /// A map on which entities move and leave their track.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<MapSpec>,
    /// A table of the latest values per entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub board: Option<BoardSpec>,
    /// A list of texts as they come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<FeedSpec>,
    /// Numbers over event time, at most 16 charts.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub charts: Vec<ChartSpec>,
}

/// Numbers over event time, a line for each series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChartSpec {
    /// Heading, at most 64 characters.
    pub title: Title,
    /// Stream or processor of the numbers.
    pub from: Name,
    /// Field with an array whose items are plotted one by one; `series` and `value` are then
    /// fields of an item. Default: the event itself is plotted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Path>,
    /// Field that names the series. Default: one series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Path>,
    /// Field of the number. Events without it are passed over.
    pub value: Path,
    /// Unit shown beside the number, at most 16 characters. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
}

/// A map on which entities move and leave their track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MapSpec {
    /// Stream or processor of the positions.
    pub from: Name,
    /// Field that says who moved.
    pub entity: Path,
    /// Field of the latitude in degrees.
    pub latitude: Path,
    /// Field of the longitude in degrees.
    pub longitude: Path,
    /// Field that separates independent maps, such as one race from another. Default: one map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Path>,
}

/// A table of the latest values per entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BoardSpec {
    /// Columns, 1 to 12. Rows are ordered by the first one.
    #[schemars(length(min = 1, max = 12))]
    pub columns: Vec<BoardColumnSpec>,
    /// Field that separates independent boards. It is read from the event of each column, or is
    /// its key where the event lacks it. Default: one board.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Path>,
}

/// A column of the board.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BoardColumnSpec {
    /// Heading, at most 64 characters.
    pub title: Title,
    /// Stream or processor of the values.
    pub from: Name,
    /// Field that says whose value it is.
    pub entity: Path,
    /// Field of the value. Events without it change nothing.
    pub value: Path,
    /// Unit shown beside the value, at most 16 characters. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// Digits after the decimal point, 0 (default) to 9.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9))]
    pub digits: i32,
}

/// A list of texts as they come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FeedSpec {
    /// Stream or processor of the texts.
    pub from: Name,
    /// Field of the text.
    pub text: Path,
}
