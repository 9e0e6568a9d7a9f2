//! What is known of a request beside its body: whether its way in takes it, and what programs,
//! records and dead letters get of it.

use std::borrow::Cow;

use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::Uri;
use axum::http::header;
use bytes::Bytes;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Value;
use millrace_core::record::header::TRACEPARENT;
use millrace_observe::trace::TraceParent;
use millrace_plan::model::HeaderFormat;
use millrace_plan::model::Identity;
use millrace_plan::model::IngestPlan;
use millrace_plan::model::IngestSource;
use millrace_plan::model::RequestHeader;
use millrace_plan::program::Program;
use millrace_plan::program::context_of_request;
use percent_encoding::percent_decode_str;
use uuid::Uuid;

use crate::acceptor::route::Route;

/// The header by which a client says that two requests are the same.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Longest idempotency key.
const MAX_KEY_LENGTH: usize = 255;

/// Headers that no dead letter keeps: secrets, and what is about the one transfer alone.
const NEVER_KEPT: [HeaderName; 7] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::PROXY_AUTHORIZATION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    IDEMPOTENCY_KEY,
];

/// What the requests of a way in must be like.
#[derive(Debug)]
pub(crate) struct RequestRules {
    method: &'static str,
    path: String,
    headers: Vec<(HeaderName, RequestHeader)>,
    identity: Identity,
    pub(super) dead_letter: bool,
    /// Whether the mapping or the answer reads the field of `%`, by [`FIELDS`].
    reads: [bool; FIELDS.len()],
}

/// The fields of `%` that are the same for all events of a request.
const FIELDS: [&str; 6] = ["headers", "ingestTime", "method", "path", "query", "user"];

/// A request, its body apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestHead<'a> {
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) user: Option<&'a str>,
    /// When it arrived, in milliseconds since 1970.
    pub(crate) arrival: i64,
    /// The request's span, where it is traced.
    pub(crate) trace: Option<TraceParent>,
}

/// A request that its way in takes, if its events are valid.
#[derive(Debug)]
pub(crate) struct Admitted<'a> {
    pub(crate) head: RequestHead<'a>,
    /// The fields of `%` that a program reads, apart from the id.
    shared: Vec<(&'static str, Value)>,
    key: Option<&'a [u8]>,
    /// The id that its only event is known to have.
    pub(super) known: Option<EventId>,
    /// Headers of the records of its events.
    pub(super) carried: Headers,
}

/// Why a request is not taken, whatever its body says.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdmitError {
    #[error("the header `{name}` is missing: send {expected}")]
    MissingHeader { name: String, expected: &'static str },
    #[error("the header `{name}` is not {expected}")]
    Header { name: String, expected: &'static str },
    #[error("the header `Idempotency-Key` is not 1 to 255 visible ASCII characters")]
    Key,
    #[error("the path `{path}` is not one of `{expected}`")]
    Path { path: String, expected: String },
    #[error("{0} is not UTF-8 after percent-decoding")]
    Encoding(String),
}

impl RequestRules {
    /// The rules of a way in over HTTP or WebSocket.
    pub(super) fn of(plan: &IngestPlan) -> Option<Self> {
        let (method, path, headers, identity, dead_letter, respond) = match &plan.source {
            IngestSource::Http(http) => (
                http.method.name(),
                &http.path,
                &http.headers,
                http.identity,
                http.dead_letter,
                http.respond.as_ref(),
            ),
            IngestSource::WebSocket(websocket) => {
                ("GET", &websocket.path, &websocket.headers, websocket.identity, false, None)
            }
            IngestSource::MqttListen(_) | IngestSource::MqttConnect(_) | IngestSource::Kafka(_) => {
                return None;
            }
        };
        let answer = respond.into_iter().flat_map(|respond| {
            respond.body.iter().chain(respond.headers.iter().map(|(_, program)| program))
        });
        let programs: Vec<&Program> = plan.map.iter().chain(answer).collect();
        let named = headers.iter().filter_map(|header| {
            Some((HeaderName::from_bytes(header.name.as_bytes()).ok()?, header.clone()))
        });
        Some(Self {
            method,
            path: path.text.clone(),
            headers: named.collect(),
            identity,
            dead_letter,
            reads: FIELDS.map(|field| programs.iter().any(|program| program.reads(field))),
        })
    }

    /// The path as it was declared.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    fn reads(&self, field: &str) -> bool {
        FIELDS.iter().zip(self.reads).any(|(known, read)| *known == field && read)
    }

    /// The headers that a dead letter keeps, so that its request can be made again: those that are
    /// declared, say what the body is, or are read by a program. Secrets and traces are not kept.
    pub(super) fn kept<'a>(
        &'a self,
        headers: &'a HeaderMap,
    ) -> impl Iterator<Item = (&'a HeaderName, String)> {
        let all = self.reads("headers");
        let declared = |name: &HeaderName| self.headers.iter().any(|(other, _)| other == name);
        headers
            .keys()
            .filter(move |name| {
                !NEVER_KEPT.contains(name)
                    && name.as_str() != TRACEPARENT
                    && (all || declared(name) || **name == header::CONTENT_TYPE)
            })
            .map(|name| (name, joined(headers, name)))
    }
}

