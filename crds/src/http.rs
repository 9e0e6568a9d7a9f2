//! HTTP and WebSocket ways in, and what they answer.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::text::Duration;
use crate::text::HeaderName;
use crate::text::HttpPath;
use crate::text::MediaType;
use crate::text::Vrl;

/// Requests over HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpIngestSpec {
    /// Method: `POST` (default), `PUT` or `PATCH`.
    #[serde(default)]
    pub method: HttpMethodSpec,
    /// Path of the requests, such as `/telemetry/cpu` or `/timestamps/{ts}`; `{ts}` takes one
    /// segment, which the program reads as `%path.ts`. A parameter at the end takes an empty
    /// segment as well.
    pub path: HttpPath,
    /// Bodies that are taken, 1 to 5. Default: `json`, `jsonArray` and `ndjson`. Other content
    /// types are answered by 415.
    #[serde(default = "default_accept")]
    #[schemars(length(min = 1, max = 5))]
    pub accept: Vec<BodyKindSpec>,
    /// Headers that a request must or may have, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<RequestHeaderSpec>,
    /// What a request of several events means. Default: each event is for itself, 10000 at most.
    #[serde(default)]
    pub batch: BatchSpec,
    /// Limits of this way in.
    #[serde(default)]
    pub limits: HttpLimitsSpec,
    /// What an accepted request is answered. Default: 202 without a body, and a summary where a
    /// batch was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond: Option<ResponseSpec>,
    /// What becomes of invalid events.
    #[serde(default)]
    pub on_invalid: OnInvalidSpec,
    /// What identifies an event whose stream declares no `eventId`, where the request has no
    /// `Idempotency-Key`: `generated` (default; each request is a new event) or `content` (the
    /// same content again is a repetition). A key identifies events of this way in and of the
    /// user who sends it; the same key elsewhere, or of another user, means another event.
    #[serde(default)]
    pub identity: IdentitySpec,
}

/// Messages over WebSocket: each text message is an event and is answered when it is stored
/// durably, by `{"message": n, "id": "…"}`, or by `{"message": n, "problem": {…}}` where it is
/// refused; `n` counts the messages of the connection from 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebSocketIngestSpec {
    /// Path of the connections, such as `/live` or `/live/{device}`; `{device}` takes one segment,
    /// which the program reads as `%path.device`.
    pub path: HttpPath,
    /// Headers that the opening request must or may have, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<RequestHeaderSpec>,
    /// Limits of this way in.
    #[serde(default)]
    pub limits: HttpLimitsSpec,
    /// What identifies an event whose stream declares no `eventId`: `content` (the same content
    /// again is a repetition) or `generated` (default; each message is a new event).
    #[serde(default)]
    pub identity: IdentitySpec,
    /// A connection without any message or pong for this long is closed. Default `1m`; a ping is
    /// sent after half of it.
    #[serde(default = "default_idle")]
    pub idle_timeout: Duration,
}

/// Method of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub enum HttpMethodSpec {
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
}

/// A kind of body, known by its content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum BodyKindSpec {
    /// `application/json` (and `+json`) with one object.
    Json,
    /// `application/json` with an array of objects: a batch.
    JsonArray,
    /// `application/x-ndjson` or `application/jsonl`, an object a line: a batch.
    Ndjson,
    /// `application/x-www-form-urlencoded` or `multipart/form-data`: the fields, as texts.
    Form,
    /// No body, of whatever type; a body that is sent is not read. The event begins as `{}`.
    None,
}

/// A header that a request must or may have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestHeaderSpec {
    /// Name of the header; letters of either case are the same.
    pub name: HeaderName,
    /// Whether a request without it is refused with 400. Default `true`.
    #[serde(default = "default_true")]
    pub required: bool,
    /// Form of its value: `text` (default) or `uuid`. Others are refused with 400.
    #[serde(default)]
    pub format: HeaderFormatSpec,
    /// Whether it is carried with the event, as a header of its record, to tables and traces.
    /// Default `false`.
    #[serde(default)]
    pub carry: bool,
}

