//! Rules of all objects together, and of those of our own processes.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::fixture;
use crate::fixture::PASSWORD;
use crate::fixture::all_kinds;
use crate::fixture::by_processor;
use crate::pipeline::Replicas;
use crate::pipeline::WorkerReplicas;

/// What the API server gets, by kind and name.
fn objects(pipeline: &Pipeline) -> BTreeMap<String, Value> {
    build(pipeline)
        .iter()
        .map(|object| {
            let key = format!("{}/{}", object.kind.kind, object.name());
            (key, serde_json::to_value(&object.object).unwrap())
        })
        .collect()
}

fn object(pipeline: &Pipeline, key: &str) -> Value {
    let objects = objects(pipeline);
    let found = objects.get(key);
    found.unwrap_or_else(|| panic!("no {key} among {:?}", objects.keys())).clone()
}

/// Templates of pods, by what makes pods of them. Jobs are told apart by their names without hash.
fn templates(pipeline: &Pipeline) -> BTreeMap<String, Value> {
    let mut templates = BTreeMap::new();
    for (key, object) in objects(pipeline) {
        let spec = &object["spec"];
        let template = match key.split('/').next() {
            Some("CronJob") => &spec["jobTemplate"]["spec"]["template"],
            Some("Deployment" | "StatefulSet" | "Job") => &spec["template"],
            _ => continue,
        };
        let part = &template["metadata"]["labels"]["app.kubernetes.io/component"];
        templates.insert(part.as_str().unwrap().to_owned(), template.clone());
    }
    templates
}

/// Pipelines of all forms.
fn all() -> Vec<Pipeline> {
    let mut with_everything = fixture::with_three_nodes();
    with_everything.kinds = all_kinds();
    with_everything.ingest = Some(by_processor(2, 5, 60));
    with_everything.workers.replicas = WorkerReplicas::ByKeda { min: 0, max: 9, lag: 1000 };
    with_everything.outward.workers.insert(443);
    with_everything.placement = serde_yaml_ng::from_str(
        "{nodeSelector: {pool: telemetry}, tolerations: [{operator: Exists}],
          labels: {team: race, app.kubernetes.io/component: mine},
          annotations: {note: a}, priorityClassName: high, spread: topology.kubernetes.io/zone}",
    )
    .unwrap();
    with_everything.images.pull_secrets.push("registry".to_owned());
    vec![
        fixture::pipeline(),
        with_everything,
        fixture::without_tables(),
        fixture::with_external(KAFKA, POSTGRES),
    ]
}

const KAFKA: &str = "{bootstrapServers: ['kafka.example.com:9093'], tls: {}, \
                     sasl: {mechanism: SCRAM-SHA-512, secret: {name: kafka-user}}}";

const POSTGRES: &str = "{host: db.example.com, database: telemetry, credentials: {name: db-user}}";

#[test]
fn every_pod_passes_pod_security_restricted_and_cannot_write_to_its_image() {
    for pipeline in all() {
        for (part, template) in templates(&pipeline) {
            let pod = &template["spec"];
            let context = &pod["securityContext"];
            assert_eq!(context["runAsNonRoot"], true, "{part}");
            assert!(context["runAsUser"].as_i64().unwrap() > 0, "{part}");
            assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault", "{part}");
            assert_eq!(context["fsGroupChangePolicy"], "OnRootMismatch", "{part}");
            assert_eq!(pod["automountServiceAccountToken"], false, "{part}");
            assert_eq!(pod["enableServiceLinks"], false, "{part}");
            assert_eq!(pod["serviceAccountName"], "race-pods", "{part}");
            for forbidden in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"] {
                assert!(pod[forbidden].is_null(), "{part} {forbidden}");
            }
            for container in containers(pod) {
                let context = &container["securityContext"];
                assert_eq!(context["allowPrivilegeEscalation"], false, "{part}");
                assert_eq!(context["readOnlyRootFilesystem"], true, "{part}");
                assert_eq!(context["capabilities"]["drop"], serde_json::json!(["ALL"]), "{part}");
                assert!(context["capabilities"]["add"].is_null(), "{part}");
                let resources = &container["resources"];
                assert!(resources["requests"]["cpu"].is_string(), "{part}");
                assert!(resources["limits"]["memory"].is_string(), "{part}");
                for port in container["ports"].as_array().into_iter().flatten() {
                    assert!(port["hostPort"].is_null(), "{part}");
                }
                for mount in container["volumeMounts"].as_array().unwrap() {
                    assert!(mount["subPath"].is_null(), "{part}");
                }
                for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
                    assert!(container[probe]["httpGet"]["host"].is_null(), "{part} {probe}");
                }
            }
            for volume in pod["volumes"].as_array().into_iter().flatten() {
                assert!(volume["hostPath"].is_null(), "{part}");
                let known = ["configMap", "secret", "emptyDir", "persistentVolumeClaim"];
                assert!(known.iter().any(|kind| volume[kind].is_object()), "{part} {volume}");
            }
        }
    }
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let of = |key: &str| pod[key].as_array().into_iter().flatten();
    of("containers").chain(of("initContainers"))
}

