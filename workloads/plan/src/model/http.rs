//! What HTTP and WebSocket ways in take, and what is answered, as planned.

use std::time::Duration;

use crate::program::Program;

/// A path with parameters in braces, such as `/devices/{id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpPath {
    /// The path as it was written.
    pub text: String,
    /// Names of its parameters, in order.
    pub parameters: Vec<String>,
}

/// Requests that are taken, and what they are answered.
#[derive(Debug, Clone)]
pub struct HttpIngest {
    /// Their method.
    pub method: HttpMethod,
    /// Their path; a parameter at its end takes an empty segment as well.
    pub path: HttpPath,
    /// Kinds of bodies that are taken; others are answered by 415.
    pub accept: Vec<BodyKind>,
    /// Headers that they must or may have.
    pub headers: Vec<RequestHeader>,
    /// Whether one invalid event refuses all events of a request.
    pub all_or_nothing: bool,
    /// Most events of a request.
    pub max_events: usize,
    /// Limits.
    pub limits: HttpLimits,
    /// The answer; none: 202 without a body, and a summary where a batch was sent.
    pub respond: Option<ResponsePlan>,
    /// Status of the answer where an event is invalid (400 to 499).
    pub invalid_status: u16,
    /// Whether invalid events are also kept as dead letters.
    pub dead_letter: bool,
    /// What identifies an event that does not declare it.
    pub identity: Identity,
}

/// Connections over WebSocket that are taken.
#[derive(Debug, Clone)]
pub struct WebSocketIngest {
    /// Path of the opening request.
    pub path: HttpPath,
    /// Headers that the opening request must or may have.
    pub headers: Vec<RequestHeader>,
    /// Limits; `concurrent` counts connections and `rate` messages.
    pub limits: HttpLimits,
    /// What identifies an event that does not declare it.
    pub identity: Identity,
    /// A connection without any message or pong for this long is closed.
    pub idle_timeout: Duration,
}

/// Methods that carry events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HttpMethod {
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
}

impl HttpMethod {
    /// The method's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
        }
    }
}

/// Kinds of bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyKind {
    /// `application/json` (and `+json`) with one object.
    Json,
    /// `application/json` (and `+json`) with an array of objects.
    JsonArray,
    /// `application/x-ndjson` or `application/jsonl`.
    Ndjson,
    /// `application/x-www-form-urlencoded` or `multipart/form-data`.
    Form,
    /// None: what is sent is not read.
    None,
}

/// A header of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// Its name as it was written; also the name of the record's header if it is carried.
    pub name: String,
    /// Whether a request without it is refused.
    pub required: bool,
    /// Form of its value.
    pub format: HeaderFormat,
    /// Whether the event's record carries it.
    pub carry: bool,
}

/// Forms of a header's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderFormat {
    /// Any text that is not empty.
    Text,
    /// A UUID.
    Uuid,
}

/// Limits of a way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Requests or messages of one client address a second; none: no limit.
    pub rate: Option<u32>,
    /// Requests or connections at once.
    pub concurrent: usize,
    /// How long a request's body may take to arrive.
    pub timeout: Duration,
}

/// What identifies an event that does not declare its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// A UUIDv7 made when it arrives.
    Generated,
    /// Its content.
    Content,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponsePlan {
    /// Its status.
    pub status: u16,
    /// The program of its body: a text is sent as it is, anything else as JSON.
    pub body: Option<Program>,
    /// Its content type, where it was declared.
    pub content_type: Option<String>,
    /// Further headers, with the programs of their values.
    pub headers: Vec<(String, Program)>,
}