/// Form of a header's value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum HeaderFormatSpec {
    /// Any text that is not empty.
    #[default]
    Text,
    /// A UUID.
    Uuid,
}

/// What a request of several events means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchSpec {
    /// Whether one invalid event refuses all of the request. Default `false`: the valid ones are
    /// stored, and the answer (207) says which were not, and why.
    #[serde(default)]
    pub all_or_nothing: bool,
    /// Events of a request, 1 to 100000. Default 10000; more are refused with 413.
    #[serde(default = "default_max_events")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_events: i32,
}

/// Limits of a way in over HTTP or WebSocket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpLimitsSpec {
    /// Requests (WebSocket: messages) of one client address a second, 1 to 1000000. More are
    /// refused with 429. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub rate: Option<i32>,
    /// Requests (WebSocket: connections) at once, 1 to 100000. Default 1024; more are refused with
    /// 503.
    #[serde(default = "default_concurrent")]
    #[schemars(range(min = 1, max = 100_000))]
    pub concurrent: i32,
    /// How long a request's body may take to arrive. Default `30s`; then it is answered by 408.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResponseSpec {
    /// Status, 200 to 599. Default 200.
    #[serde(default = "default_status")]
    #[schemars(range(min = 200, max = 599))]
    pub status: i32,
    /// Program whose last expression is the body: a text is sent as it is, anything else as JSON.
    /// At ingest `.` is the accepted event, `%id` its id, and what a `map` sees is there too. At a
    /// query `.` is the row, or `{"rows": […]}`. Default: at ingest no body, at a query the row or
    /// the array of rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Vrl>,
    /// Content type. Default: `text/plain; charset=utf-8` for texts, `application/json` else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<MediaType>,
    /// Further headers, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<ResponseHeaderSpec>,
}

/// A header of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResponseHeaderSpec {
    /// Name of the header.
    pub name: HeaderName,
    /// Program whose last expression is the value, a text; it sees what `body` sees.
    pub value: Vrl,
}

/// What becomes of invalid events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnInvalidSpec {
    /// Status of the answer where an event does not match its schema, cannot be mapped, or has no
    /// key or time, 400 to 499. Default 422. Bodies that cannot be read are always 400.
    #[serde(default = "default_invalid_status")]
    #[schemars(range(min = 400, max = 499))]
    pub status: i32,
    /// Whether invalid events are also kept as dead letters. Default `false`: the sender knows,
    /// and nothing is stored.
    #[serde(default)]
    pub dead_letter: bool,
}

/// What identifies an event that does not declare its identity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum IdentitySpec {
    /// An id made when it arrives: each is a new event.
    #[default]
    Generated,
    /// Its content: the same again is a repetition.
    Content,
}

impl Default for BatchSpec {
    fn default() -> Self {
        Self { all_or_nothing: false, max_events: default_max_events() }
    }
}

impl Default for HttpLimitsSpec {
    fn default() -> Self {
        Self { rate: None, concurrent: default_concurrent(), timeout: default_timeout() }
    }
}

impl Default for OnInvalidSpec {
    fn default() -> Self {
        Self { status: default_invalid_status(), dead_letter: false }
    }
}

fn default_accept() -> Vec<BodyKindSpec> {
    vec![BodyKindSpec::Json, BodyKindSpec::JsonArray, BodyKindSpec::Ndjson]
}

fn default_idle() -> Duration {
    "1m".into()
}

const fn default_true() -> bool {
    true
}

const fn default_max_events() -> i32 {
    10_000
}

const fn default_concurrent() -> i32 {
    1024
}

fn default_timeout() -> Duration {
    "30s".into()
}

const fn default_status() -> i32 {
    200
}

const fn default_invalid_status() -> i32 {
    422
}
