//! Rules of loading, each seen from outside. What is wrong within a resource is tested together
//! with the planner.

use super::*;

const SMALL: &str = "\
apiVersion: millrace.dev/v1alpha1
kind: TelemetryPipeline
metadata: {name: small}
spec:
  streams:
    - {name: cars, key: [.race]}
";

fn errors(text: &str) -> Vec<String> {
    match load(text, "a.yaml") {
        Ok(pipelines) => panic!("{pipelines:?} loaded"),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_small_resource_has_the_defaults() {
    let pipelines = load(SMALL, "a.yaml").unwrap();
    let stream = &pipelines[0].spec.streams[0];
    assert_eq!(stream.partitions, 1);
    assert_eq!(stream.disorder.as_str(), "0s");
    assert_eq!(stream.max_ahead.as_str(), "5m");
    assert_eq!(stream.retention.time.as_str(), "7d");
    assert_eq!(stream.deduplicate.within.as_str(), "2m");
    assert_eq!(stream.deduplicate.max_ids, 1_000_000);
    assert!(!stream.heartbeat);
}

#[test]
fn defaults_of_the_types_are_those_of_the_schema() {
    // What an API server fills in must be what is read where nothing is filled in.
    let mut bare = serde_json::to_value(&load(SMALL, "a.yaml").unwrap()[0]).unwrap();
    let schema = &crd_schema()["properties"]["spec"]["properties"]["streams"]["items"];
    let stream = bare["spec"]["streams"][0].as_object_mut().unwrap();
    for (name, field) in schema["properties"].as_object().unwrap() {
        if !field["default"].is_null() {
            assert_eq!(stream.get(name), Some(&field["default"]), "{name}");
        }
    }
}

#[test]
fn a_file_may_have_several_documents_and_empty_ones() {
    let second = SMALL.replace("name: small", "name: other");
    let text = format!("# First.\n---\n{SMALL}---\n---\n{second}");
    let names = load(&text, "a.yaml").unwrap().into_iter().map(|pipeline| pipeline.metadata.name);
    assert_eq!(names.collect::<Vec<_>>(), [Some("small".into()), Some("other".into())]);
    let third = SMALL.replace("key:", "keys:");
    assert_eq!(
        errors(&format!("{SMALL}---\n{third}---\n{SMALL}")),
        [
            "a.yaml (document 2): spec.streams[0].keys: is not a known field; did you mean `key`?",
            "a.yaml (document 2): spec.streams[0].key: is missing; write it: fields that make the ordering key, in this order; 1 to 8",
            "a.yaml (document 3): metadata.name: another pipeline in the file has this name; give each a name of its own",
        ]
    );
}

#[test]
fn broken_yaml_is_refused_with_line_and_column() {
    assert_eq!(
        errors("apiVersion: a\nkind: [b\nmetadata: c\n"),
        ["a.yaml:3:9: did not find expected ',' or ']'"]
    );
    assert_eq!(errors("a: 1\na: 2\n"), ["a.yaml:1:1: duplicate entry with key \"a\""]);
    assert_eq!(errors("a: !secret b\n"), ["a.yaml: the tag `!secret` is not used here"]);
    assert_eq!(errors("a: .nan\n"), ["a.yaml: `.nan` is not a number that JSON can express"]);
    assert_eq!(
        errors("# nothing\n"),
        [
            "a.yaml: the file has no resource; write one of apiVersion millrace.dev/v1alpha1, kind TelemetryPipeline"
        ]
    );
    assert_eq!(
        errors(&"#".repeat(MAX_FILE_BYTES + 1)),
        ["a.yaml: the file has 1048577 bytes; at most 1048576 are allowed"]
    );
}

#[test]
fn aliases_cannot_multiply_without_end() {
    let mut text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
    for level in 1..10 {
        let before = level - 1;
        text += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(", "));
    }
    assert_eq!(errors(&text).len(), 1);
}

#[test]
fn what_is_no_pipeline_is_told_apart_from_a_wrong_one() {
    assert_eq!(
        errors("- 1\n"),
        [
            "a.yaml: the document is not a resource; write apiVersion: millrace.dev/v1alpha1, kind: TelemetryPipeline, metadata and spec"
        ]
    );
    assert_eq!(
        errors("apiVersion: v1\nkind: Pod\n"),
        ["a.yaml: apiVersion: is `v1`; write `millrace.dev/v1alpha1`"]
    );
    assert_eq!(
        errors("apiVersion: millrace.dev/v1alpha1\n"),
        ["a.yaml: kind: is missing; write `TelemetryPipeline`"]
    );
}

#[test]
fn rules_about_changes_refuse_another_key_within_a_generation() {
    let change = |from: &str, to: &str| {
        let value = |text: &str| serde_json::to_value(&load(text, "a.yaml").unwrap()[0]).unwrap();
        let (old, new) = (value(SMALL), value(&SMALL.replace(from, to)));
        match kube::core::cel::Validator::new().validate(crd_schema(), &new, Some(&old)) {
            Ok(()) => Vec::new(),
            Err(errors) => errors.into_vec().into_iter().map(|error| error.message).collect(),
        }
    };
    assert_eq!(
        change("[.race]", "[.car]"),
        ["key cannot change within a generation; raise generation to start the stream over"]
    );
    assert_eq!(
        change("[.race]", "[.race], partitions: 2"),
        ["partitions cannot change within a generation; raise generation to start the stream over"]
    );
    assert_eq!(change("[.race]", "[.car], generation: 1"), Vec::<String>::new());
}

mod arbitrary {
    use proptest::prelude::*;

    use super::*;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        let names = prop::sample::select(vec![
            "spec",
            "streams",
            "name",
            "key",
            "schema",
            "inline",
            "processors",
            "from",
            "map",
            "motion",
            "rank",
            "laps",
            "gate",
            "sinks",
            "table",
            "columns",
            "mqtt",
            "x",
        ]);
        leaf.prop_recursive(5, 48, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(names.clone(), inner, 0..6).prop_map(|fields| {
                    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
                }),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_text_makes_the_loader_panic(text in "(?s).{0,200}") {
            let _ = load(&text, "a.yaml");
        }

        #[test]
        fn no_resource_makes_the_loader_panic(spec in json()) {
            let mut document = serde_json::json!({
                "apiVersion": "millrace.dev/v1alpha1",
                "kind": "TelemetryPipeline",
                "metadata": {"name": "a"},
            });
            document["spec"] = spec;
            let _ = load(&document.to_string(), "a.yaml");
        }
    }
}
