//! Processes of our own in pods: one container that runs `millrace`, whatever the subcommand.

use k8s_openapi::api::core::v1::Container;
use k8s_openapi::api::core::v1::ContainerPort;
use k8s_openapi::api::core::v1::EnvVar;
use k8s_openapi::api::core::v1::EnvVarSource;
use k8s_openapi::api::core::v1::HTTPGetAction;
use k8s_openapi::api::core::v1::Lifecycle;
use k8s_openapi::api::core::v1::LifecycleHandler;
use k8s_openapi::api::core::v1::ObjectFieldSelector;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::api::core::v1::Probe;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::core::v1::ServicePort;
use k8s_openapi::api::core::v1::ServiceSpec;
use k8s_openapi::api::core::v1::SleepAction;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::build::config;
use crate::build::connections::Role;
use crate::build::pod;
use crate::build::pod::Pod;
use crate::labels;
use crate::names::Part;
use crate::object;
use crate::pipeline::Pipeline;

/// User and group of our own image.
pub(crate) const USER: i64 = 65532;

/// Port of HTTP: ways in, answers, health and metrics.
pub(crate) const HTTP: u16 = 8080;

/// Port of MQTT.
pub(crate) const MQTT: u16 = 1883;

/// The program.
pub(crate) const PROGRAM: &str = "/usr/local/bin/millrace";

/// Seconds that a process has from SIGTERM on to end by itself.
const GRACE_SECONDS: i64 = 25;

/// Seconds beyond that, before it is killed.
const SPARE_SECONDS: i64 = 5;

/// A process that goes on until it is told to end.
pub(crate) struct Process<'a> {
    /// The part that it is of.
    pub(crate) part: Part,
    /// What it is to Kafka and Postgres.
    pub(crate) role: Role,
    /// Its subcommand.
    pub(crate) command: &'static str,
    /// Arguments of the subcommand beside those that all have.
    pub(crate) arguments: Vec<String>,
    /// Ports with their names.
    pub(crate) ports: &'a [(&'static str, u16)],
    /// Seconds that it goes on as if nothing were once it is to end, until nobody sends to it any
    /// more.
    pub(crate) farewell_seconds: i64,
    /// Processor and memory.
    pub(crate) resources: &'a ResourceRequirements,
}

/// The template of its pods.
pub(crate) fn build_template(pipeline: &Pipeline, process: Process<'_>) -> PodTemplateSpec {
    let Process { part, role, farewell_seconds, .. } = process;
    let configuration = config::of(pipeline, role);
    let mut arguments = vec![process.command.to_owned()];
    arguments.extend(configuration.arguments);
    for argument in ["--process-name", "$(POD_NAME)", "--http-listen", "0.0.0.0:8080"] {
        arguments.push(argument.to_owned());
    }
    arguments.extend(["--grace".to_owned(), GRACE_SECONDS.to_string()]);
    // Nobody but the edge sends requests there.
    if pipeline.edge.is_some() && matches!(role, Role::Ingest | Role::Query) {
        arguments.push("--trust-proxy".to_owned());
    }
    arguments.extend(process.arguments);
    let container = Container {
        name: part.name().to_owned(),
        image: Some(pipeline.images.millrace.clone()),
        command: Some(vec![PROGRAM.to_owned()]),
        args: Some(arguments),
        env: Some(environment(role)),
        ports: Some(process.ports.iter().map(|(name, port)| container_port(name, *port)).collect()),
        resources: Some(process.resources.clone()),
        volume_mounts: Some(configuration.mounts),
        // Whether Kafka and Postgres answer is no reason to start a process anew.
        startup_probe: Some(probe("/livez", 1, 60)),
        liveness_probe: Some(probe("/livez", 10, 6)),
        readiness_probe: Some(probe("/readyz", 3, 2)),
        lifecycle: (farewell_seconds > 0).then(|| sleep(farewell_seconds)),
        ..Container::default()
    };
    pod::template(
        pipeline,
        Pod {
            part,
            user: USER,
            containers: vec![container],
            init_containers: Vec::new(),
            volumes: configuration.volumes,
            temporary: "64Mi",
            grace_seconds: farewell_seconds + GRACE_SECONDS + SPARE_SECONDS,
            reads: configuration.reads,
        },
    )
}

/// The Service of a part: the addresses of its pods, among which clients choose by themselves.
pub(crate) fn build_service(pipeline: &Pipeline, part: Part, ports: &[(&str, u16)]) -> Service {
    let Pipeline { names, owner, .. } = pipeline;
    let ports = ports.iter().map(|(name, port)| ServicePort {
        name: Some((*name).to_owned()),
        port: i32::from(*port),
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::Int(i32::from(*port))),
        ..ServicePort::default()
    });
    Service {
        metadata: object::metadata(names, owner, part, names.part(part)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            selector: Some(labels::selector(names, part)),
            ports: Some(ports.collect()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn environment(role: Role) -> Vec<EnvVar> {
    let mut environment = vec![pod_name()];
    if matches!(role, Role::Query) {
        environment.push(arenas());
    }
    environment
}

/// Bounds the heaps among which glibc spreads threads. Each look into a partition has threads of its
/// own, and by default there may be eight heaps a processor, of which each keeps what it once took:
/// without this, memory grows with every reader that comes.
fn arenas() -> EnvVar {
    EnvVar { name: "MALLOC_ARENA_MAX".to_owned(), value: Some("2".to_owned()), ..EnvVar::default() }
}

fn pod_name() -> EnvVar {
    EnvVar {
        name: "POD_NAME".to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: "metadata.name".to_owned(),
                ..ObjectFieldSelector::default()
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

fn container_port(name: &str, port: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(port),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(i32::from(HTTP)),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(3),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn sleep(seconds: i64) -> Lifecycle {
    Lifecycle {
        pre_stop: Some(LifecycleHandler {
            sleep: Some(SleepAction { seconds }),
            ..LifecycleHandler::default()
        }),
        ..Lifecycle::default()
    }
}
