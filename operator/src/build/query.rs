//! Pods that answer. What only operators may ask for is on the loopback of each: who may forward a
//! port to it may ask.

use crate::build::connections::Role;
use crate::build::deployment;
use crate::build::process;
use crate::build::process::Process;
use crate::names::Part;
use crate::object::Object;
use crate::pipeline::Pipeline;

/// Where operators ask, within the pod.
pub(crate) const ADMIN: &str = "127.0.0.1:9090";

/// Seconds until the edge has noticed that a pod ends.
const FAREWELL_SECONDS: i64 = 12;

/// Its objects.
pub(crate) fn build_query(pipeline: &Pipeline) -> Vec<Object> {
    let scaled = &pipeline.query;
    let ports = [("http", process::HTTP)];
    let template = process::build_template(
        pipeline,
        Process {
            part: Part::Query,
            role: Role::Query,
            command: "query",
            arguments: vec!["--admin-listen".to_owned(), ADMIN.to_owned()],
            ports: &ports,
            farewell_seconds: FAREWELL_SECONDS,
            resources: &scaled.resources,
        },
    );
    let replicas = deployment::fixed(scaled.replicas);
    vec![
        Object::of(&process::build_service(pipeline, Part::Query, &ports)),
        Object::of(&deployment::build_deployment(pipeline, Part::Query, replicas, template)),
    ]
}
