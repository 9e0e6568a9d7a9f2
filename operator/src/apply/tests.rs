//! Against an API server that is made of a map.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::Value;
use serde_json::json;

use super::*;
use crate::api_server::Server;
use crate::labels;
use crate::names::Names;

const UID: &str = "6f1f7a3e-0000-4000-8000-000000000001";

fn key() -> PipelineKey {
    PipelineKey::new("factory", "race")
}

fn metadata(name: &str) -> Value {
    json!({
        "name": name,
        "namespace": "factory",
        "labels": labels::common(&Names::new("factory", "race")),
        "ownerReferences": [{
            "apiVersion": "millrace.dev/v1alpha1", "kind": "TelemetryPipeline", "name": "race",
            "uid": UID, "controller": true,
        }],
    })
}

fn config_map(name: &str, text: &str) -> Object {
    let map: ConfigMap =
        serde_json::from_value(json!({"metadata": metadata(name), "data": {"text": text}}))
            .unwrap();
    Object::of(&map)
}

fn deployment(replicas: Option<i32>) -> Object {
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": metadata("race-ingest"),
        "spec": {"replicas": replicas, "selector": {}, "template": {}},
    }))
    .unwrap();
    Object::of(&deployment)
}

async fn run(server: &Server, owned: &Owned, objects: Vec<Object>) -> Result<Written, ApplyError> {
    let kinds = Kinds::default();
    let key = key();
    let target = Target { pipeline: &key, uid: UID, owned, kinds: &kinds };
    apply(&server.client(), target, objects).await
}

#[tokio::test]
async fn objects_are_applied_in_their_order() {
    let (server, owned) = (Server::default(), Owned::default());
    let objects = vec![config_map("b", "1"), deployment(Some(1)), config_map("a", "1")];
    let written = run(&server, &owned, objects).await.unwrap();
    assert_eq!(written, Written { applied: 3, deleted: 0 });
    assert_eq!(
        server.asked(),
        [
            "GET configmaps/b",
            "PATCH configmaps/b",
            "GET deployments/race-ingest",
            "PATCH deployments/race-ingest",
            "GET configmaps/a",
            "PATCH configmaps/a",
        ]
    );
}

#[tokio::test]
async fn nothing_is_written_where_nothing_has_changed() {
    let (server, owned) = (Server::default(), Owned::default());
    let objects = || vec![config_map("a", "1"), deployment(Some(1))];
    run(&server, &owned, objects()).await.unwrap();
    server.asked();
    assert_eq!(run(&server, &owned, objects()).await.unwrap(), Written::default());
    assert_eq!(server.asked(), Vec::<String>::new());

    let changed = vec![config_map("a", "2"), deployment(Some(1))];
    run(&server, &owned, changed).await.unwrap();
    assert_eq!(server.asked(), ["PATCH configmaps/a"]);
}

#[tokio::test]
async fn what_somebody_has_changed_is_undone() {
    let (server, owned) = (Server::default(), Owned::default());
    run(&server, &owned, vec![config_map("a", "1")]).await.unwrap();
    server.asked();
    let kind = KindName("ConfigMap".into());
    let mut known = owned.get(&key(), &kind, "a").unwrap();
    // The value is somebody else's now, and so its field is no longer ours.
    known.fields = known.fields.replace("f:text", "f:other").into();
    owned.insert(&key(), &kind, "a", known);
    run(&server, &owned, vec![config_map("a", "1")]).await.unwrap();
    assert_eq!(server.asked(), ["PATCH configmaps/a"]);
}

#[tokio::test]
async fn an_object_of_somebody_else_is_not_taken() {
    let (server, owned) = (Server::default(), Owned::default());
    let path = "/api/v1/namespaces/factory/configmaps/a";
    server.put(path, json!({"metadata": {"name": "a", "namespace": "factory", "uid": "theirs"}}));
    let objects = vec![config_map("a", "1"), config_map("b", "1")];
    let error = run(&server, &owned, objects).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "ConfigMap a exists in the namespace factory and was not made for this pipeline; delete or rename it, or give the pipeline another name"
    );
    assert_eq!(error.reason(), "NameTaken");
    assert_eq!(server.asked(), ["GET configmaps/a"]);
}