#[test]
fn secrets_are_in_secrets_alone_and_never_in_the_environment() {
    for pipeline in all() {
        for (key, object) in objects(&pipeline) {
            if !key.starts_with("Secret/") {
                assert!(!object.to_string().contains(PASSWORD), "{key}");
            }
        }
        for (part, template) in templates(&pipeline) {
            for container in containers(&template["spec"]) {
                assert!(container["envFrom"].is_null(), "{part}");
                for variable in container["env"].as_array().into_iter().flatten() {
                    assert!(variable["valueFrom"]["secretKeyRef"].is_null(), "{part}");
                }
            }
        }
    }
}

#[test]
fn who_opens_partitions_for_every_reader_spreads_over_few_heaps() {
    for (part, template) in templates(&fixture::pipeline()) {
        let container = &template["spec"]["containers"][0];
        let mut variables = container["env"].as_array().into_iter().flatten();
        let few = serde_json::json!({"name": "MALLOC_ARENA_MAX", "value": "2"});
        assert_eq!(variables.any(|one| *one == few), part == "query", "{part}");
    }
}

#[test]
fn every_object_belongs_to_the_pipeline_and_is_there_once() {
    for pipeline in all() {
        let built = build(&pipeline);
        let mut seen = BTreeSet::new();
        for object in &built {
            let metadata = &object.object.metadata;
            let key = (object.kind.kind.clone(), object.name().to_owned());
            assert_eq!(metadata.namespace.as_deref(), Some("factory"), "{key:?}");
            assert_eq!(metadata.owner_references.as_deref(), Some(&[pipeline.owner.clone()][..]));
            let labels = metadata.labels.as_ref().unwrap();
            assert_eq!(labels["millrace.dev/pipeline"], "race", "{key:?}");
            assert!(object.name().starts_with("race-"), "{key:?}");
            assert!(seen.insert(key.clone()), "{key:?} is there twice");
        }
    }
}

#[test]
fn what_is_mounted_comes_before_who_mounts_it() {
    for pipeline in all() {
        let mut known = BTreeSet::new();
        // Made by others.
        known.extend(pipeline.secrets.keys().map(|name| format!("Secret/{name}")));
        known.extend(pipeline.config_maps.keys().map(|name| format!("ConfigMap/{name}")));
        for object in build(&pipeline) {
            let value = serde_json::to_value(&object.object).unwrap();
            let spec = &value["spec"];
            for template in [&spec["template"], &spec["jobTemplate"]["spec"]["template"]] {
                for volume in template["spec"]["volumes"].as_array().into_iter().flatten() {
                    for name in
                        [("Secret", "secret", "secretName"), ("ConfigMap", "configMap", "name")]
                            .into_iter()
                            .filter_map(|(kind, at, key)| {
                                Some(format!("{kind}/{}", volume[at][key].as_str()?))
                            })
                    {
                        assert!(known.contains(&name), "{} mounts {name}", object.name());
                    }
                }
            }
            known.insert(format!("{}/{}", object.kind.kind, object.name()));
        }
    }
}

/// Parts whose template is another one after a change.
fn rolled(change: impl FnOnce(&mut Pipeline)) -> Vec<String> {
    rolled_from(&fixture::pipeline(), change)
}

fn rolled_from(before: &Pipeline, change: impl FnOnce(&mut Pipeline)) -> Vec<String> {
    let mut after = before.clone();
    change(&mut after);
    let before = templates(before);
    let changed = templates(&after).into_iter().filter(|(part, now)| before.get(part) != Some(now));
    changed.map(|(part, _)| part).collect()
}

