//! What becomes of a pipeline that is changed, by its owner and by others.

use crate::example;
use crate::support::kubernetes::Deployed;
use crate::support::kubernetes::over_kubernetes;

const CONDITION: &str = r#"jsonpath={.status.conditions[?(@.type=="Valid")].status}"#;

#[test]
fn an_edit_that_is_not_valid_is_told_and_what_ran_goes_on_and_is_managed() {
    if !over_kubernetes() {
        return;
    }
    let pipeline = Deployed::start(&example("timestamps"), None);
    let namespace = &pipeline.namespace;
    let edit = r#"[{"op":"replace","path":"/spec/sinks/0/from","value":["nowhere"]}]"#;
    namespace.kubectl(&["patch", "tp", "timestamps", "--type=json", "--patch", edit]).unwrap();
    namespace.until("the edit is told to be wrong", |namespace| {
        namespace.kubectl(&["get", "tp", "timestamps", "--output", CONDITION]).unwrap() == "False"
    });
    assert!(pipeline.told().contains("nowhere"), "{}", pipeline.told());
    // Of the last valid generation, what is taken away is made again.
    namespace.kubectl(&["delete", "deployment", "timestamps-ingest"]).unwrap();
    namespace.until("ingest is there again", |namespace| {
        namespace.kubectl(&["get", "deployment", "timestamps-ingest"]).is_ok()
    });
}

#[test]
fn what_others_change_is_changed_back_and_deleting_leaves_nothing() {
    if !over_kubernetes() {
        return;
    }
    let pipeline = Deployed::start(&example("timestamps"), None);
    let namespace = &pipeline.namespace;
    let edit = r#"{"spec":{"selector":{"app.kubernetes.io/component":"other"}}}"#;
    namespace.kubectl(&["patch", "service", "timestamps-query", "--patch", edit]).unwrap();
    namespace.until("the selector is as it was", |namespace| {
        namespace.get("service", "timestamps-query")["spec"]["selector"]
            ["app.kubernetes.io/component"]
            == "query"
    });
    namespace.kubectl(&["delete", "tp", "timestamps"]).unwrap();
    let kinds = "deployments,statefulsets,jobs,services,configmaps,secrets,networkpolicies,persistentvolumeclaims,poddisruptionbudgets,serviceaccounts";
    namespace.until("nothing is left", |namespace| {
        let left = namespace.kubectl(&[
            "get",
            kinds,
            "--selector",
            "millrace.dev/pipeline",
            "--output",
            "name",
        ]);
        left.unwrap().trim().is_empty()
    });
}
