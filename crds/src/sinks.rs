//! `sinks`: where results go.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::archive::ArchiveSinkSpec;
use crate::archive::WebhookSinkSpec;
use crate::broker::Broker;
use crate::broker::Qos;
use crate::broker::default_qos;
use crate::streams::by_name;
use crate::text::Duration;
use crate::text::HeaderName;
use crate::text::Identifier;
use crate::text::Name;
use crate::text::Path;
use crate::text::Topic;
use crate::text::Vrl;

/// A sink: exactly one of `table`, `mqtt`, `webhook` and `archive`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.table), has(self.mqtt), has(self.webhook), has(self.archive)].filter(x, x).size() == 1",
    "write exactly one of table, mqtt, webhook and archive"
))]
#[x_kube(validation = (
    "self.generation >= oldSelf.generation",
    "generation only grows; write a higher number than before"
))]
pub struct SinkSpec {
    /// Name of the sink, unique among sinks. 1 to 63 letters, digits and `-`.
    pub name: Name,
    /// Streams and processors whose events it writes, 1 to 16.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub from: Vec<Name>,
    /// Messages over MQTT, at least once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<MqttSinkSpec>,
    /// Rows of a table, exactly once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableSpec>,
    /// Requests to another system, at least once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookSinkSpec>,
    /// Files in a folder or an object store, exactly once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveSinkSpec>,
    /// Raise it to write everything again from the log. Default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub generation: i32,
}

/// Messages over MQTT: to the subscribers of our own endpoint, or to an external broker. Exactly
/// one of `topic` and `topicProgram`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.topic), has(self.topicProgram)].filter(x, x).size() == 1",
    "write exactly one of topic (always the same) and topicProgram (a program that gives it)"
))]
pub struct MqttSinkSpec {
    /// Topic of all messages, at most 256 characters, without `+` and `#`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Topic>,
    /// Program whose last expression is the topic of a message; it sees what a `map` sees. An
    /// event for which it fails becomes a dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_program: Option<Vrl>,
    /// Program that leaves the message in `.`; it sees what a `map` sees. Default: the event is
    /// the message. `abort` sends none, counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Vrl>,
    /// Quality of service, 0 to 2. Default 1. With 0 a message may be lost on its way.
    #[serde(default = "default_qos")]
    #[schemars(range(min = 0, max = 2))]
    pub qos: Qos,
    /// Whether the last message of a topic is kept for those who subscribe later. Default
    /// `false`.
    #[serde(default)]
    pub retain: bool,
    /// The external broker. Default: the subscribers of our own endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<Broker>,
}

/// A table and how events become its rows. Rows and the positions read so far are written in one
/// transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.keep == 'all' || self.primaryKey.size() > 0",
    "keep: first and keep: latest choose among rows of one primary key; write primaryKey"
))]
#[x_kube(validation = (
    "!has(self.partitions) || self.partitions.by in self.primaryKey",
    "partitions.by must be one of primaryKey, since each partition has a key of its own; write it \
     there, too"
))]
pub struct TableSpec {
    /// Name of the table, unique among tables: lower-case letters, digits and `_`. Default: the
    /// name of the sink, in that form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Identifier>,
    /// Which of several events of one primary key stays: `all` (default; the same event again
    /// changes nothing), `first` or `latest`, by event time.
    #[serde(default)]
    pub keep: KeepSpec,
    /// Columns that identify a row, at most 16. Default: none, a row is known by its event's id.
    #[serde(default)]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub primary_key: Vec<Identifier>,
    /// Columns, 1 to 200, in this order.
    #[schemars(length(min = 1, max = 200))]
    #[x_kube(merge_strategy = by_name())]
    pub columns: Vec<ColumnSpec>,
    /// Divides the table by time, and removes rows by their age. Default: it is one table that
    /// keeps everything. In Postgres a table that is there cannot be divided, made whole, or
    /// divided by another column: that takes a raised `generation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<PartitionsSpec>,
}

/// Partitions of a table by time. In Postgres they are partitions of the database, made ahead and
/// dropped whole; in SQLite the table stays one, and rows are deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartitionsSpec {
    /// Column of type `timestamp` whose time says where a row belongs. It is one of `primaryKey`.
    pub by: Identifier,
    /// How long the time of a partition is, `1h` to `366d`, in whole minutes. Partitions begin at
    /// multiples of it since 1970 in UTC: those of `1d` at midnight. Default `1d`. Changed, it holds
    /// for partitions that are made from then on. Rows of a time more than 500 partitions ago, or
    /// more than 2 ahead, lie together in one partition for the rest.
    #[serde(default = "default_partition")]
    pub every: Duration,
    /// How long rows are kept, by the time of `by` and the clock of the machine: from `every` to 500
    /// times `every`. A partition goes as a whole when its end is so old. A row of a time that has
    /// gone already is not written, and counted in `table_rows_expired`. Runs that end by
    /// themselves (`--until-end`, `millrace test`) keep all rows. Default: forever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Duration>,
}

fn default_partition() -> Duration {
    Duration::from("1d")
}

/// Which of several events of one primary key stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum KeepSpec {
    /// All.
    #[default]
    All,
    /// The first by event time.
    First,
    /// The latest by event time.
    Latest,
}

/// A column: at most one of `path`, `source` and `header`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.path), has(self.source), has(self.header)].filter(x, x).size() <= 1",
    "write at most one of path, source and header"
))]
pub struct ColumnSpec {
    /// Name of the column: lower-case letters, digits and `_`.
    pub name: Identifier,
    /// Type of the column: `text`, `integer` (64 bits), `double`, `boolean`, `timestamp`
    /// (microseconds, UTC; from RFC 3339 text or milliseconds), `uuid` or `json`. A value of
    /// another type makes the event a dead letter.
    #[serde(rename = "type")]
    pub kind: ColumnTypeSpec,
    /// Field of the value. Default: the field of the column's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Path>,
    /// What is known of the event beside its fields: `eventTime`, `ingestTime`, `eventId` or
    /// `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ColumnSourceSpec>,
    /// Header of the record that has the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderName>,
    /// Whether the value may be missing or null. Default `false`: such an event is a dead letter.
    #[serde(default)]
    pub nullable: bool,
}

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ColumnTypeSpec {
    /// UTF-8 text.
    Text,
    /// 64-bit integer.
    Integer,
    /// 64-bit floating-point number.
    Double,
    /// `true` or `false`.
    Boolean,
    /// An instant in UTC, to the microsecond.
    Timestamp,
    /// A UUID.
    Uuid,
    /// Any JSON.
    Json,
}

/// What is known of an event beside its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ColumnSourceSpec {
    /// When it happened.
    EventTime,
    /// When it arrived.
    IngestTime,
    /// Its id.
    EventId,
    /// Its key.
    Key,
}
