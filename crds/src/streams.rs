//! `streams`: the named, partitioned, ordered logs that clients write to.

use kube::KubeSchema;
use kube::core::ListMerge;
use schemars::JsonSchema;
use schemars::Schema;
use schemars::SchemaGenerator;
use schemars::json_schema;
use serde::Deserialize;
use serde::Serialize;

use crate::text::Duration;
use crate::text::Name;
use crate::text::Path;
use crate::text::ResourceName;
use crate::text::SecretKey;

/// A stream: an ordered log of events per key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!self.heartbeat || has(self.idle)",
    "heartbeat releases what idle partitions hold back; write idle as well, such as idle: 500ms"
))]
#[x_kube(validation = (
    "!has(self.maxBehind) || has(self.eventTime)",
    "maxBehind compares the event time with the arrival; write eventTime, or leave maxBehind out"
))]
#[x_kube(validation = (
    "self.generation >= oldSelf.generation",
    "generation only grows; write a higher number than before"
))]
#[x_kube(validation = (
    "self.key == oldSelf.key || self.generation > oldSelf.generation",
    "key cannot change within a generation; raise generation to start the stream over"
))]
#[x_kube(validation = (
    "self.partitions == oldSelf.partitions || self.generation > oldSelf.generation",
    "partitions cannot change within a generation; raise generation to start the stream over"
))]
pub struct StreamSpec {
    /// Name of the stream, unique among streams and processors. 1 to 63 letters, digits and `-`.
    pub name: Name,
    /// What events look like. Default: any JSON is accepted. An event that does not match is
    /// refused to a sender that can be told, and becomes a dead letter otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaSpec>,
    /// Fields that make the ordering key, in this order; 1 to 8. Each must be a string or an
    /// integer in every event. Events of one key stay in order. Cannot change within a generation.
    #[schemars(length(min = 1, max = 8))]
    pub key: Vec<Path>,
    /// Field that identifies an event: a second one with the same value is a repetition. Default:
    /// the whole content identifies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Path>,
    /// Field that says when the event happened. Default: its arrival counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<EventTimeSpec>,
    /// Number of partitions, 1 (default) to 1024. Keys are spread over them; each is computed by
    /// one task. Cannot change within a generation.
    #[serde(default = "default_partitions")]
    #[schemars(range(min = 1, max = 1024))]
    pub partitions: i32,
    /// Raise it to start the stream over, empty, with another key or number of partitions.
    /// Default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub generation: i32,
    /// How long events are kept. Default: 7 days, of any size.
    #[serde(default)]
    pub retention: RetentionSpec,
    /// How far, in event time, events may be out of order. Default `0s`. Events are held back for
    /// this long to be put in order; those that come later still are late.
    #[serde(default = "default_disorder")]
    pub disorder: Duration,
    /// After this long without input a partition no longer holds the others up. Default: it always
    /// does, so that a partition without input stops its stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Duration>,
    /// Whether silence of all partitions for `idle` releases what is still held back. Default
    /// `false`: the last events wait for the next ones. Needs `idle`.
    #[serde(default)]
    pub heartbeat: bool,
    /// Events whose time is further ahead of their arrival are invalid. Default `5m`. Without such
    /// a limit one wrong clock would make all later events late.
    #[serde(default = "default_max_ahead")]
    pub max_ahead: Duration,
    /// Events whose time is further behind their arrival are invalid. Default: any age is
    /// accepted. Needs `eventTime`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_behind: Option<Duration>,
    /// What becomes of late events: `drop` (default) or `deadLetter`. Both are counted.
    #[serde(default)]
    pub on_late: OnLateSpec,
    /// How far back repetitions of an event are recognised. Default: 2 minutes of event time and
    /// 1,000,000 events.
    #[serde(default)]
    pub deduplicate: DeduplicateSpec,
}

/// The JSON Schema of a stream's events, draft 2020-12, at most 65536 bytes: exactly one of
/// `inline` and `configMap`. Formats are asserted; references to other documents are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.inline) != has(self.configMap)",
    "write exactly one of inline (the schema itself) and configMap (name and key of a ConfigMap)"
))]
pub struct SchemaSpec {
    /// The schema itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub inline: Option<serde_json::Map<String, serde_json::Value>>,
    /// A key of a ConfigMap that has the schema, as JSON. It is read when the pipeline starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapKeySpec>,
}

/// A key of a ConfigMap of the pipeline's namespace. In one process: the file `<name>/<key>` in the
/// folder given by `--config-maps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKeySpec {
    /// Name of the ConfigMap.
    pub name: ResourceName,
    /// Key within the ConfigMap.
    pub key: SecretKey,
}

/// When an event happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventTimeSpec {
    /// The field.
    pub path: Path,
    /// How it is written: `rfc3339` (default), `unixSeconds` (fractions allowed) or `unixMillis`.
    #[serde(default)]
    pub format: EventTimeFormat,
}

/// How an event time is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum EventTimeFormat {
    /// RFC 3339 with an offset, such as `2026-01-01T00:00:00.123Z`.
    #[default]
    Rfc3339,
    /// Seconds since 1970-01-01T00:00:00Z.
    UnixSeconds,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    UnixMillis,
}

/// Limits above which the oldest events go. Where both are set, the stricter one wins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionSpec {
    /// Events whose arrival is longer ago go. Default `7d`.
    #[serde(default = "default_retention")]
    pub time: Duration,
    /// The oldest events of a partition go while it has more bytes, 1048576 and up. Default: no
    /// limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1_048_576_i64, max = 1_125_899_906_842_624_i64))]
    pub bytes: Option<i64>,
}

/// What becomes of late events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnLateSpec {
    /// They are dropped and counted.
    #[default]
    Drop,
    /// They become dead letters and are counted.
    DeadLetter,
}

/// How far back repetitions are recognised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeduplicateSpec {
    /// In event time. Default `2m`; `0s` turns it off.
    #[serde(default = "default_deduplicate_within")]
    pub within: Duration,
    /// Events remembered per partition, 1 to 100000000. Default 1000000; the oldest are forgotten
    /// first.
    #[serde(default = "default_max_ids")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_ids: i32,
}

impl Default for RetentionSpec {
    fn default() -> Self {
        Self { time: default_retention(), bytes: None }
    }
}

impl Default for DeduplicateSpec {
    fn default() -> Self {
        Self { within: default_deduplicate_within(), max_ids: default_max_ids() }
    }
}

const fn default_partitions() -> i32 {
    1
}

fn default_disorder() -> Duration {
    "0s".into()
}

fn default_max_ahead() -> Duration {
    "5m".into()
}

fn default_retention() -> Duration {
    "7d".into()
}

fn default_deduplicate_within() -> Duration {
    "2m".into()
}

const fn default_max_ids() -> i32 {
    1_000_000
}

/// An object whose fields the API server keeps without knowing them.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 256,
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

/// How lists of parts with names merge: by name.
pub(crate) fn by_name() -> ListMerge {
    ListMerge::Map(vec!["name".to_owned()])
}
