//! From a record to a message: topic and body, by constants or programs.

use std::sync::Arc;

use millrace_core::Event;
use millrace_core::Record;
use millrace_core::event::text;
use millrace_ingest::mqtt::OutgoingMessage;
use millrace_plan::model::MqttSink;
use millrace_plan::model::MqttTopic;
use millrace_plan::program::Evaluation;
use millrace_plan::program::Program;
use millrace_plan::program::Stopped;

/// Longest topic, in bytes: MQTT's own limit.
const MAX_TOPIC_BYTES: usize = 65_535;

/// Largest message, topic and body, in bytes: with what MQTT adds it fits into the largest packet
/// of our endpoint and of our clients, which end the connection beyond that.
const MAX_MESSAGE_BYTES: usize = (16 << 20) - 1024;

/// A record that cannot become a message.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The record's value is not JSON.
    #[error("the record is not JSON: {0}")]
    Parse(serde_json::Error),
    /// The topic's program failed, with its reason.
    #[error("the topic's program failed: {0}")]
    TopicProgram(String),
    /// The topic's program gave something else than a text.
    #[error("the topic's program gave no text")]
    TopicType,
    /// The text is not a topic.
    #[error("`{0}` is not a topic: it is empty or too long, or has `+`, `#` or NUL")]
    Topic(String),
    /// It is larger than what MQTT programs commonly take.
    #[error("the message has {bytes} bytes; at most {MAX_MESSAGE_BYTES} can be sent")]
    TooLarge {
        /// Bytes of topic and body.
        bytes: usize,
    },
    /// The body's program failed, with its reason.
    #[error("the body's program failed: {0}")]
    BodyProgram(String),
    /// The body holds what JSON cannot express.
    #[error("the body cannot be written as JSON: {0}")]
    Write(serde_json::Error),
}

/// The message of a record of a stream; none where a program said `abort`.
///
/// # Errors
/// When a program fails, or what it gives is no topic or no JSON.
pub fn build(
    sink: &MqttSink,
    stream: &Arc<str>,
    record: &Record,
) -> Result<Option<OutgoingMessage>, BuildError> {
    let (topic, body) = match (&sink.topic, &sink.body) {
        (MqttTopic::Constant(topic), None) => (topic.clone(), record.value.clone()),
        (topic, body) => {
            let event =
                Event::parse(Arc::clone(stream), record.clone()).map_err(BuildError::Parse)?;
            let topic = match topic {
                MqttTopic::Constant(topic) => topic.clone(),
                MqttTopic::Program(program) => match by_program(program, &event)? {
                    Some(topic) => topic,
                    None => return Ok(None),
                },
            };
            let body = match body.as_ref().map(|program| program.transform(&event)) {
                None => record.value.clone(),
                Some(Evaluation::Done { event, .. }) => {
                    serde_json::to_vec(&event).map_err(BuildError::Write)?.into()
                }
                Some(Evaluation::Aborted) => return Ok(None),
                Some(Evaluation::Failed(reason)) => return Err(BuildError::BodyProgram(reason)),
            };
            (topic, body)
        }
    };
    let valid =
        !topic.is_empty() && topic.len() <= MAX_TOPIC_BYTES && !topic.contains(['+', '#', '\0']);
    if !valid {
        return Err(BuildError::Topic(topic));
    }
    let bytes = topic.len() + body.len();
    if bytes > MAX_MESSAGE_BYTES {
        return Err(BuildError::TooLarge { bytes });
    }
    Ok(Some(OutgoingMessage { topic, body, qos: sink.qos, retain: sink.retain }))
}

fn by_program(program: &Program, event: &Event) -> Result<Option<String>, BuildError> {
    match program.value_of(event) {
        Ok(value) => text(&value).map(|topic| Some(topic.to_owned())).ok_or(BuildError::TopicType),
        Err(Stopped::Aborted) => Ok(None),
        Err(Stopped::Failed(reason)) => Err(BuildError::TopicProgram(reason)),
    }
}

#[cfg(test)]
mod tests {
    use millrace_core::EventId;
    use millrace_core::Headers;
    use millrace_plan::program::Place;

    use super::*;

    fn program(source: &str) -> Program {
        Program::compile(source, Place::Pipeline).unwrap()
    }

    fn message(topic: MqttTopic, body: Option<&str>, value: &str) -> Result<String, String> {
        let body = body.map(program);
        let sink = MqttSink { topic, body, qos: 1, retain: false, broker: None };
        let record = Record {
            key: "spa".into(),
            event_time: 7,
            ingest_time: 8,
            id: EventId::of_content("status", b"spa", value.as_bytes()),
            headers: Headers::default(),
            value: value.to_owned().into(),
        };
        match build(&sink, &"status".into(), &record) {
            Ok(Some(m)) => Ok(format!("{} {}", m.topic, String::from_utf8_lossy(&m.body))),
            Ok(None) => Ok("none".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn constant() -> MqttTopic {
        MqttTopic::Constant("carStatus".into())
    }

    #[test]
    fn without_programs_the_record_is_the_message() {
        let value = r#"{"value":100.35276608142857, "a":1}"#;
        assert_eq!(message(constant(), None, value), Ok(format!("carStatus {value}")));
    }

    #[test]
    fn the_topic_is_the_programs_value_and_the_body_what_the_program_leaves() {
        let topic = MqttTopic::Program(program(r#""carStatus/" + %key"#));
        let body = r#". = {"value": .value, "at": %eventTime}"#;
        assert_eq!(
            message(topic, Some(body), r#"{"value":21.105000000800004,"a":1}"#),
            Ok(r#"carStatus/spa {"at":7,"value":21.105000000800004}"#.into())
        );
    }

    #[test]
    fn an_abort_sends_nothing() {
        assert_eq!(message(constant(), Some("abort"), "{}"), Ok("none".into()));
        assert_eq!(message(MqttTopic::Program(program("abort")), None, "{}"), Ok("none".into()));
    }

    #[test]
    fn what_is_too_large_for_mqtt_is_refused_and_not_tried_for_ever() {
        let value = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_MESSAGE_BYTES - 17));
        assert!(message(constant(), None, &value).is_ok());
        assert_eq!(
            message(constant(), None, &value.replace('}', " }")),
            Err("the message has 16776193 bytes; at most 16776192 can be sent".into())
        );
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        let by = |source: &str| MqttTopic::Program(program(source));
        assert_eq!(
            message(by(r#""a/" + string!(.to)"#), None, r#"{"to":"+"}"#),
            Err("`a/+` is not a topic: it is empty or too long, or has `+`, `#` or NUL".into())
        );
        assert_eq!(
            message(by(".n"), None, r#"{"n":1}"#),
            Err("the topic's program gave no text".into())
        );
        let error = message(constant(), Some(".n = to_int!(.n)"), r#"{"n":"x"}"#).unwrap_err();
        assert!(error.starts_with("the body's program failed: "), "{error}");
        let error = message(constant(), Some(".n = 1"), "{").unwrap_err();
        assert!(error.starts_with("the record is not JSON: "), "{error}");
    }
}
