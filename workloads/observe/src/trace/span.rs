//! A span that has ended.

use std::borrow::Cow;
use std::time::SystemTime;

use crate::trace::TraceParent;

/// What a span is of, as OpenTelemetry tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// A request that was answered.
    Server,
    /// A request that was made.
    Client,
    /// A message that was sent.
    Producer,
    /// Records that were read and processed.
    Consumer,
    /// Work within the process.
    Internal,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// A text.
    Text(Cow<'static, str>),
    /// A whole number.
    Integer(i64),
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its trace and its own id.
    pub context: TraceParent,
    /// The id of the span that caused it; none for the first one of a trace.
    pub parent: Option<u64>,
    /// Whether the parent is of another process.
    pub remote_parent: bool,
    /// What was done, with few different values.
    pub name: Cow<'static, str>,
    /// What it is of.
    pub kind: SpanKind,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// Why it failed; none if it did not.
    pub error: Option<String>,
}

impl Span {
    /// A span that was caused by another one of this process, and ends now.
    #[must_use]
    pub fn caused_by(
        parent: TraceParent,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        start: SystemTime,
    ) -> Self {
        Self::ended(parent.child(), Some(parent.span), name, kind, start)
    }

    /// A span of a known context that ends now.
    #[must_use]
    pub fn ended(
        context: TraceParent,
        parent: Option<u64>,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        start: SystemTime,
    ) -> Self {
        Self {
            context,
            parent,
            remote_parent: false,
            name: name.into(),
            kind,
            start,
            end: SystemTime::now(),
            attributes: Vec::new(),
            error: None,
        }
    }

    /// Adds what is known of it.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Attribute>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// Says why it failed, if it did.
    #[must_use]
    pub fn with_error(mut self, error: Option<String>) -> Self {
        self.error = error;
        self
    }
}

impl From<&'static str> for Attribute {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Attribute {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<i32> for Attribute {
    fn from(number: i32) -> Self {
        Self::Integer(i64::from(number))
    }
}