impl Route {
    /// Whether requests come in by it.
    #[must_use]
    pub(crate) const fn takes_requests(&self) -> bool {
        self.rules.is_some()
    }

    /// Whether what it refuses is kept as a dead letter.
    #[must_use]
    pub(crate) fn keeps_dead_letters(&self) -> bool {
        self.rules.as_ref().is_none_or(|rules| rules.dead_letter)
    }

    /// Checks a request apart from its body.
    pub(crate) fn admit<'a>(&self, head: RequestHead<'a>) -> Result<Admitted<'a>, AdmitError> {
        let Some(rules) = &self.rules else {
            let path = head.uri.path().to_owned();
            return Err(AdmitError::Path { path, expected: String::new() });
        };
        let mut carried = Headers::default();
        for (name, declared) in &rules.headers {
            if let Some(value) = header_value(head.headers, name, declared)?
                && declared.carry
            {
                carried.push(declared.name.clone(), Bytes::copy_from_slice(value.as_bytes()));
            }
        }
        if let Some(trace) = head.trace {
            carried.push(TRACEPARENT, trace.to_string());
        } else if let Some(trace) = head.headers.get(TRACEPARENT)
            && TraceParent::parse(trace.as_bytes()).is_some()
            && carried.get(TRACEPARENT).is_none()
        {
            carried.push(TRACEPARENT, Bytes::copy_from_slice(trace.as_bytes()));
        }
        let key = match head.headers.get(IDEMPOTENCY_KEY) {
            None => None,
            Some(key) => {
                let key = key.as_bytes();
                let valid = (1..=MAX_KEY_LENGTH).contains(&key.len())
                    && key.iter().all(u8::is_ascii_graphic);
                Some(key).filter(|_| valid).ok_or(AdmitError::Key).map(Some)?
            }
        };
        Ok(Admitted { head, shared: shared(rules, head)?, key, known: None, carried })
    }

    /// The id of an event before it is mapped, where it is known then.
    pub(super) fn known_id(
        &self,
        request: &Admitted<'_>,
        body: &[u8],
        index: Option<usize>,
    ) -> Option<EventId> {
        let stream = self.stream.as_str();
        let read = || self.map.as_ref().is_some_and(|map| map.reads("id"));
        if request.known.is_some() {
            return request.known;
        }
        if let Some(key) = request.key {
            let index = index.map(|index| index.to_string());
            let user = request.head.user;
            let declared = identity_of_key(self.name(), user, key, index.as_deref());
            return Some(EventId::declared(stream, &declared));
        }
        let rules = self.rules.as_ref()?;
        match rules.identity {
            Identity::Generated if self.ingested.event_id.is_none() || read() => {
                Some(generated(request.head.arrival))
            }
            // What the mapping makes of it may hold the id, and so cannot be what it is made of.
            Identity::Content if read() => {
                let address = request.head.uri.path_and_query().map_or("/", |path| path.as_str());
                Some(EventId::of_content(stream, address.as_bytes(), body))
            }
            Identity::Generated | Identity::Content => None,
        }
    }
}

impl Admitted<'_> {
    /// Takes the time of what comes in now, where one request brings events again and again.
    pub(crate) fn arrive(&mut self, now: i64) {
        self.head.arrival = now;
        for (_, value) in self.shared.iter_mut().filter(|(name, _)| *name == "ingestTime") {
            *value = Value::Integer(now);
        }
    }

    /// Takes no key for what comes in, where one request brings many events: they are not the same.
    pub(crate) fn without_key(mut self) -> Self {
        self.key = None;
        self
    }

    /// What a program sees as `%`.
    pub(crate) fn context(&self, program: &Program, id: impl FnOnce() -> String) -> Value {
        let shared = self.shared.iter().filter(|(name, _)| program.reads(name));
        let shared = shared.map(|(name, value)| (*name, value.clone()));
        let id = program.reads("id").then(|| ("id", Value::from(id())));
        context_of_request(shared.chain(id))
    }
}

/// What a key stands for: the same key by another way in, or of another user, is another. Each
/// part has its length before it, so that no others are the same.
fn identity_of_key(name: &str, user: Option<&str>, key: &[u8], index: Option<&str>) -> Vec<u8> {
    let mut identity = Vec::new();
    for part in
        [Some(name.as_bytes()), user.map(str::as_bytes), Some(key), index.map(str::as_bytes)]
    {
        // Longer than any part that is there: there is none.
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        identity.extend_from_slice(&length.to_be_bytes());
        identity.extend_from_slice(part.unwrap_or_default());
    }
    identity
}

