//! Streams of the log, as planned.

use std::sync::Arc;
use std::time::Duration;

use millrace_core::FieldPath;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_core::time::TimeFormat;

use crate::schema::Schema;

/// A stream of the log.
#[derive(Debug, Clone)]
pub struct StreamPlan {
    /// Its name in the resource, or a name with a dot that the planner made.
    pub name: StreamName,
    /// Raised to start over beside the old content; 0 at first.
    pub generation: i32,
    /// Number of partitions, at least 1.
    pub partitions: Partition,
    /// How long its records are kept.
    pub retention: Retention,
    /// Who writes it.
    pub origin: StreamOrigin,
}

/// Limits above which a partition's oldest records go. Both may hold; the stricter one wins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Records whose arrival is longer ago go.
    pub time: Option<Duration>,
    /// Oldest records go while the partition has more bytes.
    pub bytes: Option<u64>,
}

/// Who writes a stream.
#[derive(Debug, Clone)]
pub enum StreamOrigin {
    /// Clients, through ingest.
    Ingested(IngestedStream),
    /// A processor. Its watermark comes from marks, and nothing in it is late.
    Derived {
        /// The processor that writes it.
        processor: String,
        /// Index in [`crate::Plan::stages`] of the stage whose tasks write it.
        stage: usize,
    },
    /// Every part of the pipeline that has to refuse something.
    DeadLetters,
}

/// What is known of a stream that clients write.
#[derive(Debug, Clone)]
pub struct IngestedStream {
    /// What its events look like; none where anything is accepted.
    pub schema: Option<Arc<Schema>>,
    /// The fields that make the key, in order; at least one.
    pub key: Vec<FieldPath>,
    /// The field that identifies an event.
    pub event_id: Option<FieldPath>,
    /// The field that says when it happened; none: when it arrived.
    pub event_time: Option<EventTimeField>,
    /// How far, in event time, events may be out of order.
    pub disorder: Duration,
    /// A partition without input for this long no longer holds the others up; none: it does.
    pub idle: Option<Duration>,
    /// Whether silence of all partitions releases what is still buffered. Needs `idle`.
    pub heartbeat: bool,
    /// Events further ahead of their arrival are invalid.
    pub max_ahead: Duration,
    /// Events further behind their arrival are invalid; none: any age is accepted.
    pub max_behind: Option<Duration>,
    /// Where late events go.
    pub on_late: OnLate,
    /// Whether repetitions of an id are dropped where the stream is read.
    pub deduplicate: Option<Deduplication>,
}

/// Where an event says when it happened.
#[derive(Debug, Clone)]
pub struct EventTimeField {
    /// The field.
    pub path: FieldPath,
    /// How it is written.
    pub format: TimeFormat,
}

/// What becomes of late events. Both are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLate {
    /// They are dropped.
    Drop,
    /// They become dead letters.
    DeadLetter,
}

/// How far back repetitions are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deduplication {
    /// In event time; 2 minutes by default.
    pub within: Duration,
    /// Ids remembered per task; 1,000,000 by default. The oldest go first.
    pub max_ids: usize,
}