#[test]
fn a_change_rolls_what_it_touches_alone() {
    let none: [&str; 0] = [];
    assert_eq!(
        rolled(|pipeline| pipeline.document.push_str("# changed\n")),
        ["ingest", "provision", "query", "workers"]
    );
    assert_eq!(
        rolled(|pipeline| pipeline.images.millrace.push('1')),
        ["ingest", "provision", "query", "workers"]
    );
    assert_eq!(rolled(|pipeline| pipeline.images.nginx.push('1')), ["edge"]);
    assert_eq!(rolled(|pipeline| pipeline.workers.replicas = WorkerReplicas::Fixed(3)), none);
    assert_eq!(rolled(|pipeline| pipeline.ingest = Some(by_processor(1, 5, 70))), none);
    assert_eq!(rolled(|pipeline| pipeline.exposure.hosts = vec!["race.example.com".into()]), none);
    assert_eq!(
        rolled(|pipeline| pipeline.workers.resources = fixture::resources("1", "1Gi", "1Gi")),
        ["workers"]
    );
    // Topics are made again, and what was read of the former log is forgotten.
    let log = |pipeline: &mut Pipeline| {
        pipeline.material.broker.as_mut().unwrap().cluster_id.push('1');
    };
    assert_eq!(rolled(log), ["ingest", "provision", "query", "workers"]);
    // Whoever reads them reads them again.
    let users = |pipeline: &mut Pipeline| {
        pipeline.secrets.get_mut("multivac-users").unwrap().hash = fixture::hash("changed");
    };
    assert_eq!(rolled(users), none);
    // Schemas are read at the start.
    let schema = |pipeline: &mut Pipeline| {
        pipeline.config_maps.insert("race-schemas".to_owned(), fixture::hash("changed"));
    };
    assert_eq!(rolled(schema), ["ingest", "provision", "query", "workers"]);
}

#[test]
fn a_changed_password_of_kafka_rolls_its_clients_and_one_of_postgres_nobody_but_provision() {
    let other = |name: &str| crate::material::Login {
        username: name.to_owned(),
        password: crate::material::Hidden::new("another".to_owned()),
    };
    let kafka = |pipeline: &mut Pipeline| {
        pipeline.material.broker.as_mut().unwrap().client = other("millrace-b");
    };
    assert_eq!(rolled(kafka), ["ingest", "provision", "query", "workers"]);
    let postgres = |pipeline: &mut Pipeline| {
        pipeline.material.database.as_mut().unwrap().worker = other("worker_b");
    };
    assert_eq!(rolled(postgres), ["provision"]);
    let external = fixture::with_external(KAFKA, POSTGRES);
    let kafka = |pipeline: &mut Pipeline| {
        pipeline.secrets.get_mut("kafka-user").unwrap().hash = fixture::hash("changed");
    };
    assert_eq!(rolled_from(&external, kafka), ["ingest", "provision", "query", "workers"]);
    let postgres = |pipeline: &mut Pipeline| {
        pipeline.secrets.get_mut("db-user").unwrap().hash = fixture::hash("changed");
    };
    assert_eq!(rolled_from(&external, postgres), Vec::<String>::new());
}

#[test]
fn whatever_a_provision_job_is_its_name_says() {
    let job = |pipeline: &Pipeline| {
        let objects = objects(pipeline);
        let mut jobs = objects.keys().filter(|key| key.starts_with("Job/"));
        let job = jobs.next().unwrap().clone();
        assert_eq!(jobs.next(), None);
        job
    };
    let before = fixture::pipeline();
    let name = job(&before);
    assert!(name.starts_with("Job/race-provision-"), "{name}");
    assert_eq!(name, job(&before));
    let mut after = before.clone();
    after.document.push('\n');
    assert_ne!(name, job(&after));
    let mut after = before.clone();
    after.placement.priority_class_name = Some("high".into());
    assert_ne!(name, job(&after));
    let mut after = before.clone();
    after.query.replicas = Replicas::Fixed(4);
    assert_eq!(name, job(&after));
}

#[test]
fn whoever_scales_a_part_decides_alone_how_many_pods_it_has() {
    let mut pipeline = fixture::pipeline();
    pipeline.ingest = Some(by_processor(2, 5, 60));
    pipeline.kinds = all_kinds();
    pipeline.workers.replicas = WorkerReplicas::ByKeda { min: 0, max: 99, lag: 500 };
    assert!(object(&pipeline, "Deployment/race-ingest")["spec"]["replicas"].is_null());
    assert!(object(&pipeline, "StatefulSet/race-workers")["spec"]["replicas"].is_null());
    assert_eq!(object(&pipeline, "Deployment/race-query")["spec"]["replicas"], 1);
    let autoscaler = object(&pipeline, "HorizontalPodAutoscaler/race-ingest");
    assert_eq!(
        autoscaler["spec"],
        serde_json::json!({
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "race-ingest"},
            "minReplicas": 2,
            "maxReplicas": 5,
            "metrics": [{
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 60},
                },
            }],
        })
    );
    let scaled = object(&pipeline, "ScaledObject/race-workers");
    assert_eq!(scaled["spec"]["minReplicaCount"], 0);
    // More would have nothing to do.
    assert_eq!(scaled["spec"]["maxReplicaCount"], 16);
    assert_eq!(scaled["spec"]["fallback"]["replicas"], 1);
    let trigger = &scaled["spec"]["triggers"][0]["metadata"];
    assert_eq!(trigger["url"], "http://race-query.factory.svc.cluster.local:8080/metrics");
    assert_eq!(trigger["targetValue"], "500");
}