/// A UUIDv7 of this time in milliseconds.
fn generated(arrival: i64) -> EventId {
    let millis = u64::try_from(arrival).unwrap_or_default();
    let random = rand::random::<[u8; 10]>();
    EventId::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

fn header_value<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    declared: &RequestHeader,
) -> Result<Option<&'a str>, AdmitError> {
    let expected = match declared.format {
        HeaderFormat::Text => "a text",
        HeaderFormat::Uuid => "a UUID, such as 018f4d1e-7a3b-7c52-9d1e-0a1b2c3d4e5f",
    };
    let Some(value) = headers.get(name) else {
        if declared.required {
            return Err(AdmitError::MissingHeader { name: declared.name.clone(), expected });
        }
        return Ok(None);
    };
    let valid = |text: &&str| match declared.format {
        HeaderFormat::Text => !text.is_empty(),
        // Other forms, in braces or without hyphens, are not those of columns.
        HeaderFormat::Uuid => text.len() == 36 && Uuid::try_parse(text).is_ok(),
    };
    let text = std::str::from_utf8(value.as_bytes()).ok().filter(valid);
    text.map(Some).ok_or_else(|| AdmitError::Header { name: declared.name.clone(), expected })
}

/// The fields of `%` that programs read.
fn shared(
    rules: &RequestRules,
    head: RequestHead<'_>,
) -> Result<Vec<(&'static str, Value)>, AdmitError> {
    let mut shared = Vec::new();
    for field in
        FIELDS.into_iter().zip(rules.reads).filter_map(|(field, read)| read.then_some(field))
    {
        let value = match field {
            "headers" => headers_value(head.headers),
            "ingestTime" => Value::Integer(head.arrival),
            "method" => Value::from(rules.method),
            "path" => path_value(&rules.path, head.uri.path())?,
            "query" => fields_value(head.uri.query().unwrap_or_default())
                .ok_or_else(|| AdmitError::Encoding("the query".to_owned()))?,
            _ => head.user.map_or(Value::Null, Value::from),
        };
        shared.push((field, value));
    }
    Ok(shared)
}

fn headers_value(headers: &HeaderMap) -> Value {
    let fields = headers.keys().map(|name| (name.as_str().into(), joined(headers, name).into()));
    Value::Object(fields.collect())
}

/// All values of a header, as one.
fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).iter();
    let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
    texts.collect::<Vec<_>>().join(", ")
}

/// The parameters of a path.
fn path_value(declared: &str, path: &str) -> Result<Value, AdmitError> {
    let wrong = || AdmitError::Path { path: path.to_owned(), expected: declared.to_owned() };
    let mut segments = path.split('/');
    let mut fields = Vec::new();
    for part in declared.split('/') {
        let segment = segments.next().ok_or_else(wrong)?;
        match part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => {
                let text = percent_decode_str(segment).decode_utf8();
                let text = text
                    .map_err(|_| AdmitError::Encoding(format!("the part `{name}` of the path")))?;
                fields.push((name.into(), Value::from(text.as_ref())));
            }
            None if part != segment => return Err(wrong()),
            None => {}
        }
    }
    if segments.next().is_some() {
        return Err(wrong());
    }
    Ok(Value::Object(fields.into_iter().collect()))
}

/// The fields of a query or of a form, as texts; a field that stands several times is an array.
/// None where one is not UTF-8.
pub(crate) fn fields_value(text: &str) -> Option<Value> {
    let decode = |part: &str| {
        let spaced =
            if part.contains('+') { Cow::Owned(part.replace('+', " ")) } else { part.into() };
        percent_decode_str(&spaced).decode_utf8().map(Cow::into_owned).ok()
    };
    let mut fields = Fields::default();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        fields.push(decode(name)?, decode(value)?);
    }
    Some(fields.into_value())
}

/// Fields that may stand several times.
#[derive(Debug, Default)]
pub(crate) struct Fields(std::collections::BTreeMap<String, Vec<Value>>);

impl Fields {
    /// Adds a field.
    pub(crate) fn push(&mut self, name: String, value: String) {
        self.0.entry(name).or_default().push(Value::from(value));
    }

    /// The fields as an object of texts, and of arrays where one stands several times.
    pub(crate) fn into_value(self) -> Value {
        let fields = self.0.into_iter().map(|(name, mut values)| match values.len() {
            1 => (name.into(), values.swap_remove(0)),
            _ => (name.into(), Value::Array(values)),
        });
        Value::Object(fields.collect())
    }
}
