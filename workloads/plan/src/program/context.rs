//! The context that a program reads as `%`: what is known of an event beside the event itself.

use millrace_core::Event;
use millrace_core::Headers;
use millrace_core::Value;
use vrl::path::OwnedSegment;
use vrl::path::PathPrefix;
use vrl::value::Kind;
use vrl::value::ObjectMap;
use vrl::value::kind::Collection;
use vrl::value::kind::Field;

use super::Place;
use super::ProgramError;
use super::RequestShape;

/// Fields of `%` in a pipeline.
const PIPELINE: [&str; 5] = ["eventTime", "id", "ingestTime", "key", "stream"];

/// Fields of `%` where messages come in over MQTT.
const INGEST: [&str; 4] = ["clientId", "ingestTime", "topic", "user"];

/// Fields of `%` where requests come in.
const HTTP: [&str; 7] = ["headers", "id", "ingestTime", "method", "path", "query", "user"];

/// Fields of `%` where records come from a topic.
const KAFKA: [&str; 4] = ["headers", "ingestTime", "key", "topic"];

/// Fields of `%` where queries are answered.
const QUERY: [&str; 2] = ["path", "query"];

/// Which fields of `%` a program reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needs {
    known: &'static [&'static str],
    /// A bit for each known field.
    read: u8,
}

/// Refuses a part of `%path` or `%headers` that no request has.
fn check_part(
    place: Place,
    field: &str,
    part: &str,
    shape: &RequestShape,
) -> Result<(), ProgramError> {
    match field {
        "path" if !shape.path.iter().any(|name| name == part) => {
            let names = shape.path.iter().map(|name| format!("`%path.{name}`"));
            let names = names.collect::<Vec<_>>().join(", ");
            let known = match shape.path.as_slice() {
                [] => format!("write it into the path as `{{{part}}}`"),
                _ => format!("write one of {names}"),
            };
            Err(ProgramError::UnknownParameter { name: part.to_owned(), known })
        }
        "headers" if place != Place::Kafka && part.bytes().any(|c| c.is_ascii_uppercase()) => {
            let lower = part.to_ascii_lowercase();
            let plain = lower.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
            Err(ProgramError::HeaderCase(if plain { lower } else { format!("\"{lower}\"") }))
        }
        _ => Ok(()),
    }
}

/// Names of the fields of `%` that exist at a place, in order.
#[must_use]
pub const fn context_fields(place: Place) -> &'static [&'static str] {
    known(place)
}

const fn known(place: Place) -> &'static [&'static str] {
    match place {
        Place::Ingest => &INGEST,
        Place::Kafka => &KAFKA,
        Place::Http | Place::Response => &HTTP,
        Place::Query => &QUERY,
        Place::Pipeline => &PIPELINE,
    }
}

impl Needs {
    /// Reads the needs of a compiled program, and refuses fields that never exist.
    pub(super) fn of(
        program: &vrl::compiler::Program,
        place: Place,
        shape: &RequestShape,
    ) -> Result<Self, ProgramError> {
        let known = known(place);
        let mut read = 0;
        let queries = program.info().target_queries.iter();
        for query in queries.filter(|query| query.prefix == PathPrefix::Metadata) {
            let Some(OwnedSegment::Field(name)) = query.path.segments.first() else {
                read = u8::MAX;
                continue;
            };
            let Some(index) = known.iter().position(|field| *field == name.as_str()) else {
                let known = known.iter().map(|name| format!("`%{name}`")).collect::<Vec<_>>();
                return Err(ProgramError::UnknownContext {
                    name: name.to_string(),
                    known: known.join(", "),
                });
            };
            read |= 1 << index;
            if let Some(OwnedSegment::Field(part)) = query.path.segments.get(1) {
                check_part(place, name.as_str(), part.as_str(), shape)?;
            }
        }
        Ok(Self { known, read })
    }

    /// Whether the program reads the field of this name.
    pub(super) fn has(self, name: &str) -> bool {
        let index = self.known.iter().position(|field| *field == name);
        index.is_some_and(|index| self.read & (1 << index) != 0)
    }

    /// The part of an event's context that the program reads.
    pub(super) fn context(self, event: &Event) -> Value {
        let fields = PIPELINE
            .into_iter()
            .enumerate()
            .filter(|(index, _)| self.read & (1 << index) != 0)
            .map(|(_, name)| (name.into(), field(event, name)));
        Value::Object(fields.collect::<ObjectMap>())
    }
}