#[tokio::test]
async fn what_a_former_pipeline_kept_is_taken_up_and_what_is_being_deleted_is_waited_for() {
    let (server, owned) = (Server::default(), Owned::default());
    let kind = KindName("ConfigMap".into());
    run(&server, &owned, vec![config_map("a", "1")]).await.unwrap();
    server.asked();
    let known = owned.get(&key(), &kind, "a").unwrap();
    owned.insert(&key(), &kind, "a", Known { owner: None, ..known.clone() });
    run(&server, &owned, vec![config_map("a", "1")]).await.unwrap();
    assert_eq!(server.asked(), ["PATCH configmaps/a"]);

    owned.insert(&key(), &kind, "a", Known { owner: Some("former".into()), ..known.clone() });
    let error = run(&server, &owned, vec![config_map("a", "1")]).await.unwrap_err();
    assert_eq!(error.reason(), "Waiting");
    owned.insert(&key(), &kind, "a", Known { deleting: true, ..known });
    let error = run(&server, &owned, vec![config_map("a", "1")]).await.unwrap_err();
    assert_eq!(error.reason(), "Waiting");
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_no_longer_wanted_goes_but_for_volumes() {
    let (server, owned) = (Server::default(), Owned::default());
    let claim: PersistentVolumeClaim =
        serde_json::from_value(json!({"metadata": metadata("race-backup"), "spec": {}})).unwrap();
    let objects = vec![config_map("a", "1"), config_map("b", "1"), Object::of(&claim)];
    run(&server, &owned, objects).await.unwrap();
    let kind = KindName("ConfigMap".into());
    let known = owned.get(&key(), &kind, "b").unwrap();
    owned.insert(&key(), &kind, "of-others", Known { owner: Some("other".into()), ..known });
    server.asked();
    let written = run(&server, &owned, vec![config_map("b", "1")]).await.unwrap();
    assert_eq!(written, Written { applied: 0, deleted: 1 });
    assert_eq!(server.asked(), ["DELETE configmaps/a"]);
}

#[tokio::test]
async fn the_number_of_pods_is_handed_over_to_an_autoscaler() {
    let (server, owned) = (Server::default(), Owned::default());
    run(&server, &owned, vec![deployment(Some(4))]).await.unwrap();
    server.asked();
    run(&server, &owned, vec![deployment(None)]).await.unwrap();
    assert_eq!(
        server.asked(),
        ["PATCH deployments/race-ingest (scaling)", "PATCH deployments/race-ingest"]
    );
    run(&server, &owned, vec![deployment(None)]).await.unwrap();
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn only_the_number_of_pods_is_written_where_only_that_is_to_change() {
    let (server, owned) = (Server::default(), Owned::default());
    let workers = |replicas| {
        let set: StatefulSet = serde_json::from_value(json!({
            "metadata": metadata("race-workers"),
            "spec": {"replicas": replicas, "selector": {}, "template": {}, "serviceName": "race-workers"},
        }))
        .unwrap();
        Object::of(&set)
    };
    run(&server, &owned, vec![workers(4)]).await.unwrap();
    server.asked();
    let (kinds, key) = (Kinds::default(), key());
    let target = Target { pipeline: &key, uid: UID, owned: &owned, kinds: &kinds };
    let client = server.client();
    let written = scale(&client, target, "race-workers", 4).await.unwrap();
    assert_eq!((written, server.asked()), (Written::default(), Vec::new()));
    let written = scale(&client, target, "race-workers", 6).await.unwrap();
    assert_eq!(written, Written { applied: 1, deleted: 0 });
    assert_eq!(server.asked(), ["PATCH statefulsets/race-workers (scaling)"]);
    let spec = &server.object("/apis/apps/v1/namespaces/factory/statefulsets/race-workers")["spec"];
    assert_eq!(*spec, json!({"replicas": 6}));
}
