//! The rules of the resource, by the table that a real API server is asked, too
//! (`tests/cluster/crd.sh`).
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

use kube::core::cel::Validator;
use millrace_api::crd_schema;
use serde_json::Value;

const RULES: &str = include_str!("../../tests/cluster/rules.txt");
const RACE: &str = include_str!("../../examples/race.yaml");

/// The example, its `spec` changed by a JSON merge patch.
fn patched(patch: &str) -> Value {
    let mut resource: Value = serde_yaml_ng::from_str(RACE).unwrap();
    merge(&mut resource["spec"], &serde_json::from_str(patch).unwrap());
    resource
}

fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = Value::Object(serde_json::Map::new());
    }
    for (name, field) in fields {
        merge(&mut value[name.as_str()], field);
    }
}

/// The resource with its defaults, or what is wrong with it.
fn loaded(resource: &Value) -> Result<Value, String> {
    match millrace_api::load(&resource.to_string(), "a.yaml") {
        Ok(pipelines) => Ok(serde_json::to_value(&pipelines[0]).unwrap()),
        Err(errors) => Err(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

fn changed(before: &str, after: &str) -> Result<(), String> {
    let before = loaded(&patched(before)).unwrap();
    let after = loaded(&patched(after))?;
    Validator::new().validate(crd_schema(), &after, Some(&before)).map_err(|errors| {
        errors.into_vec().into_iter().map(|error| error.message).collect::<Vec<_>>().join("\n")
    })
}

#[test]
fn every_rule_of_the_table_says_its_words() {
    let mut wrong = Vec::new();
    let lines = RULES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut cases = 0;
    for line in lines {
        cases += 1;
        let (case, words) = line.rsplit_once(" => ").unwrap();
        let result = match case.split_once(' ').unwrap() {
            ("new", patch) => loaded(&patched(patch)).map(drop),
            ("change", patches) => {
                let (before, after) = patches.split_once(" -> ").unwrap();
                changed(before, after)
            }
            (kind, _) => panic!("{kind} is no kind of case"),
        };
        match result {
            Ok(()) if words == "taken" => {}
            Ok(()) => wrong.push(format!("{case} is taken")),
            Err(said) if words != "taken" && said.contains(words) => {}
            Err(said) => wrong.push(format!("{case} is refused: {said}")),
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(cases >= 80, "{cases} cases");
}
