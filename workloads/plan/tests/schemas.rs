//! Schemas of streams that are in ConfigMaps.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

use millrace_plan::ConfigMapError;
use millrace_plan::Plan;
use millrace_plan::model::StreamOrigin;
use millrace_plan::plan_with;

const RESOURCE: &str = "
apiVersion: millrace.dev/v1alpha1
kind: TelemetryPipeline
metadata: {name: cpu}
spec:
  streams:
    - {name: cpu, key: [.device], schema: {configMap: {name: cpu-schema, key: schema.json}}}
";

/// The plan, or what is wrong, where the key of the ConfigMap has this text.
fn planned(text: &str) -> Result<Plan, Vec<String>> {
    let pipelines = millrace_api::load(RESOURCE, "a.yaml").unwrap();
    let config_maps = |name: &str, key: &str| match (name, key) {
        ("cpu-schema", "schema.json") => Ok(text.to_owned()),
        _ => Err(ConfigMapError { message: format!("{name}/{key} is asked for"), hint: None }),
    };
    plan_with(&pipelines[0], &config_maps)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn a_schema_is_read_from_a_config_map() {
    let plan = planned(r#"{"type": "object", "required": ["device"]}"#).unwrap();
    let StreamOrigin::Ingested(stream) = &plan.streams[0].origin else { panic!("it is declared") };
    assert!(stream.schema.is_some());
}

#[test]
fn a_config_map_without_a_schema_is_refused_in_words() {
    let at = "spec.streams[0].schema.configMap: the key schema.json of ConfigMap cpu-schema";
    assert_eq!(
        planned("[]").unwrap_err(),
        [format!("{at} is no object; write a JSON Schema there")]
    );
    assert_eq!(
        planned("type: object").unwrap_err(),
        [format!("{at} is no JSON: expected ident at line 1 column 2; write a JSON Schema there")]
    );
    assert_eq!(
        planned(r#"{"properties": {"a": {"type": "strin"}}}"#).unwrap_err(),
        [format!(
            "{at}, at `/properties/a/type`: \"strin\" is not valid under any of the schemas listed in the 'anyOf' keyword"
        )]
    );
}
