//! Ways in: topics, programs and brokers.

use millrace_api as api;
use millrace_api::TelemetryPipelineSpec;

use super::checks::Checks;
use super::checks::stream_name;
use super::http;
use super::topics;
use crate::model::IngestPlan;
use crate::model::IngestSource;
use crate::model::MqttBroker;
use crate::model::MqttConnect;
use crate::model::MqttListen;
use crate::program::Place;
use crate::program::RequestShape;

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
    let mqtt = match (&ingest.http, &ingest.websocket, &ingest.mqtt) {
        (Some(spec), None, None) => {
            return Some(IngestSource::Http(http::http(&format!("{at}.http"), spec, checks)));
        }
        (None, Some(spec), None) => {
            let at = format!("{at}.websocket");
            return Some(IngestSource::WebSocket(http::websocket(&at, spec, checks)));
        }
        (None, None, Some(mqtt)) => mqtt,
        _ => {
            checks.error(at, "write exactly one of http, websocket and mqtt");
            return None;
        }
    };
    match (&mqtt.listen, &mqtt.connect) {
        (Some(listen), None) => Some(IngestSource::MqttListen(MqttListen {
            topics: filters(&format!("{at}.mqtt.listen.topics"), &listen.topics, checks),
        })),
        (None, Some(connect)) => Some(IngestSource::MqttConnect(MqttConnect {
            broker: broker(pipeline, &ingest.name, &connect.broker),
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
pub(super) fn broker(pipeline: &str, part: &str, broker: &api::Broker) -> MqttBroker {
    MqttBroker {
        url: broker.url.to_string(),
        client_id: broker
            .client_id
            .as_ref()
            .map_or_else(|| format!("millrace-{pipeline}-{part}"), ToString::to_string),
        credentials: broker.credentials.as_ref().map(|files| files.folder.to_string()),
        ca_file: broker.certificate_authority.as_ref().map(|authority| authority.file.to_string()),
    }
}

/// Quality of service, which the resource bounds.
pub(super) fn qos(qos: api::Qos) -> u8 {
    u8::try_from(qos.clamp(0, 2)).unwrap_or(1)
}
