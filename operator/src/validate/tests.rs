//! From resources in YAML to pipelines, or what is wrong.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

use std::collections::BTreeMap;

use super::*;
use crate::dereference::Content;
use crate::dereference::wanted::WantedKind;
use crate::dereference::wanted::wanted;
use crate::fixture;
use crate::pipeline::Group;
use crate::pipeline::WaysIn;

fn images() -> Images {
    fixture::pipeline().images
}

fn check(
    text: &str,
    secrets: &[(&str, &[&str])],
    kinds: &Kinds,
) -> Result<Validated, ValidateError> {
    check_with(text, secrets, &[], kinds)
}

fn check_with(
    text: &str,
    secrets: &[(&str, &[&str])],
    config_maps: &[(&str, &[&str])],
    kinds: &Kinds,
) -> Result<Validated, ValidateError> {
    let mut resource: TelemetryPipeline = serde_yaml_ng::from_str(text).unwrap();
    resource.metadata.namespace = Some("factory".to_owned());
    resource.metadata.uid = Some("1".to_owned());
    let all = secrets.iter().map(|secret| (WantedKind::Secret, secret));
    let all = all.chain(config_maps.iter().map(|map| (WantedKind::ConfigMap, map)));
    let found = all.map(|(kind, (name, keys))| {
        let data = keys.iter().map(|key| ((*key).to_owned(), b"x".to_vec()));
        let content = Content::new(data.collect::<BTreeMap<_, _>>());
        ((kind, (*name).to_owned()), content)
    });
    let references = References {
        wanted: wanted(&resource.spec),
        found: found.collect(),
        ..References::default()
    };
    let environment = Environment { images: &images(), kinds };
    validate(&resource, &references, &environment, |_| Ok(fixture::pipeline().material))
}

