//! Whole passes, against an API server that is made of a map.

use std::sync::Arc;

use futures::channel::mpsc;
use serde_json::Value;

use super::*;
use crate::api_server::Server;
use crate::events::Events;
use crate::fixture;
use crate::health::Health;
use crate::owned::Known;
use crate::owned::Workload;
use crate::pipeline::Images;

const STATUS: &str =
    "/apis/millrace.dev/v1alpha1/namespaces/factory/telemetrypipelines/race/status";

fn key() -> PipelineKey {
    PipelineKey::new("factory", "race")
}

fn context(server: &Server, images: Images) -> Context {
    let client = server.client();
    let events = Events::new(client.clone(), "test".to_owned());
    let health = Arc::new(Health::default());
    // Nobody listens to triggers: passes are made by hand.
    Context::new(client, images, events, health, mpsc::unbounded().0)
}

/// The race, in this generation, after a change.
fn race(generation: i64, change: impl FnOnce(&mut TelemetryPipeline)) -> TelemetryPipeline {
    let text = include_str!("../../../examples/race.yaml");
    let mut race: TelemetryPipeline = serde_yaml_ng::from_str(text).unwrap();
    race.metadata.namespace = Some("factory".to_owned());
    race.metadata.uid = Some("6f1f7a3e-0000-4000-8000-000000000001".to_owned());
    race.metadata.generation = Some(generation);
    change(&mut race);
    race
}

async fn run(context: &Context, resource: &TelemetryPipeline) -> Passed {
    Box::pin(pass(context, &key(), &DeserializeGuard(Ok(resource.clone())))).await.unwrap()
}

/// Status and reason of a condition as it was written last.
fn condition(server: &Server, kind: &str) -> String {
    let status = server.object(STATUS);
    let conditions = status["status"]["conditions"].as_array().unwrap().iter();
    let found = conditions.into_iter().find(|condition| condition["type"] == kind).unwrap();
    let text = |field: &str| found[field].as_str().unwrap().to_owned();
    format!("{} {}", text("status"), text("reason"))
}

/// What the controllers of Kubernetes do: all pods are there.
fn become_ready(context: &Context) {
    for ((kind, name), known) in context.owned.objects(&key()) {
        if let Some(workload) = &known.workload {
            let workload = Workload { ready: workload.wanted, current: true, ..workload.clone() };
            let known = Known { workload: Some(workload), ..known };
            context.owned.insert(&key(), &kind, &name, known);
        }
    }
}

