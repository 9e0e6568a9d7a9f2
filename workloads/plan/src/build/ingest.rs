//! Ways in: topics, programs and brokers.

use std::str::FromStr as _;

use millrace_api as api;
use millrace_api::TelemetryPipelineSpec;
use millrace_core::StreamName;
use millrace_core::names::MAX_NAME_LENGTH;

use super::checks::Checks;
use super::checks::stream_name;
use super::exposure;
use super::http;
use super::topics;
use crate::model::IngestPlan;
use crate::model::IngestSource;
use crate::model::KafkaIngest;
use crate::model::KafkaStart;
use crate::model::MqttBroker;
use crate::model::MqttConnect;
use crate::model::MqttListen;
use crate::program::Place;
use crate::program::RequestShape;

/// What stands before the name of a way in where the log names the topic that it reads.
const SOURCE_PREFIX: &str = "ingest.";

/// The ways in.
pub(super) fn ingest(
    pipeline: &str,
    spec: &TelemetryPipelineSpec,
    checks: &mut Checks,
) -> Vec<IngestPlan> {
    let mut listened: Vec<(&str, &str)> = Vec::new();
    let mut plans = Vec::new();
    for (index, ingest) in spec.ingest.iter().enumerate() {
        let at = format!("spec.ingest[{index}]");
        if let Some(listen) = ingest.mqtt.as_ref().and_then(|mqtt| mqtt.listen.as_ref()) {
            for (position, filter) in listen.topics.iter().enumerate() {
                let at = format!("{at}.mqtt.listen.topics[{position}]");
                match listened.iter().find(|(taken, _)| *taken == filter.as_str()) {
                    Some((_, other)) => checks.error_with_hint(
                        at,
                        format!("`{filter}` goes to `{other}` already, which comes first"),
                        "write a topic filter of its own",
                    ),
                    None => listened.push((filter, &ingest.name)),
                }
            }
        }
        let source = source(pipeline, &at, ingest, checks);
        let (place, shape) = match &source {
            Some(IngestSource::Http(way)) => (Place::Http, http::shape(&way.path, &way.headers)),
            Some(IngestSource::WebSocket(way)) => {
                (Place::Http, http::shape(&way.path, &way.headers))
            }
            Some(IngestSource::Kafka(_)) => (Place::Kafka, RequestShape::default()),
            _ => (Place::Ingest, RequestShape::default()),
        };
        check_identity(&at, ingest, spec, checks);
        let map = ingest.map.as_ref();
        let map =
            map.and_then(|map| checks.request_program(&format!("{at}.map"), map, place, &shape));
        plans.extend(source.map(|source| IngestPlan {
            name: ingest.name.to_string(),
            to: stream_name(&ingest.to),
            map,
            max_body_bytes: Checks::count(ingest.max_body_bytes),
            source,
        }));
    }
    plans
}

/// What a stream declares as identity makes that of the way in mean nothing.
fn check_identity(
    at: &str,
    ingest: &api::IngestSpec,
    spec: &TelemetryPipelineSpec,
    checks: &mut Checks,
) {
    let (kind, identity) = match (&ingest.http, &ingest.websocket) {
        (Some(http), _) => ("http", http.identity),
        (None, Some(websocket)) => ("websocket", websocket.identity),
        (None, None) => return,
    };
    let stream = spec.streams.iter().find(|stream| stream.name == ingest.to);
    if identity == api::IdentitySpec::Content
        && let Some(path) = stream.and_then(|stream| stream.event_id.as_ref())
    {
        checks.error_with_hint(
            format!("{at}.{kind}.identity"),
            format!("`{path}` identifies the events of `{}` already", ingest.to),
            "leave `identity` out, or `eventId` of the stream",
        );
    }
}

