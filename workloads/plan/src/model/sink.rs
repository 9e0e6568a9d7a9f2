//! Where results go, as planned.

use std::time::Duration;

use millrace_core::FieldPath;
use millrace_core::StreamName;

use crate::model::MqttBroker;
use crate::model::SecretSource;
use crate::program::Program;

/// A sink.
#[derive(Debug, Clone)]
pub struct SinkPlan {
    /// Its name in the resource.
    pub name: String,
    /// Raised to rebuild what it wrote from the log.
    pub generation: i32,
    /// The streams it reads.
    pub from: Vec<StreamName>,
    /// Where it writes.
    pub target: SinkTarget,
}

/// Where a sink writes.
#[derive(Debug, Clone)]
pub enum SinkTarget {
    /// An MQTT topic, at least once.
    Mqtt(MqttSink),
    /// A table, exactly once.
    Table(TablePlan),
    /// Requests to another system, at least once.
    Webhook(WebhookSink),
    /// Files in a folder or an object store, exactly once.
    Archive(ArchiveSink),
}

/// Requests of a `webhook` sink.
#[derive(Debug, Clone)]
pub struct WebhookSink {
    /// Their address.
    pub url: String,
    /// The body from the event; none: the event itself.
    pub body: Option<Program>,
    /// Further headers, with the programs of their values.
    pub headers: Vec<(String, Program)>,
    /// Further headers, with where their secret values are.
    pub secret_headers: Vec<(String, SecretSource)>,
    /// The shared secret that signs them.
    pub signing_secret: Option<SecretSource>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Attempts after the first.
    pub retries: u32,
    /// Requests at once, each of another key.
    pub concurrent: usize,
}

/// Files of an `archive` sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveSink {
    /// Where they go.
    pub store: StoreAddress,
    /// Their format.
    pub format: ArchiveFormat,
    /// A file ends after this long.
    pub every: Duration,
    /// A file ends at this many events.
    pub max_events: usize,
}

/// An object store or a folder that files go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreAddress {
    /// `s3://…`, `gs://…`, `az://…`, or the path of a folder.
    pub url: String,
    /// Address of the object store, where it is not the provider's own.
    pub endpoint: Option<String>,
    /// Region of the object store.
    pub region: Option<String>,
    /// Name of the Secret with the store's credentials.
    pub credentials: Option<String>,
}

/// Formats of an archive's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    /// Parquet.
    Parquet,
    /// JSON lines, compressed by gzip.
    Ndjson,
}

/// Messages of an `mqtt` sink.
#[derive(Debug, Clone)]
pub struct MqttSink {
    /// The topic of each message.
    pub topic: MqttTopic,
    /// The message from the event; none: the event itself.
    pub body: Option<Program>,
    /// Quality of service: 0, 1 or 2 (1 where the resource says nothing).
    pub qos: u8,
    /// Whether the endpoint keeps the last message of a topic for new subscribers.
    pub retain: bool,
    /// The external broker; none: subscribers of our own endpoint.
    pub broker: Option<MqttBroker>,
}

/// How a message's topic is found.
#[derive(Debug, Clone)]
pub enum MqttTopic {
    /// Always the same.
    Constant(String),
    /// A program that gives it from the event.
    Program(Program),
}

/// A table and how events become its rows.
#[derive(Debug, Clone, PartialEq)]
pub struct TablePlan {
    /// Its name: an SQL identifier of 1 to 63 lower-case letters, digits and `_`.
    pub name: String,
    /// Its columns, in declared order.
    pub columns: Vec<ColumnPlan>,
    /// Names of the columns of the primary key; empty only for [`Keep::All`], whose rows are then
    /// known by their event id.
    pub primary_key: Vec<String>,
    /// Which of several events of one primary key stays.
    pub keep: Keep,
    /// How it is divided by time; none: it is one table that keeps everything.
    pub partitions: Option<TablePartitions>,
}

/// How a table is divided by time, and how long its rows are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePartitions {
    /// A column of type timestamp, one of the primary key.
    pub by: String,
    /// How long the time of a partition is: whole minutes, at least one hour.
    pub every: Duration,
    /// How long rows are kept, at least `every`; none: forever.
    pub retention: Option<Duration>,
}

impl TablePartitions {
    /// Most partitions of the times that rows are kept, and most that are made for rows of the
    /// past.
    pub const MOST: u32 = 500;
}

/// Which of several events of one primary key stays in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All: the same event again changes nothing.
    All,
    /// The one of the lowest (event time, event id).
    First,
    /// The one of the highest (event time, event id).
    Latest,
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnPlan {
    /// Its name: an SQL identifier.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
    /// Where its value comes from.
    pub source: ColumnSource,
    /// Whether it may be NULL. Key columns never are.
    pub nullable: bool,
}

/// Types of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text, compared by bytes.
    Text,
    /// 64-bit integer.
    Integer,
    /// 64-bit floating-point number.
    Double,
    /// `true` or `false`.
    Boolean,
    /// An instant, to the microsecond, in UTC.
    Timestamp,
    /// A UUID.
    Uuid,
    /// Any JSON, in canonical form.
    Json,
}

/// Where a column's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnSource {
    /// A field of the event.
    Field(FieldPath),
    /// The event's time.
    EventTime,
    /// The event's arrival time.
    IngestTime,
    /// The event's id.
    EventId,
    /// The event's key.
    Key,
    /// A header of the record.
    Header(String),
}