#[tokio::test]
async fn a_pipeline_is_made_and_then_written_nothing() {
    let server = Server::default();
    let context = context(&server, fixture::pipeline().images);
    let race = race(1, |_| {});
    assert_eq!(run(&context, &race).await.reason, "Valid");
    let written = server.written();
    assert_eq!(written.first().map(String::as_str), Some("PATCH configmaps/race-last-valid"));
    for object in [
        "PATCH statefulsets/race-kafka",
        "PATCH statefulsets/race-workers",
        "PATCH deployments/race-ingest",
        "PATCH networkpolicies/race-default-deny",
    ] {
        assert!(written.iter().any(|written| written == object), "{object} of {written:?}");
    }
    assert_eq!(written.last().map(String::as_str), Some("PATCH race/status"));
    assert_eq!(condition(&server, "Ready"), "False Waiting");

    become_ready(&context);
    run(&context, &race).await;
    let written = server.written();
    assert!(written.contains(&"PATCH race/status".to_owned()), "{written:?}");
    assert_eq!(condition(&server, "Ready"), "True Ready");
    for _ in 0..3 {
        run(&context, &race).await;
        assert_eq!(server.written(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_was_valid_last_stays_while_the_resource_is_not() {
    let server = Server::default();
    let context = context(&server, fixture::pipeline().images);
    run(&context, &race(1, |_| {})).await;
    become_ready(&context);
    run(&context, &race(1, |_| {})).await;
    server.asked();
    let invalid = race(2, |race| race.spec.sinks[0].from = vec!["nothing".into()]);
    assert_eq!(run(&context, &invalid).await.reason, "Invalid");
    let written = server.written();
    assert!(written.iter().all(|written| !written.contains("race-")), "{written:?}");
    assert_eq!(condition(&server, "Valid"), "False Invalid");
    assert_eq!(condition(&server, "Ready"), "True LastValidRuns");
}

/// A pipeline that is ready, its status, and a context of another operator that knows its objects and
/// has let five other pipelines in.
async fn another_operator() -> (Server, Context, TelemetryPipelineStatus) {
    let server = Server::default();
    let former = context(&server, fixture::pipeline().images);
    run(&former, &race(1, |_| {})).await;
    become_ready(&former);
    run(&former, &race(1, |_| {})).await;
    server.asked();
    let told = serde_json::from_value(server.object(STATUS)["status"].clone()).unwrap();
    let mut images = fixture::pipeline().images;
    images.millrace.push('1');
    let context = context(&server, images);
    for ((kind, name), known) in former.owned.objects(&key()) {
        context.owned.insert(&key(), &kind, &name, known);
    }
    for other in ["a", "b", "c", "d", "e"] {
        assert!(context.may_roll(&PipelineKey::new("factory", other)), "{other}");
    }
    (server, context, told)
}

#[tokio::test]
async fn another_operator_changes_a_pipeline_in_its_turn() {
    let (server, context, told) = another_operator().await;
    let race = race(1, |race| race.status = Some(told));
    run(&context, &race).await;
    assert_eq!(server.written(), ["PATCH race/status"]);
    assert_eq!(condition(&server, "Progressing"), "True WaitsForTurn");
    assert_eq!(condition(&server, "Ready"), "True Ready");
    run(&context, &race).await;
    assert_eq!(server.written(), Vec::<String>::new());

    context.end_turn(&PipelineKey::new("factory", "c"));
    run(&context, &race).await;
    let written = server.written();
    assert_eq!(written.first().map(String::as_str), Some("PATCH configmaps/race-last-valid"));
    assert!(written.contains(&"PATCH deployments/race-ingest".to_owned()), "{written:?}");
    // It has its place until it is ready.
    let next = PipelineKey::new("factory", "f");
    assert!(!context.may_roll(&next));
    become_ready(&context);
    run(&context, &race).await;
    assert!(context.may_roll(&next));
}

#[tokio::test]
async fn another_operator_carries_out_an_edit_at_once_and_lets_an_invalid_one_wait() {
    let (server, context, told) = another_operator().await;
    let invalid = race(2, |race| {
        race.status = Some(told.clone());
        race.spec.sinks[0].from = vec!["nothing".into()];
    });
    run(&context, &invalid).await;
    assert_eq!(condition(&server, "Progressing"), "True WaitsForTurn");
    server.asked();
    let edited = race(3, |race| {
        race.status = Some(told);
        race.spec.scaling.query = serde_yaml_ng::from_str("{replicas: 2}").unwrap();
    });
    run(&context, &edited).await;
    let written = server.written();
    assert!(written.contains(&"PATCH deployments/race-query".to_owned()), "{written:?}");
}

#[tokio::test]
async fn the_certificate_that_cert_manager_makes_is_waited_for_and_its_end_is_told() {
    let server = Server::default();
    let context = context(&server, fixture::pipeline().images);
    let secrets = "/api/v1/namespaces/factory/secrets";
    run(&context, &race(1, |_| {})).await;
    let end = server.object(STATUS)["status"]["certificateExpiry"].clone();
    let own = server.object(&format!("{secrets}/race-edge-certificate"));
    let issued = race(2, |race| {
        let exposure = "{hosts: [race.example.com], tls: {certManager: {issuer: letsencrypt}}}";
        race.spec.exposure = serde_yaml_ng::from_str(exposure).unwrap();
    });
    run(&context, &issued).await;
    assert_eq!(condition(&server, "Ready"), "False CertificatePending");
    assert_eq!(server.object(STATUS)["status"]["certificateExpiry"], Value::Null);
    server.put(&format!("{secrets}/race-issued-certificate"), own);
    run(&context, &issued).await;
    assert_eq!(condition(&server, "Ready"), "False Waiting");
    assert!(end.is_string());
    assert_eq!(server.object(STATUS)["status"]["certificateExpiry"], end);
}
