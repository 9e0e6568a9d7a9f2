//! The context that a program reads as `%`: what is known of an event beside the event itself.

use millrace_core::Event;
use millrace_core::Value;
use vrl::path::OwnedSegment;
use vrl::path::PathPrefix;
use vrl::value::Kind;
use vrl::value::ObjectMap;
use vrl::value::kind::Collection;
use vrl::value::kind::Field;

use super::Place;
use super::ProgramError;

/// Fields of `%` in a pipeline, in the order of the bits of [`Needs`].
const PIPELINE: [&str; 5] = ["eventTime", "id", "ingestTime", "key", "stream"];

/// Fields of `%` where messages come in.
const INGEST: [&str; 4] = ["clientId", "ingestTime", "topic", "user"];

/// Which fields of `%` a program reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needs {
    pipeline: [bool; PIPELINE.len()],
}

impl Needs {
    const ALL: Self = Self { pipeline: [true; PIPELINE.len()] };

    /// Reads the needs of a compiled program, and refuses fields that never exist.
    pub(super) fn of(program: &vrl::compiler::Program, place: Place) -> Result<Self, ProgramError> {
        let known: &[&str] = match place {
            Place::Ingest => &INGEST,
            Place::Pipeline => &PIPELINE,
        };
        let mut needs = Self { pipeline: [false; PIPELINE.len()] };
        let queries = program.info().target_queries.iter();
        for query in queries.filter(|query| query.prefix == PathPrefix::Metadata) {
            let Some(OwnedSegment::Field(name)) = query.path.segments.first() else {
                needs = Self::ALL;
                continue;
            };
            if !known.contains(&name.as_str()) {
                let known = known.iter().map(|name| format!("`%{name}`")).collect::<Vec<_>>();
                return Err(ProgramError::UnknownContext {
                    name: name.to_string(),
                    known: known.join(", "),
                });
            }
            if let Some(index) = PIPELINE.iter().position(|field| *field == name.as_str()) {
                needs.pipeline[index] = true;
            }
        }
        Ok(needs)
    }

    /// The part of an event's context that the program reads.
    pub(super) fn context(self, event: &Event) -> Value {
        let fields = PIPELINE
            .into_iter()
            .zip(self.pipeline)
            .filter(|(_, needed)| *needed)
            .map(|(name, _)| (name.into(), field(event, name)));
        Value::Object(fields.collect::<ObjectMap>())
    }
}

/// The whole context of an event in a pipeline: `%stream`, `%key`, `%eventTime`, `%ingestTime`
/// (both in milliseconds) and `%id`.
#[must_use]
pub fn context_of(event: &Event) -> Value {
    Needs::ALL.context(event)
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
pub(super) fn kinds(place: Place) -> Collection<Field> {
    let collection = Collection::empty();
    match place {
        Place::Ingest => collection
            .with_known("clientId", Kind::bytes().or_null())
            .with_known("ingestTime", Kind::integer())
            .with_known("topic", Kind::bytes())
            .with_known("user", Kind::bytes().or_null()),
        Place::Pipeline => collection
            .with_known("eventTime", Kind::integer())
            .with_known("id", Kind::bytes())
            .with_known("ingestTime", Kind::integer())
            .with_known("key", Kind::bytes())
            .with_known("stream", Kind::bytes()),
    }
}