fn problems(text: &str, secrets: &[(&str, &[&str])]) -> Vec<String> {
    match check(text, secrets, &Kinds::default()) {
        Err(ValidateError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("valid, or another error: {other:?}"),
    }
}

fn minimal(rest: &str) -> String {
    format!(
        "apiVersion: millrace.dev/v1alpha1\nkind: TelemetryPipeline\nmetadata: {{name: race}}\nspec:\n  streams: [{{name: cars, key: [.car], partitions: 4}}]\n{rest}"
    )
}

#[test]
fn the_race_becomes_a_pipeline() {
    let race = include_str!("../../../examples/race.yaml");
    let Validated { pipeline, notes, objects, partitions } =
        check(race, &[], &Kinds::default()).unwrap();
    assert_eq!(pipeline.ways_in, WaysIn { http: Vec::new(), mqtt: true });
    assert_eq!(pipeline.workers.useful, 1);
    assert_eq!(pipeline.workers.replicas, WorkerReplicas::Fixed(1));
    assert_eq!(
        pipeline.workers.groups[0],
        Group { name: "motion".to_owned(), streams: vec!["coordinates".to_owned()] }
    );
    // Messages are for viewers, whom ingest serves.
    let groups: Vec<&str> =
        pipeline.workers.groups.iter().map(|group| group.name.as_str()).collect();
    assert!(groups.contains(&"standings") && !groups.contains(&"carStatus"), "{groups:?}");
    assert!(matches!(&pipeline.log, Log::Managed(kafka) if kafka.heap_mebibytes == 768));
    assert!(
        matches!(&pipeline.tables, Some(Tables::Managed(tables)) if tables.cache_mebibytes == 128)
    );
    assert!(pipeline.edge.is_some() && pipeline.ingest.is_some());
    assert_eq!(pipeline.owner.uid, "1");
    assert!(notes.is_empty() && objects.is_empty());
    assert!(partitions > 5, "{partitions}");
}

#[test]
fn without_tables_there_is_no_database_and_without_ways_in_no_ingest() {
    let Validated { pipeline, .. } = check(&minimal(""), &[], &Kinds::default()).unwrap();
    assert!(pipeline.tables.is_none() && pipeline.ingest.is_none());
    assert_eq!(pipeline.workers.replicas, WorkerReplicas::Fixed(0));
}

#[test]
fn files_of_a_machine_are_refused_with_what_to_write() {
    let text = minimal(
        "  exposure: {tls: {files: {certificate: a, key: b}}, mqtt: {users: {file: devices}}, auth: [{path: /, basic: {users: {file: users}}}]}\n  sinks: [{name: all, from: [cars], archive: {url: folder}}]",
    );
    assert_eq!(
        problems(&text, &[]),
        [
            "spec.exposure.tls.files: pods of a cluster have no files of yours; write secret: {name: …} with a Secret of type kubernetes.io/tls, or certManager",
            "spec.exposure.auth[0].basic.users.file: pods of a cluster have no files of yours; write secret: {name: …, key: …}",
            "spec.exposure.mqtt.users.file: pods of a cluster have no files of yours; write secret: {name: …, key: …}",
            "spec.sinks[0].archive.url: is a folder, and pods of a cluster keep nothing on disk; write the address of an object store, such as s3://bucket/prefix",
        ]
    );
}

#[test]
fn a_missing_secret_is_named_with_the_command_that_makes_it() {
    let text = minimal(
        "  exposure: {tls: {secret: {name: site}}, auth: [{path: /, basic: {users: {secret: {name: people, key: users}}}}]}",
    );
    assert_eq!(
        problems(&text, &[]),
        [
            "spec.exposure.tls.secret.name: there is no Secret `site` in the namespace `factory`; make it: `kubectl -n factory create secret tls site --cert=tls.crt --key=tls.key`",
            "spec.exposure.auth[0].basic.users.secret: there is no Secret `people` in the namespace `factory`; make it: `kubectl -n factory create secret generic people --from-file=users`",
        ]
    );
    let secrets: [(&str, &[&str]); 2] = [("site", &["tls.crt", "tls.key"]), ("people", &["other"])];
    assert_eq!(
        problems(&text, &secrets),
        [
            "spec.exposure.auth[0].basic.users.secret: the Secret `people` has no key `users`; add it: `kubectl -n factory edit secret people`"
        ]
    );
    let secrets: [(&str, &[&str]); 2] = [("site", &["tls.crt", "tls.key"]), ("people", &["users"])];
    let Validated { pipeline, .. } = check(&text, &secrets, &Kinds::default()).unwrap();
    // Only the edge reads the certificate.
    assert_eq!(pipeline.secrets.keys().collect::<Vec<_>>(), ["people"]);
}

#[test]
fn a_missing_config_map_is_named_with_the_command_that_makes_it() {
    let text = "apiVersion: millrace.dev/v1alpha1\nkind: TelemetryPipeline\nmetadata: {name: race}\nspec:\n  streams: [{name: cars, key: [.car], schema: {configMap: {name: schemas, key: cars.json}}}]\n";
    let problems = |maps: &[(&str, &[&str])]| match check_with(text, &[], maps, &Kinds::default()) {
        Err(ValidateError::Invalid(problems)) => {
            let told = problems.iter().map(|problem| (problem.reason, problem.to_string()));
            told.collect::<Vec<_>>()
        }
        other => panic!("valid, or another error: {other:?}"),
    };
    assert_eq!(
        problems(&[]),
        [(
            "ReferenceMissing",
            "spec.streams[0].schema.configMap: there is no ConfigMap `schemas` in the namespace `factory`; make it: `kubectl -n factory create configmap schemas --from-file=cars.json`".to_owned()
        )]
    );
    assert_eq!(
        problems(&[("schemas", &["other.json"])]),
        [(
            "ReferenceMissing",
            "spec.streams[0].schema.configMap: the ConfigMap `schemas` has no key `cars.json`; add it: `kubectl -n factory edit configmap schemas`".to_owned()
        )]
    );
    // What is there and is no schema is for the planner to tell.
    assert_eq!(problems(&[("schemas", &["cars.json"])])[0].0, "Invalid");
}

#[test]
fn a_secret_is_read_by_all_whose_fields_name_it_and_by_nobody_else() {
    let text = minimal(
        "  exposure: {auth: [{path: /, basic: {users: {secret: {name: people, key: users}}}}]}\n  sinks: [{name: hook, from: [cars], webhook: {url: 'https://example.com', signingSecret: {secret: {name: hooks, key: key}}, secretHeaders: [{name: Authorization, value: {secret: {name: people, key: token}}}]}}]\n  database: {external: {host: db.example.com, database: d, credentials: {name: db}}}",
    );
    let secrets: [(&str, &[&str]); 3] =
        [("people", &["users", "token"]), ("hooks", &["key"]), ("db", &["username", "password"])];
    let Validated { pipeline, .. } = check(&text, &secrets, &Kinds::default()).unwrap();
    let readers = pipeline.secrets.iter().map(|(name, secret)| {
        let parts: Vec<&str> = secret.readers.iter().map(|part| part.name()).collect();
        (name.as_str(), parts)
    });
    // There are no tables, so nobody reads how to reach them.
    assert_eq!(
        readers.collect::<Vec<_>>(),
        [("hooks", vec!["workers"]), ("people", vec!["ingest", "workers", "query"])]
    );
}

#[test]
fn what_is_capped_is_noted() {
    let text = minimal(
        "  sinks: [{name: hook, from: [cars], webhook: {url: 'https://example.com'}}]\n  scaling: {workers: {max: 9}, query: {replicas: 0}}",
    );
    let Validated { pipeline, notes, .. } = check(&text, &[], &Kinds::default()).unwrap();
    assert_eq!(
        pipeline.workers.replicas,
        WorkerReplicas::ByLag { min: 1, max: 4, lag: 1000, now: 1 }
    );
    assert_eq!(pipeline.query.replicas, Replicas::Fixed(1));
    assert_eq!(
        notes,
        [
            "spec.scaling.workers asks for 9 pods and gets at most 4: no stream that they read has more partitions; write 4, or raise partitions and generation of a stream",
            "spec.scaling.query.replicas is 0 and there is 1: it measures how far the workers that follow it are behind; write at least 1",
        ]
    );
}

#[test]
fn a_kafka_of_strimzi_is_one_of_others_with_a_secret_of_ours() {
    let text = minimal("  broker: {strimzi: {cluster: logs, user: race}}");
    let secrets: [(&str, &[&str]); 2] =
        [("logs-cluster-ca-cert", &["ca.crt"]), ("race", &["password"])];
    let Validated { pipeline, objects, .. } = check(&text, &secrets, &Kinds::default()).unwrap();
    let Log::External(kafka) = &pipeline.log else { panic!("managed") };
    assert_eq!(
        kafka.bootstrap_servers[0].as_str(),
        "logs-kafka-bootstrap.factory.svc.cluster.local:9093"
    );
    assert_eq!(kafka.sasl.as_ref().unwrap().secret.name.as_str(), "race-kafka-login");
    assert_eq!(
        pipeline.secrets.keys().collect::<Vec<_>>(),
        ["logs-cluster-ca-cert", "race-kafka-login"]
    );
    let secret = &objects[0].object;
    assert_eq!(secret.metadata.name.as_deref(), Some("race-kafka-login"));
    assert_eq!(secret.data["data"]["username"], "cmFjZQ==");
}
