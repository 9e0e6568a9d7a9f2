//! The Job that makes topics, tables, users and roles. It is called after all that it reads: where
//! that changes there is another Job, and the one before is gone.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::batch::v1::JobSpec;
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::api::core::v1::PodTemplateSpec;

use crate::build::config;
use crate::build::connections::Role;
use crate::build::kafka;
use crate::build::pod;
use crate::build::pod::Pod;
use crate::build::pod::Reads;
use crate::build::process;
use crate::material::users_hash;
use crate::names::Names;
use crate::names::Part;
use crate::object;
use crate::pipeline::Log;
use crate::pipeline::Pipeline;

/// How often it begins again before it is given up: for some hours.
const ATTEMPTS: i32 = 60;

/// Seconds that it waits for Kafka and Postgres before it begins again.
const WAIT_SECONDS: &str = "600";

/// The Job.
pub(crate) fn build_provision(pipeline: &Pipeline) -> Job {
    let Pipeline { names, owner, .. } = pipeline;
    let template = template(pipeline);
    Job {
        metadata: object::metadata(names, owner, Part::Provision, name(names, &template)),
        spec: Some(JobSpec { backoff_limit: Some(ATTEMPTS), template, ..JobSpec::default() }),
        ..Job::default()
    }
}

/// The name, which says all that the Job is: a Job cannot be changed.
fn name(names: &Names, template: &PodTemplateSpec) -> String {
    let text = serde_json::to_string(template).unwrap_or_default();
    let hash = Reads::default().and("template", &text).hash();
    format!("{}-{}", names.part(Part::Provision), &hash[..10])
}

fn template(pipeline: &Pipeline) -> PodTemplateSpec {
    let configuration = config::of(pipeline, Role::Provision);
    let mut arguments = vec!["provision".to_owned()];
    arguments.extend(configuration.arguments);
    arguments.extend(["--wait".to_owned(), WAIT_SECONDS.to_owned()]);
    let container = Container {
        name: Part::Provision.name().to_owned(),
        image: Some(pipeline.images.millrace.clone()),
        command: Some(vec![process::PROGRAM.to_owned()]),
        args: Some(arguments),
        resources: Some(pod::job_resources()),
        volume_mounts: Some(configuration.mounts),
        ..Container::default()
    };
    let (mut init_containers, mut volumes) = (Vec::new(), configuration.volumes);
    if matches!(pipeline.log, Log::Managed(_)) {
        let step = kafka::users_step(pipeline);
        init_containers.push(step.container);
        volumes.extend(step.volumes);
    }
    let pod = Pod {
        part: Part::Provision,
        user: process::USER,
        containers: vec![container],
        init_containers,
        volumes,
        temporary: "64Mi",
        grace_seconds: 30,
        reads: configuration.reads.and("users", &users_hash(&pipeline.material)),
    };
    let mut template = pod::template(pipeline, pod);
    if let Some(spec) = &mut template.spec {
        spec.restart_policy = Some("OnFailure".to_owned());
    }
    template
}
