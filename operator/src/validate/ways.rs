//! Ways in and groups of a pipeline, from its plan.

use std::collections::BTreeSet;

use millrace_plan::Plan;
use millrace_plan::model::IngestPlan;
use millrace_plan::model::IngestSource;
use millrace_plan::model::SinkPlan;
use millrace_plan::model::SinkTarget;

use crate::pipeline::Group;
use crate::pipeline::HttpWayIn;
use crate::pipeline::WaysIn;

/// What is reached over HTTP and MQTT.
pub(crate) fn ways_in(plan: &Plan) -> WaysIn {
    let published = plan.sinks.iter().any(served_by_us);
    let listens = |ingest: &IngestPlan| matches!(ingest.source, IngestSource::MqttListen(_));
    WaysIn {
        http: plan.ingest.iter().filter_map(http).collect(),
        mqtt: published || plan.ingest.iter().any(listens),
    }
}

/// Whether ingest has anything to do: something comes in, or viewers connect.
pub(crate) fn has_ingest(plan: &Plan, ways_in: &WaysIn) -> bool {
    !plan.ingest.is_empty() || ways_in.mqtt
}

/// Whether a message of another broker would reach every ingest pod.
pub(crate) fn repeats_for_each_pod(plan: &Plan) -> bool {
    plan.ingest.iter().any(|ingest| {
        matches!(&ingest.source, IngestSource::MqttConnect(connect) if connect.shared_group.is_none())
    })
}

/// Groups of the workers: a stage's or sink's each.
pub(crate) fn groups(plan: &Plan) -> Vec<Group> {
    let stages = plan.stages.iter().map(|stage| Group {
        name: stage.name.clone(),
        streams: stage.inputs.iter().map(|stream| stream.as_str().to_owned()).collect(),
    });
    let sinks = plan.sinks.iter().filter(|sink| !served_by_us(sink)).map(|sink| Group {
        name: sink.name.clone(),
        streams: sink.from.iter().map(|stream| stream.as_str().to_owned()).collect(),
    });
    stages.chain(sinks).collect()
}

/// Most partitions of what a group reads.
pub(crate) fn useful(plan: &Plan, groups: &[Group]) -> i32 {
    let read: BTreeSet<&str> =
        groups.iter().flat_map(|group| &group.streams).map(String::as_str).collect();
    plan.streams
        .iter()
        .filter(|stream| read.contains(stream.name.as_str()))
        .map(|stream| stream.partitions)
        .max()
        .unwrap_or(1)
}

/// Whether ingest serves it to its own subscribers, so that no worker reads it.
fn served_by_us(sink: &SinkPlan) -> bool {
    matches!(&sink.target, SinkTarget::Mqtt(mqtt) if mqtt.broker.is_none())
}

fn http(ingest: &IngestPlan) -> Option<HttpWayIn> {
    let (path, method, websocket) = match &ingest.source {
        IngestSource::Http(http) => (&http.path.text, http.method.name(), false),
        IngestSource::WebSocket(websocket) => (&websocket.path.text, "GET", true),
        IngestSource::MqttListen(_) | IngestSource::MqttConnect(_) | IngestSource::Kafka(_) => {
            return None;
        }
    };
    Some(HttpWayIn {
        path: path.clone(),
        method: method.to_owned(),
        websocket,
        max_body_bytes: i64::try_from(ingest.max_body_bytes).unwrap_or(i64::MAX),
    })
}
