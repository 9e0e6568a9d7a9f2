#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use millrace_api::DeletionPolicy;
use serde::de::DeserializeOwned;

use super::*;
use crate::fixture;

fn built<T: DeserializeOwned>(pipeline: &Pipeline, kind: &str) -> T {
    let objects = build_kafka(pipeline);
    let object = objects.into_iter().find(|object| object.kind.kind == kind).unwrap();
    serde_json::from_value(serde_json::to_value(object.object).unwrap()).unwrap()
}

fn text(pipeline: &Pipeline, key: &str) -> String {
    built::<ConfigMap>(pipeline, "ConfigMap").data.unwrap()[key].clone()
}

fn has(properties: &str, line: &str) -> bool {
    properties.lines().any(|one| one == line)
}

fn annotations(pipeline: &Pipeline) -> std::collections::BTreeMap<String, String> {
    let set: StatefulSet = built(pipeline, "StatefulSet");
    set.spec.unwrap().template.metadata.unwrap().annotations.unwrap()
}

#[test]
fn one_node_writes_what_it_confirms_to_the_disk() {
    let properties = text(&fixture::pipeline(), "server.properties");
    for line in [
        "log.flush.interval.messages=1",
        "transaction.state.log.min.isr=1",
        "transaction.state.log.replication.factor=1",
        "min.insync.replicas=1",
        "controller.quorum.bootstrap.servers=race-kafka-0.race-kafka.factory.svc.cluster.local:9093",
    ] {
        assert!(has(&properties, line), "{line} is not in\n{properties}");
    }
}

#[test]
fn of_three_nodes_two_confirm() {
    let properties = text(&fixture::with_three_nodes(), "server.properties");
    for line in [
        "default.replication.factor=3",
        "min.insync.replicas=2",
        "offsets.topic.replication.factor=3",
        "transaction.state.log.replication.factor=3",
        "transaction.state.log.min.isr=2",
    ] {
        assert!(has(&properties, line), "{line} is not in\n{properties}");
    }
    assert!(!properties.contains("log.flush"));
    assert_eq!(
        text(&fixture::with_three_nodes(), "cluster.sh").lines().nth(3).unwrap(),
        "BROKERS=race-kafka-0.race-kafka.factory.svc.cluster.local:9094,race-kafka-1.race-kafka.factory.svc.cluster.local:9094,race-kafka-2.race-kafka.factory.svc.cluster.local:9094"
    );
}

#[test]
fn nobody_comes_in_without_a_password_or_certificate() {
    let properties = text(&fixture::pipeline(), "server.properties");
    for line in [
        "listener.security.protocol.map=CLIENT:SASL_SSL,CONTROLLER:SSL,NODE:SSL",
        "listener.name.controller.ssl.client.auth=required",
        "listener.name.node.ssl.client.auth=required",
        "sasl.enabled.mechanisms=SCRAM-SHA-512",
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found=false",
    ] {
        assert!(has(&properties, line), "{line} is not in\n{properties}");
    }
}

#[test]
fn nodes_start_together_and_are_found_before_they_are_ready() {
    let pipeline = fixture::with_three_nodes();
    let set = built::<StatefulSet>(&pipeline, "StatefulSet").spec.unwrap();
    assert_eq!(set.replicas, Some(3));
    assert_eq!(set.service_name.as_deref(), Some("race-kafka"));
    assert_eq!(set.pod_management_policy.as_deref(), Some("Parallel"));
    assert_eq!(set.update_strategy, None);
    let pod = set.template.spec.unwrap();
    assert_eq!(pod.termination_grace_period_seconds, Some(120));
    let service = built::<Service>(&pipeline, "Service").spec.unwrap();
    assert_eq!(service.cluster_ip.as_deref(), Some("None"));
    assert_eq!(service.publish_not_ready_addresses, Some(true));
    let budget = built::<PodDisruptionBudget>(&pipeline, "PodDisruptionBudget").spec.unwrap();
    assert_eq!(budget.max_unavailable, Some(IntOrString::Int(1)));
}

#[test]
fn a_node_is_only_ready_once_it_has_caught_up() {
    let set = built::<StatefulSet>(&fixture::with_three_nodes(), "StatefulSet").spec.unwrap();
    let container = set.template.spec.unwrap().containers.remove(0);
    let command = container.startup_probe.unwrap().exec.unwrap().command.unwrap();
    assert_eq!(command, ["/bin/bash", "/etc/millrace/kafka/ready.sh"]);
    let script = text(&fixture::with_three_nodes(), "ready.sh");
    assert!(script.contains("--under-replicated-partitions"));
}

#[test]
fn volumes_stay_where_the_resource_says_so() {
    let mut pipeline = fixture::pipeline();
    let policy = |pipeline: &Pipeline| {
        let set = built::<StatefulSet>(pipeline, "StatefulSet").spec.unwrap();
        let policy = set.persistent_volume_claim_retention_policy.unwrap();
        (policy.when_deleted.unwrap(), policy.when_scaled.unwrap())
    };
    assert_eq!(policy(&pipeline), ("Delete".to_owned(), "Retain".to_owned()));
    pipeline.deletion_policy = DeletionPolicy::Keep;
    assert_eq!(policy(&pipeline), ("Retain".to_owned(), "Retain".to_owned()));
}

#[test]
fn a_new_password_does_not_start_nodes_anew_and_a_new_certificate_does() {
    let mut pipeline = fixture::pipeline();
    let before = annotations(&pipeline);
    let broker = pipeline.material.broker.as_mut().unwrap();
    broker.client.password = crate::material::Hidden::new("another".to_owned());
    broker.formed = true;
    assert_eq!(annotations(&pipeline), before);
    let broker = pipeline.material.broker.as_mut().unwrap();
    broker.node.certificate = "another\n".to_owned();
    assert_ne!(annotations(&pipeline), before);
}

#[test]
fn no_password_is_outside_of_secrets() {
    let pipeline = fixture::pipeline();
    for object in build_kafka(&pipeline) {
        let text = serde_json::to_string(&object.object).unwrap();
        assert!(!text.contains(fixture::PASSWORD), "{}", object.name());
    }
    let step = serde_json::to_string(&users_step(&pipeline).container).unwrap();
    assert!(!step.contains(fixture::PASSWORD));
}

#[test]
fn a_kafka_of_others_is_not_made() {
    let pipeline = fixture::with_external(
        "bootstrapServers: [kafka.example.com:9092]",
        "{host: db.example.com, database: telemetry, credentials: {name: db}}",
    );
    assert!(build_kafka(&pipeline).is_empty());
}