fn source(
    pipeline: &str,
    at: &str,
    ingest: &api::IngestSpec,
    checks: &mut Checks,
) -> Option<IngestSource> {
    let mqtt = match (&ingest.http, &ingest.websocket, &ingest.mqtt, &ingest.kafka) {
        (Some(spec), None, None, None) => {
            return Some(IngestSource::Http(http::http(&format!("{at}.http"), spec, checks)));
        }
        (None, Some(spec), None, None) => {
            let at = format!("{at}.websocket");
            return Some(IngestSource::WebSocket(http::websocket(&at, spec, checks)));
        }
        (None, None, Some(mqtt), None) => mqtt,
        (None, None, None, Some(spec)) => {
            return kafka(at, &ingest.name, spec, checks).map(IngestSource::Kafka);
        }
        _ => {
            checks.error(at, "write exactly one of http, websocket, mqtt and kafka");
            return None;
        }
    };
    match (&mqtt.listen, &mqtt.connect) {
        (Some(listen), None) => Some(IngestSource::MqttListen(MqttListen {
            topics: filters(&format!("{at}.mqtt.listen.topics"), &listen.topics, checks),
        })),
        (None, Some(connect)) => Some(IngestSource::MqttConnect(MqttConnect {
            broker: broker(
                &format!("{at}.mqtt.connect.broker"),
                pipeline,
                &ingest.name,
                &connect.broker,
                checks,
            ),
            topics: filters(&format!("{at}.mqtt.connect.topics"), &connect.topics, checks),
            shared_group: connect.shared_group.as_ref().map(ToString::to_string),
            qos: qos(connect.qos),
        })),
        _ => {
            checks.error(format!("{at}.mqtt"), "write exactly one of listen and connect");
            None
        }
    }
}

/// A topic that others write.
fn kafka(
    at: &str,
    name: &str,
    spec: &api::KafkaIngestSpec,
    checks: &mut Checks,
) -> Option<KafkaIngest> {
    if matches!(spec.topic.as_str(), "." | "..") {
        let message = format!("`{}` is no topic: Kafka has none of this name", spec.topic);
        checks.error_with_hint(format!("{at}.kafka.topic"), message, "write the topic's name");
    }
    // Names of streams in the log are bounded, and this one has a prefix.
    let source = format!("{SOURCE_PREFIX}{name}");
    let Ok(source) = StreamName::from_str(&source) else {
        checks.error_with_hint(
            format!("{at}.name"),
            "is too long for a way in from Kafka",
            format!("write at most {} characters", MAX_NAME_LENGTH - SOURCE_PREFIX.len()),
        );
        return None;
    };
    let from = match spec.from {
        api::KafkaStartSpec::Earliest => KafkaStart::Earliest,
        api::KafkaStartSpec::Latest => KafkaStart::Latest,
    };
    Some(KafkaIngest { topic: spec.topic.to_string(), source, from })
}

fn filters(at: &str, filters: &[api::TopicFilter], checks: &mut Checks) -> Vec<String> {
    for (index, filter) in filters.iter().enumerate() {
        if let Err(error) = topics::check_filter(filter) {
            let at = format!("{at}[{index}]");
            checks.error_with_hint(at, format!("`{filter}` {}", error.wrong), error.write);
        }
    }
    filters.iter().map(ToString::to_string).collect()
}

/// An external broker, with a client id made of the pipeline's and the part's names by default.
pub(super) fn broker(
    at: &str,
    pipeline: &str,
    part: &str,
    broker: &api::Broker,
    checks: &mut Checks,
) -> MqttBroker {
    MqttBroker {
        url: broker.url.to_string(),
        client_id: broker
            .client_id
            .as_ref()
            .map_or_else(|| format!("millrace-{pipeline}-{part}"), ToString::to_string),
        credentials: broker
            .credentials
            .as_ref()
            .and_then(|spec| exposure::credentials(&format!("{at}.credentials"), spec, checks)),
        certificate_authority: broker.certificate_authority.as_ref().and_then(|spec| {
            let at = format!("{at}.certificateAuthority");
            exposure::one_of(&at, spec.secret.as_ref(), spec.file.as_ref(), checks)
        }),
    }
}

/// Quality of service, which the resource bounds.
pub(super) fn qos(qos: api::Qos) -> u8 {
    u8::try_from(qos.clamp(0, 2)).unwrap_or(1)
}
