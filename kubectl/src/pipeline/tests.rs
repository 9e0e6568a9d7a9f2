//! Which pipeline is found, and what is told where none is.

use serde_json::json;

use super::*;
use crate::stand_in;
use crate::stand_in::pipeline;

const ALL: &str = "/apis/millrace.dev/v1alpha1/namespaces/factory/telemetrypipelines";
const RACE: &str = "/apis/millrace.dev/v1alpha1/namespaces/factory/telemetrypipelines/race";

fn list(names: &[&str]) -> Value {
    let item = |name: &&str| {
        json!({"apiVersion": "millrace.dev/v1alpha1", "kind": "TelemetryPipeline",
            "metadata": {"name": name, "namespace": "factory"}, "spec": {}})
    };
    let items: Vec<Value> = names.iter().map(item).collect();
    json!({"apiVersion": "millrace.dev/v1alpha1", "kind": "TelemetryPipelineList",
        "metadata": {}, "items": items})
}

async fn found(
    answers: Vec<(&'static str, u16, Value)>,
    name: Option<&str>,
) -> Result<String, String> {
    let found = find(&stand_in::cluster(answers), name).await;
    found.map(|pipeline| pipeline.name()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_only_pipeline_of_a_namespace_needs_no_name() {
    assert_eq!(found(vec![(ALL, 200, list(&["race"]))], None).await.unwrap(), "race");
    let several = found(vec![(ALL, 200, list(&["race", "cpu", "log"]))], None).await;
    assert_eq!(
        several.unwrap_err(),
        "namespace factory has several TelemetryPipelines: write cpu, log or race behind the command"
    );
    let none = found(vec![(ALL, 200, list(&[]))], None).await.unwrap_err();
    assert!(none.starts_with("namespace factory has no TelemetryPipeline:"), "{none}");
}

#[tokio::test]
async fn a_name_that_is_not_there_is_told_with_those_that_are() {
    let unknown = found(vec![(ALL, 200, list(&["cpu"]))], Some("race")).await;
    assert_eq!(unknown.unwrap_err(), "namespace factory has no TelemetryPipeline race; it has cpu");
    let no_definition = found(vec![], Some("race")).await.unwrap_err();
    assert!(no_definition.starts_with("this cluster knows no TelemetryPipelines: install"));
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_with_the_role_that_holds_it() {
    let refused = stand_in::refusal(403, "no");
    let error = found(vec![(RACE, 403, refused)], Some("race")).await.unwrap_err();
    assert_eq!(
        error,
        "you may not get telemetrypipelines.millrace.dev in namespace factory: have the role view bound to you there, which holds it"
    );
    let refused = stand_in::refusal(401, "Unauthorized");
    let error = found(vec![(RACE, 401, refused)], Some("race")).await.unwrap_err();
    assert!(error.starts_with("the API server does not know you:"), "{error}");
}

#[test]
fn it_is_told_why_nobody_answers() {
    let ready = |status: &str| {
        json!([{"type": "Ready", "status": status, "reason": "Waiting",
            "message": "waiting for Deployment race-query",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}])
    };
    let why = |status: Value| pipeline("race", &json!({}), &status).why_silent();
    assert_eq!(
        why(json!({"conditions": ready("False")})),
        "not Ready: Waiting: waiting for Deployment race-query"
    );
    assert!(why(json!({"conditions": ready("True")})).starts_with("a pod is on its way"));
    assert!(why(json!({})).starts_with("no operator has looked at it yet"));
    let none = json!([{"name": "query", "replicas": 0, "ready": 0}]);
    assert_eq!(
        why(json!({"components": none})),
        "it has no query pods: write spec.scaling.query.replicas: 1, say"
    );
}
