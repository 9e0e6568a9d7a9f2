//! Pods that compute. Each keeps its name, so that one that starts again fences what it was.

use crate::build::connections::Role;
use crate::build::deployment;
use crate::build::process;
use crate::build::process::Process;
use crate::names::Part;
use crate::object::Object;
use crate::pipeline::Pipeline;
use crate::pipeline::WorkerReplicas;
use crate::pipeline::Workers;

/// Its objects.
pub(crate) fn build_workers(pipeline: &Pipeline) -> Vec<Object> {
    let workers = &pipeline.workers;
    let ports = [("http", process::HTTP)];
    let template = process::build_template(
        pipeline,
        Process {
            part: Part::Workers,
            role: Role::Worker,
            command: "worker",
            arguments: Vec::new(),
            ports: &ports,
            // Nobody sends to them.
            farewell_seconds: 0,
            resources: &workers.resources,
        },
    );
    let replicas = replicas(workers);
    vec![
        Object::of(&process::build_service(pipeline, Part::Workers, &ports)),
        Object::of(&deployment::build_stateful_set(pipeline, Part::Workers, replicas, template)),
    ]
}

/// How many there are, unless KEDA decides it: never more than have something to do.
fn replicas(workers: &Workers) -> Option<i32> {
    match workers.replicas {
        WorkerReplicas::Fixed(replicas) => Some(replicas.min(workers.useful)),
        WorkerReplicas::ByLag { now, .. } => Some(now.min(workers.useful)),
        WorkerReplicas::ByKeda { .. } => None,
    }
}
