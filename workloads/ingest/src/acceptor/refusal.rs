//! Why a message is no event: the reason for a person, and its kind for protocols and metrics.

use millrace_core::key::KeyError;
use millrace_core::time::EventTimeError;

/// What was wrong with a message, coarsely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// The body is larger than the way in allows.
    TooLarge,
    /// The body is not a JSON object.
    NotJson,
    /// The mapping failed.
    Map,
    /// The event does not match the schema of its stream.
    Schema,
    /// The event time is missing, unreadable, or too far from the arrival.
    EventTime,
    /// The key or the id cannot be made.
    Key,
    /// No way in takes the topic.
    NoRoute,
}

impl RefusalKind {
    /// The kind as a metric's label.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::TooLarge => "tooLarge",
            Self::NotJson => "notJson",
            Self::Map => "map",
            Self::Schema => "schema",
            Self::EventTime => "eventTime",
            Self::Key => "key",
            Self::NoRoute => "noRoute",
        }
    }
}

/// Why a message is no event.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the message has {size} bytes; at most {limit} are allowed")]
    TooLarge { size: usize, limit: usize },
    #[error("the mapped event has {size} bytes; at most {limit} are allowed")]
    MappedTooLarge { size: usize, limit: usize },
    #[error("the message is not JSON: {0}")]
    NotJson(serde_json::Error),
    #[error("the event is not a JSON object")]
    NotObject,
    #[error("the mapping failed: {0}")]
    Map(String),
    #[error("the mapped event cannot be written as JSON: {0}")]
    Write(serde_json::Error),
    #[error("the event does not match the schema of stream `{stream}`: {violations}")]
    Schema { stream: String, violations: String },
    #[error(transparent)]
    EventTime(#[from] EventTimeError),
    #[error("the event time {time} is more than {limit} ms ahead of its arrival at {arrival}")]
    Ahead { time: String, limit: u128, arrival: String },
    #[error("the event time {time} is more than {limit} ms behind its arrival at {arrival}")]
    Behind { time: String, limit: u128, arrival: String },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the event id cannot be made: {0}")]
    Id(KeyError),
    #[error("no way in takes the topic `{0}`")]
    NoRoute(String),
}

impl Refusal {
    pub(crate) const fn kind(&self) -> RefusalKind {
        match self {
            Self::TooLarge { .. } | Self::MappedTooLarge { .. } => RefusalKind::TooLarge,
            Self::NotJson(_) | Self::NotObject => RefusalKind::NotJson,
            Self::Map(_) | Self::Write(_) => RefusalKind::Map,
            Self::Schema { .. } => RefusalKind::Schema,
            Self::EventTime(_) | Self::Ahead { .. } | Self::Behind { .. } => RefusalKind::EventTime,
            Self::Key(_) | Self::Id(_) => RefusalKind::Key,
            Self::NoRoute(_) => RefusalKind::NoRoute,
        }
    }
}
