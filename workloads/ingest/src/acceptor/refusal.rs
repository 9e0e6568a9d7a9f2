//! Why a message is no event: the reason for a person, and its kind for protocols and metrics.

use std::fmt;

use millrace_core::key::KeyError;
use millrace_core::time::EventTimeError;
use millrace_plan::schema::Violation;

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
    /// The request lacks what its way in needs: a header, or a readable path.
    Request,
    /// The body is not the form that it says to be, or holds a file.
    Form,
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
            Self::Request => "request",
            Self::Form => "form",
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
    #[error("the body is not an array of events")]
    NotArray,
    #[error("the event is not a JSON object")]
    NotObject,
    /// A mapping that refuses an event by `assert` says so in its own words.
    #[error("{0}")]
    Map(String),
    #[error("the mapped event cannot be written as JSON: {0}")]
    Write(serde_json::Error),
    #[error("the event does not match the schema of stream `{stream}`: {}", Joined(.violations))]
    Schema { stream: String, violations: Vec<Violation> },
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
    #[error("{0}")]
    Request(String),
    #[error("cannot be stored: {0}. Its bytes are only where it came from")]
    Unstorable(String),
    #[error("the body is not UTF-8 at line {line} column {column}")]
    NotUtf8 { line: usize, column: usize },
    #[error("the body is not JSON: {what} at line {line} column {column}")]
    Malformed { what: String, line: usize, column: usize },
    #[error("the form cannot be read: {0}")]
    Form(String),
    #[error("the field `{0}` is a file; only texts are taken")]
    File(String),
}

/// Violations in one line.
struct Joined<'a>(&'a [Violation]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{violation}")?;
        }
        Ok(())
    }
}

impl Refusal {
    /// The same where so many lines stand above what it tells of.
    pub(crate) fn below(self, lines: usize) -> Self {
        match self {
            Self::NotUtf8 { line, column } => Self::NotUtf8 { line: line + lines, column },
            Self::Malformed { what, line, column } => {
                Self::Malformed { what, line: line + lines, column }
            }
            other => other,
        }
    }

    pub(crate) const fn kind(&self) -> RefusalKind {
        match self {
            Self::TooLarge { .. } | Self::MappedTooLarge { .. } | Self::Unstorable(_) => {
                RefusalKind::TooLarge
            }
            Self::NotJson(_)
            | Self::NotUtf8 { .. }
            | Self::Malformed { .. }
            | Self::NotArray
            | Self::NotObject => RefusalKind::NotJson,
            Self::Map(_) | Self::Write(_) => RefusalKind::Map,
            Self::Schema { .. } => RefusalKind::Schema,
            Self::EventTime(_) | Self::Ahead { .. } | Self::Behind { .. } => RefusalKind::EventTime,
            Self::Key(_) | Self::Id(_) => RefusalKind::Key,
            Self::NoRoute(_) => RefusalKind::NoRoute,
            Self::Request(_) => RefusalKind::Request,
            Self::Form(_) | Self::File(_) => RefusalKind::Form,
        }
    }

    /// Whether the bytes cannot be read at all, whatever they should say.
    pub(crate) const fn is_unreadable(&self) -> bool {
        matches!(
            self,
            Self::NotJson(_)
                | Self::NotUtf8 { .. }
                | Self::Malformed { .. }
                | Self::Form(_)
                | Self::Request(_)
        )
    }
}
