//! The nodes. All start at once, as two of three are needed for anything; a change takes them down
//! one by one, each after the one before is in sync again.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::apps::v1::StatefulSetSpec;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::api::core::v1::ContainerPort;
use k8s_openapi::api::core::v1::EnvVar;
use k8s_openapi::api::core::v1::ExecAction;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::api::core::v1::Probe;
use k8s_openapi::api::core::v1::TCPSocketAction;
use k8s_openapi::api::core::v1::VolumeMount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::CERTIFICATE;
use super::CLIENTS;
use super::CONFIGURATION;
use super::CONTROLLERS;
use super::IDENTITY;
use super::NODES;
use super::USER;
use super::configuration;
use crate::build::pod;
use crate::build::pod::Pod;
use crate::build::pod::Reads;
use crate::build::volume;
use crate::labels;
use crate::names::Part;
use crate::object;
use crate::pipeline::ManagedKafka;
use crate::pipeline::Pipeline;

/// Where the volume is mounted.
const DATA: &str = "/var/lib/kafka/data";

/// The nodes.
pub(super) fn build_stateful_set(
    pipeline: &Pipeline,
    kafka: &ManagedKafka,
    configuration: &ConfigMap,
) -> StatefulSet {
    let names = &pipeline.names;
    let name = names.part(Part::Kafka);
    StatefulSet {
        metadata: object::metadata(names, &pipeline.owner, Part::Kafka, name.clone()),
        spec: Some(StatefulSetSpec {
            replicas: Some(kafka.nodes),
            service_name: Some(name),
            pod_management_policy: Some("Parallel".to_owned()),
            selector: LabelSelector {
                match_labels: Some(labels::selector(names, Part::Kafka)),
                ..LabelSelector::default()
            },
            template: template(pipeline, kafka, configuration),
            volume_claim_templates: Some(vec![volume::claim_template(
                pipeline,
                Part::Kafka,
                &kafka.storage,
            )]),
            persistent_volume_claim_retention_policy: Some(volume::retention(pipeline)),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

fn template(
    pipeline: &Pipeline,
    kafka: &ManagedKafka,
    configuration: &ConfigMap,
) -> PodTemplateSpec {
    let names = &pipeline.names;
    let mut reads = Reads::default();
    for (key, text) in configuration::of_nodes(configuration) {
        reads = reads.and(key, text);
    }
    let volumes = vec![
        pod::config_map_volume("configuration", &configuration::name(names), &[]),
        pod::config_map_volume("identity", &names.of("kafka-identity"), &[]),
        pod::secret_volume("certificate", &names.of("kafka-node"), &[]),
        pod::empty_volume("run", "1Mi"),
        pod::empty_volume("logs", "64Mi"),
    ];
    pod::template(
        pipeline,
        Pod {
            part: Part::Kafka,
            user: USER,
            containers: vec![node(pipeline, kafka)],
            init_containers: vec![prepare(pipeline, kafka)],
            volumes,
            temporary: "64Mi",
            // SIGTERM hands leadership over before the node ends.
            grace_seconds: 120,
            reads,
        },
    )
}

fn prepare(pipeline: &Pipeline, kafka: &ManagedKafka) -> Container {
    Container {
        name: "prepare".to_owned(),
        image: Some(pipeline.images.kafka.clone()),
        command: Some(script("prepare.sh")),
        resources: Some(kafka.resources.clone()),
        volume_mounts: Some(mounts()),
        ..Container::default()
    }
}

fn node(pipeline: &Pipeline, kafka: &ManagedKafka) -> Container {
    let ports = [("clients", CLIENTS), ("controllers", CONTROLLERS), ("nodes", NODES)];
    let ports = ports.map(|(name, port)| ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(port),
        ..ContainerPort::default()
    });
    let heap = kafka.heap_mebibytes;
    let logging = format!("-Dlog4j2.configurationFile={CONFIGURATION}/log4j2.properties");
    Container {
        name: "kafka".to_owned(),
        image: Some(pipeline.images.kafka.clone()),
        command: Some(script("start.sh")),
        env: Some(vec![
            variable("KAFKA_HEAP_OPTS", &format!("-Xms{heap}m -Xmx{heap}m")),
            // Behind the start script's own choice, and so in place of it.
            variable("KAFKA_OPTS", &logging),
            // Not empty, or the start script writes a log of collections that grows to a gigabyte.
            variable("KAFKA_GC_LOG_OPTS", " "),
        ]),
        ports: Some(ports.into()),
        resources: Some(kafka.resources.clone()),
        startup_probe: Some(Probe {
            exec: Some(ExecAction { command: Some(script("ready.sh")) }),
            period_seconds: Some(if kafka.nodes == 1 { 1 } else { 5 }),
            timeout_seconds: Some(30),
            // Hours: after a loss of power it reads its whole log, and catching up takes its time.
            failure_threshold: Some(10_000),
            ..Probe::default()
        }),
        // There is no liveness probe: a broker that cannot go on ends by itself, and to restart one
        // that is slow makes it slower.
        readiness_probe: Some(Probe {
            tcp_socket: Some(TCPSocketAction {
                port: IntOrString::Int(i32::from(CLIENTS)),
                ..TCPSocketAction::default()
            }),
            period_seconds: Some(5),
            timeout_seconds: Some(5),
            ..Probe::default()
        }),
        volume_mounts: Some(mounts()),
        ..Container::default()
    }
}

fn mounts() -> Vec<VolumeMount> {
    vec![
        pod::write_mount(volume::NAME, DATA),
        pod::read_mount("configuration", CONFIGURATION),
        pod::read_mount("identity", IDENTITY),
        pod::read_mount("certificate", CERTIFICATE),
        pod::write_mount("run", "/run/kafka"),
        pod::write_mount("logs", "/opt/kafka/logs"),
    ]
}

fn script(name: &str) -> Vec<String> {
    vec!["/bin/bash".to_owned(), format!("{CONFIGURATION}/{name}")]
}

fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), ..EnvVar::default() }
}
