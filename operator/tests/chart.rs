//! The chart gives the operator the rights that it uses, and no others.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::collections::BTreeSet;

use millrace_operator::rbac::LEASE_RULES;
use millrace_operator::rbac::RULES;
use millrace_operator::rbac::Rule;
use serde_json::Value;

/// Group, resource and verb of each right.
type Rights = BTreeSet<(String, String, String)>;

fn used(rules: &[Rule]) -> Rights {
    let rights = rules.iter().flat_map(|rule| {
        let right =
            |verb: &&str| (rule.group.to_owned(), rule.resource.to_owned(), (*verb).to_owned());
        rule.verbs.iter().map(right)
    });
    rights.collect()
}

fn given(rules: &Value) -> Rights {
    let texts = |rule: &Value, field: &str| -> Vec<String> {
        let items = rule[field].as_array().unwrap();
        items.iter().map(|item| item.as_str().unwrap().to_owned()).collect()
    };
    let mut rights = Rights::new();
    for rule in rules.as_array().unwrap() {
        for group in texts(rule, "apiGroups") {
            for resource in texts(rule, "resources") {
                for verb in texts(rule, "verbs") {
                    rights.insert((group.clone(), resource.clone(), verb));
                }
            }
        }
    }
    rights
}

fn chart() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/millrace/files/rules.yaml");
    serde_yaml_ng::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

#[test]
fn in_the_namespaces_of_pipelines_the_chart_allows_what_the_operator_does() {
    assert_eq!(given(&chart()["pipelines"]), used(RULES));
}

#[test]
fn in_its_own_namespace_the_chart_allows_what_leader_election_does() {
    assert_eq!(given(&chart()["leases"]), used(LEASE_RULES));
}
