//! Pods that take events in. Where they subscribe at other brokers each keeps its name, by which
//! that broker knows it.

use crate::build::connections::Role;
use crate::build::deployment;
use crate::build::process;
use crate::build::process::Process;
use crate::names::Part;
use crate::object::Object;
use crate::pipeline::Pipeline;

/// Seconds until the edge has noticed that a pod ends.
const FAREWELL_SECONDS: i64 = 12;

/// Its objects; none where nothing comes in and nobody connects.
pub(crate) fn build_ingest(pipeline: &Pipeline) -> Vec<Object> {
    let Some(scaled) = &pipeline.ingest else { return Vec::new() };
    let ports = [("http", process::HTTP), ("mqtt", process::MQTT)];
    let template = process::build_template(
        pipeline,
        Process {
            part: Part::Ingest,
            role: Role::Ingest,
            command: "ingest",
            arguments: vec!["--mqtt-listen".to_owned(), "0.0.0.0:1883".to_owned()],
            ports: &ports,
            farewell_seconds: FAREWELL_SECONDS,
            resources: &scaled.resources,
        },
    );
    let replicas = deployment::fixed(scaled.replicas);
    let service = Object::of(&process::build_service(pipeline, Part::Ingest, &ports));
    let pods = if pipeline.outward.subscribes {
        Object::of(&deployment::build_stateful_set(pipeline, Part::Ingest, replicas, template))
    } else {
        Object::of(&deployment::build_deployment(pipeline, Part::Ingest, replicas, template))
    };
    vec![service, pods]
}
