//! What `millrace` is given to read.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::stand_in;
use crate::stand_in::pipeline;

/// The race as an API server has it.
fn race() -> Pipeline {
    let text = include_str!("../../../examples/race.yaml");
    let mut value: Value = serde_yaml_ng::from_str(text).unwrap();
    value["metadata"] = json!({
        "name": "race", "namespace": "factory", "uid": "1", "generation": 3,
        "managedFields": [{"manager": "kubectl"}], "labels": {"a": "b"},
    });
    value["status"] = json!({"observedGeneration": 3});
    Pipeline(serde_json::from_value(value).unwrap())
}

#[tokio::test]
async fn what_the_api_server_has_is_a_file_that_millrace_reads() {
    let document = Document::write(&stand_in::cluster(vec![]), &race(), false).await.unwrap();
    let text = std::fs::read_to_string(&document.file).unwrap();
    let loaded = millrace_api::load(&text, "race.json").unwrap();
    assert_eq!(loaded[0].metadata.name.as_deref(), Some("race"));
    assert!(document.file.ends_with("race.json"));
    assert_eq!(std::fs::metadata(&document.file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(document.options(&[]), Vec::<OsString>::new());
    let folder = document.folder.path().to_owned();
    drop(document);
    assert!(!folder.exists());
}

#[tokio::test]
async fn config_maps_that_schemas_are_in_lie_beside_it() {
    let cluster = stand_in::cluster(vec![(
        "/api/v1/namespaces/factory/configmaps/schemas",
        200,
        json!({"metadata": {"name": "schemas"}, "data": {"cars.json": "{}"}}),
    )]);
    let spec = json!({"streams": [{"name": "a"},
        {"name": "b", "schema": {"configMap": {"name": "schemas", "key": "cars.json"}}}]});
    let pipeline = pipeline("race", &spec, &json!({}));
    let document = Document::write(&cluster, &pipeline, false).await.unwrap();
    let options = document.options(&["--output".into(), "json".into()]);
    assert_eq!(options[0], "--config-maps");
    let file = Path::new(&options[1]).join("schemas/cars.json");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "{}");
    assert_eq!(document.options(&["--config-maps=here".into()]), Vec::<OsString>::new());
}

#[tokio::test]
async fn what_was_valid_last_is_that_of_this_pipeline() {
    let map = |uid: &str, text: &str| {
        json!({
            "metadata": {"name": "m", "ownerReferences": [
                {"apiVersion": "a", "kind": "b", "name": "race", "uid": uid}]},
            "data": {"spec.json": text},
        })
    };
    let items = json!([map("0", r#"{"streams": []}"#), map("1", r#"{"sinks": []}"#)]);
    let list = json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {}, "items": items});
    let path = "/api/v1/namespaces/factory/configmaps";
    let cluster = stand_in::cluster(vec![(path, 200, list)]);
    let document = Document::write(&cluster, &race(), true).await.unwrap();
    let written: Value = serde_json::from_slice(&std::fs::read(&document.file).unwrap()).unwrap();
    assert_eq!(written["spec"], json!({"sinks": []}));
    assert!(kept(&[], Some("1")).is_none());
}

#[test]
fn it_is_told_what_runs_while_the_resource_is_not_valid() {
    let told = |status: &str, components: Value| {
        let status = json!({"conditions": [{
            "type": "Valid", "status": status, "reason": "Invalid", "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 4,
        }], "components": components});
        remark(&pipeline("race", &json!({}), &status))
    };
    let part = json!([{"name": "query", "replicas": 1, "ready": 1}]);
    assert_eq!(told("True", part.clone()), None);
    assert_eq!(
        told("False", part).unwrap(),
        "note: generation 4 of race is not valid (Invalid): what was valid last goes on running, and --last-valid shows it"
    );
    assert_eq!(
        told("False", json!([])).unwrap(),
        "note: generation 4 of race is not valid (Invalid): nothing of it runs until it is"
    );
}
