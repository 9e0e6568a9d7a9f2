//! `window`: aggregates over stretches of event time.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::streams::by_name;
use crate::text::Duration;
use crate::text::FieldName;
use crate::text::Path;

/// Emits an event at the end of each window that has events, with `timestamp` (the window's end),
/// `start` (both in milliseconds), the fields of `by` and those of `compute`. Exactly one of
/// `tumbling`, `hopping` and `session`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.tumbling), has(self.hopping), has(self.session)].filter(x, x).size() == 1",
    "write exactly one of tumbling, hopping and session"
))]
#[x_kube(validation = (
    "!has(self.session) || !has(self.combine)",
    "combine needs windows that are the same for all keys; write tumbling or hopping"
))]
#[x_kube(validation = (
    "!has(self.combine) || self.by.size() > 0",
    "combine lists the groups of by; write by, such as [.clientVersion]"
))]
pub struct WindowSpec {
    /// Windows of this length, one after the other, aligned to 1970-01-01T00:00:00Z.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tumbling: Option<Duration>,
    /// Windows of one length that begin more often than they end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hopping: Option<HoppingSpec>,
    /// Windows that end when nothing came for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionSpec>,
    /// Shifts all windows by this much. Default `0s`. Not for sessions.
    #[serde(default = "default_offset")]
    pub offset: Duration,
    /// Fields whose values make a group, at most 8. Default: the key of what it reads. Each must
    /// be a string or an integer in every event.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub by: Vec<Path>,
    /// Name of the field that lists all groups in one event per window, over all keys and
    /// partitions, sorted by the fields of `by`. Default: an event for each group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combine: Option<FieldName>,
    /// What is computed, 1 to 32.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = by_name())]
    pub compute: Vec<AggregateSpec>,
    /// Windows without events that are reported between two that have some, at most, 0 to 10000.
    /// Default 360; further ones are counted as skipped. With 0 none are reported or counted. Not
    /// for sessions.
    #[serde(default = "default_empty_windows")]
    #[schemars(range(min = 0, max = 10_000))]
    pub empty_windows: i32,
    /// Groups remembered per partition, 1 to 10000000. Default 100000. A new one takes the place
    /// of the one that has been without events for longest, if that is for more windows than
    /// `emptyWindows`; such a group has no windows without events when it comes again, and is
    /// counted as forgotten. If none can go, events of new ones are dead letters. With `combine`,
    /// the known groups stay, and of the new ones the first in an order of their own.
    #[serde(default = "default_max_groups")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_groups: i32,
}

/// Windows of one length that begin more often than they end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoppingSpec {
    /// Length of a window; a multiple of `every`, at most 10000 times as long.
    pub size: Duration,
    /// How often one begins.
    pub every: Duration,
}

/// Windows that end when nothing came for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionSpec {
    /// A session ends this long after its last event.
    pub gap: Duration,
    /// A session is at most this long; then the next one begins. Default `24h`.
    #[serde(default = "default_longest")]
    pub longest: Duration,
}

/// A field of the result: exactly one of `count`, `sum`, `min`, `max`, `mean`, `quantile` and
/// `histogram`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.count), has(self.sum), has(self.min), has(self.max), has(self.mean), has(self.quantile), has(self.histogram)].filter(x, x).size() == 1",
    "write exactly one of count, sum, min, max, mean, quantile and histogram"
))]
pub struct AggregateSpec {
    /// Name of the field.
    pub name: FieldName,
    /// Number of events, at most 9223372036854775807.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<CountSpec>,
    /// Exact sum, whatever the order; null where no event has the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<OfSpec>,
    /// Lowest value; null where no event has the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<OfSpec>,
    /// Highest value; null where no event has the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<OfSpec>,
    /// Exact sum divided by the number of values; null where no event has the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<OfSpec>,
    /// A quantile, within 1 % of its value; null where no event has the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantile: Option<QuantileSpec>,
    /// Number of values per division, by the division's lower bound as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<HistogramSpec>,
}

/// Number of events, at most 9223372036854775807.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("maxProperties" = 0))]
pub struct CountSpec {}

/// The number that is aggregated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfSpec {
    /// Field of the number. Events without it, or with null, count for nothing here; anything but
    /// a number makes the event a dead letter.
    pub of: Path,
}

/// A quantile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuantileSpec {
    /// Field of the number, as in `sum`.
    pub of: Path,
    /// Which quantile, 0 to 1; 0.5 is the median.
    #[schemars(range(min = 0, max = 1))]
    pub q: f64,
}

/// Number of values per division.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistogramSpec {
    /// Field of the number, as in `sum`.
    pub of: Path,
    /// Bounds of the divisions, ascending, 2 to 201, each from -1e15 to 1e15: a value belongs to the division whose lower
    /// bound it reaches; the highest bound belongs to the last division. Values outside are not
    /// in the histogram. Divisions without values are left out.
    #[schemars(length(min = 2, max = 201), inner(range(min = -1e15, max = 1e15)))]
    pub bounds: Vec<f64>,
}

fn default_offset() -> Duration {
    "0s".into()
}

fn default_longest() -> Duration {
    "24h".into()
}

const fn default_empty_windows() -> i32 {
    360
}

const fn default_max_groups() -> i32 {
    100_000
}
