//! The chart gives the operator the rights that it uses, and no others, and its dashboards show
//! metrics that there are.

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

fn read(path: &str) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    std::fs::read_to_string(format!("{root}/{path}")).unwrap()
}

fn chart() -> Value {
    serde_yaml_ng::from_str(&read("charts/millrace/files/rules.yaml")).unwrap()
}

#[test]
fn in_the_namespaces_of_pipelines_the_chart_allows_what_the_operator_does() {
    assert_eq!(given(&chart()["pipelines"]), used(RULES));
}

#[test]
fn in_its_own_namespace_the_chart_allows_what_leader_election_does() {
    assert_eq!(given(&chart()["leases"]), used(LEASE_RULES));
}

/// Series of the metrics that these pages list, as queries name them.
fn series(pages: &[&str]) -> BTreeSet<String> {
    let mut series = BTreeSet::new();
    for page in pages {
        let page = read(page);
        for row in page.lines().filter_map(|line| line.strip_prefix("| `")) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let name = cells[0].trim_end_matches('`');
            let ends: &[&str] = match cells.get(1) {
                Some(&"counter") => &["_total"],
                Some(&"gauge") => &[""],
                Some(&"histogram") => &["_bucket", "_sum", "_count"],
                _ => continue,
            };
            series.extend(ends.iter().map(|end| format!("millrace_{name}{end}")));
        }
    }
    series
}

const OPERATOR: &str = "docs/operations/kubernetes.md";

#[test]
fn every_metric_of_the_operator_is_listed_and_no_other() {
    let source = read("operator/src/metrics.rs");
    let calls = source.split("register(").skip(1);
    let literals = calls.filter_map(|call| call.trim_start().strip_prefix('"'));
    let names: BTreeSet<String> =
        literals.map(|name| format!("operator_{}", name.split('"').next().unwrap())).collect();
    let page = read(OPERATOR);
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `operator_"));
    let listed: BTreeSet<String> =
        rows.map(|row| format!("operator_{}", row.split('`').next().unwrap())).collect();
    assert_eq!(listed, names);
}

#[test]
fn dashboards_show_metrics_that_there_are() {
    let known = series(&["docs/reference/metrics.md", OPERATOR]);
    for dashboard in ["pipelines", "operator"] {
        let text = read(&format!("charts/millrace/files/dashboards/{dashboard}.json"));
        let value: Value = serde_json::from_str(&text).unwrap();
        let panels = value["panels"].as_array().unwrap().iter();
        let panels: Vec<&Value> = panels.filter(|panel| panel["type"] != "row").collect();
        assert!(panels.len() > 5, "{dashboard}");
        for panel in panels {
            for target in panel["targets"].as_array().unwrap() {
                let query = target["expr"].as_str().unwrap();
                let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let mut named = words
                    .filter(|word| {
                        word.starts_with("millrace_") && *word != "millrace_dev_pipeline"
                    })
                    .peekable();
                assert!(named.peek().is_some(), "{dashboard}: {query}");
                for name in named {
                    assert!(known.contains(name), "{dashboard}: {name} of {query}");
                }
            }
        }
    }
}