#[test]
fn there_are_never_more_workers_than_partitions() {
    let mut pipeline = fixture::pipeline();
    let replicas = |pipeline: &Pipeline| {
        object(pipeline, "StatefulSet/race-workers")["spec"]["replicas"].as_i64().unwrap()
    };
    pipeline.workers.replicas = WorkerReplicas::Fixed(20);
    assert_eq!(replicas(&pipeline), 16);
    pipeline.workers.replicas = WorkerReplicas::ByLag { min: 0, max: 30, lag: 1, now: 0 };
    assert_eq!(replicas(&pipeline), 0);
}

#[test]
fn kinds_that_a_cluster_does_not_have_are_left_out() {
    let kinds = |pipeline: &Pipeline| -> BTreeSet<String> {
        build(pipeline).iter().map(|object| object.kind.kind.clone()).collect()
    };
    let mut pipeline = fixture::pipeline();
    assert!(!kinds(&pipeline).contains("ServiceMonitor"));
    pipeline.kinds = all_kinds();
    assert!(kinds(&pipeline).contains("ServiceMonitor"));
}

#[test]
fn ingest_keeps_its_names_where_another_broker_knows_it_by_them() {
    let mut pipeline = fixture::pipeline();
    pipeline.outward.subscribes = true;
    let pods = object(&pipeline, "StatefulSet/race-ingest");
    assert_eq!(pods["spec"]["serviceName"], "race-ingest");
    assert!(!objects(&pipeline).contains_key("Deployment/race-ingest"));
}

#[test]
fn a_pod_has_longer_to_end_than_its_process_takes() {
    for (part, template) in templates(&fixture::pipeline()) {
        let Some("ingest" | "query" | "workers") = Some(part.as_str()) else { continue };
        let spec = &template["spec"];
        let container = &spec["containers"][0];
        let arguments: Vec<&str> =
            container["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
        let at = arguments.iter().position(|argument| *argument == "--grace").unwrap();
        let own: i64 = arguments[at + 1].parse().unwrap();
        let farewell = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_i64().unwrap_or(0);
        let grace = spec["terminationGracePeriodSeconds"].as_i64().unwrap();
        assert!(grace > own + farewell, "{part}: {grace} of {own} and {farewell}");
        assert_eq!(farewell > 0, part != "workers", "{part}");
    }
}

#[test]
fn processes_are_started_with_what_they_read() {
    let templates = templates(&fixture::pipeline());
    assert_eq!(
        templates["query"]["spec"]["containers"][0]["args"],
        serde_json::json!([
            "query",
            "/etc/millrace/pipeline/pipeline.yaml",
            "--connections",
            "/etc/millrace/connections",
            "--secrets",
            "/etc/millrace/secrets",
            "--config-maps",
            "/etc/millrace/config-maps",
            "--process-name",
            "$(POD_NAME)",
            "--http-listen",
            "0.0.0.0:8080",
            "--grace",
            "25",
            "--trust-proxy",
            "--admin-listen",
            "127.0.0.1:9090",
        ])
    );
    let mounts = |part: &str| -> Vec<String> {
        let container = &templates[part]["spec"]["containers"][0];
        let mounts = container["volumeMounts"].as_array().unwrap().iter();
        mounts.map(|mount| mount["mountPath"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        mounts("ingest"),
        [
            "/etc/millrace/pipeline",
            "/etc/millrace/connections",
            "/etc/millrace/secrets/multivac-users",
            "/etc/millrace/secrets/race-kafka-client",
            "/etc/millrace/config-maps/race-schemas",
            "/etc/millrace/config-maps/race-trust",
            "/tmp",
        ]
    );
    assert_eq!(
        mounts("provision"),
        [
            "/etc/millrace/pipeline",
            "/etc/millrace/connections",
            "/etc/millrace/secrets/race-kafka-client",
            "/etc/millrace/secrets/race-postgres-analyst",
            "/etc/millrace/secrets/race-postgres-analyst-spare",
            "/etc/millrace/secrets/race-postgres-owner",
            "/etc/millrace/secrets/race-postgres-query",
            "/etc/millrace/secrets/race-postgres-query-spare",
            "/etc/millrace/secrets/race-postgres-worker",
            "/etc/millrace/secrets/race-postgres-worker-spare",
            "/etc/millrace/config-maps/race-schemas",
            "/etc/millrace/config-maps/race-trust",
            "/tmp",
        ]
    );
}