/// The whole context of an event in a pipeline: `%stream`, `%key`, `%eventTime`, `%ingestTime`
/// (both in milliseconds) and `%id`.
#[must_use]
pub fn context_of(event: &Event) -> Value {
    Needs { known: &PIPELINE, read: u8::MAX }.context(event)
}

/// The context of a message that came in over MQTT: `%topic`, `%clientId` and `%user` (`null`
/// where unknown), and `%ingestTime` (its arrival, in milliseconds).
#[must_use]
pub fn context_of_message(
    topic: &str,
    client_id: Option<&str>,
    user: Option<&str>,
    arrival: i64,
) -> Value {
    let optional = |text: Option<&str>| text.map_or(Value::Null, Value::from);
    Value::Object(ObjectMap::from([
        ("clientId".into(), optional(client_id)),
        ("ingestTime".into(), Value::Integer(arrival)),
        ("topic".into(), Value::from(topic)),
        ("user".into(), optional(user)),
    ]))
}

/// The context of a record of a topic: `%topic`, `%key` (`null` where there is none or it is no
/// text), `%headers` (those that are texts; of several of one name the last) and `%ingestTime`
/// (the record's timestamp, in milliseconds).
#[must_use]
pub fn context_of_topic(topic: &str, key: &[u8], headers: &Headers, timestamp: i64) -> Value {
    let key = str::from_utf8(key).ok().filter(|key| !key.is_empty());
    let headers = headers.0.iter().filter_map(|(name, value)| {
        let text = str::from_utf8(value).ok()?;
        Some((name.as_str().into(), Value::from(text)))
    });
    Value::Object(ObjectMap::from([
        ("headers".into(), Value::Object(headers.collect())),
        ("ingestTime".into(), Value::Integer(timestamp)),
        ("key".into(), key.map_or(Value::Null, Value::from)),
        ("topic".into(), Value::from(topic)),
    ]))
}

/// The context of a request, made of those of its fields that the program reads
/// ([`super::Program::reads`]).
#[must_use]
pub fn context_of_request(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

fn field(event: &Event, name: &str) -> Value {
    match name {
        "eventTime" => Value::Integer(event.time),
        "id" => Value::from(event.id.to_string()),
        "ingestTime" => Value::Integer(event.ingest_time),
        "key" => Value::Bytes(event.key.clone()),
        _ => Value::from(event.stream.as_ref()),
    }
}

/// The types of the context at a place, so that programs need not check what is always there.
pub(super) fn kinds(place: Place, shape: &RequestShape) -> Collection<Field> {
    let collection = Collection::empty();
    let text_or_none = || Kind::bytes().or_undefined();
    let path = || {
        let known = |fields: Collection<Field>, name: &String| {
            fields.with_known(name.as_str(), Kind::bytes())
        };
        Kind::object(shape.path.iter().fold(Collection::empty(), known))
    };
    // A parameter that stands several times is an array of texts.
    let query =
        || Kind::object(Collection::from_unknown(text_or_none().or_array(Collection::any())));
    match place {
        Place::Ingest => collection
            .with_known("clientId", Kind::bytes().or_null())
            .with_known("ingestTime", Kind::integer())
            .with_known("topic", Kind::bytes())
            .with_known("user", Kind::bytes().or_null()),
        Place::Kafka => collection
            .with_known("headers", Kind::object(Collection::from_unknown(text_or_none())))
            .with_known("ingestTime", Kind::integer())
            .with_known("key", Kind::bytes().or_null())
            .with_known("topic", Kind::bytes()),
        Place::Http | Place::Response => {
            let headers = Collection::from_unknown(text_or_none());
            let headers = shape
                .headers
                .iter()
                .fold(headers, |headers, name| headers.with_known(name.as_str(), Kind::bytes()));
            collection
                .with_known("headers", Kind::object(headers))
                .with_known("id", Kind::bytes())
                .with_known("ingestTime", Kind::integer())
                .with_known("method", Kind::bytes())
                .with_known("path", path())
                .with_known("query", query())
                .with_known("user", Kind::bytes().or_null())
        }
        Place::Query => collection.with_known("path", path()).with_known("query", query()),
        Place::Pipeline => collection
            .with_known("eventTime", Kind::integer())
            .with_known("id", Kind::bytes())
            .with_known("ingestTime", Kind::integer())
            .with_known("key", Kind::bytes())
            .with_known("stream", Kind::bytes()),
    }
}
