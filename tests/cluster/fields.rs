//! Every field that may change is changed under load: it becomes so, and only what reads it rolls.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use crate::fleet::Fleet;
use crate::fleet::NAME;
use crate::fleet::PARTS;
use crate::say;
use crate::support::kubernetes::over_kubernetes;

/// What reads the pipeline's document.
const READERS: [&str; 3] = ["ingest", "workers", "query"];

/// A change of the resource.
struct Change {
    field: &'static str,
    /// A merge patch of the spec, or a list: then a JSON patch.
    patch: Value,
    /// Parts whose pods are made anew.
    rolls: &'static [&'static str],
    /// A part that gets other pods, or fewer.
    scales: &'static str,
}

fn of(field: &'static str, patch: Value, rolls: &'static [&'static str]) -> Change {
    Change { field, patch, rolls, scales: "" }
}

fn scales(field: &'static str, part: &'static str, replicas: i32) -> Change {
    let patch = json!({"scaling": {part: {"replicas": replicas}}});
    Change { field, patch, rolls: &[], scales: part }
}

fn changes() -> Vec<Change> {
    let cpu = |part: &str| json!({"resources": {part: {"requests": {"cpu": "41m"}}}});
    let add = |list: &str, value: Value| json!([{"op": "add", "path": format!("/spec/{list}/-"), "value": value}]);
    let edge = |field: &str, value: Value| json!({"exposure": {"edge": {field: value}}});
    vec![
        scales("scaling.ingest", "ingest", 1),
        scales("scaling.workers", "workers", 3),
        scales("scaling.query", "query", 2),
        scales("scaling.edge", "edge", 2),
        of("resources.ingest", cpu("ingest"), &["ingest"]),
        of("resources.workers", cpu("workers"), &["workers"]),
        of("resources.query", cpu("query"), &["query"]),
        of("resources.edge", cpu("edge"), &["edge"]),
        of("resources.broker", cpu("broker"), &["kafka"]),
        of("resources.database", cpu("database"), &["postgres"]),
        of(
            "streams.retention",
            json!([{"op": "add", "path": "/spec/streams/0/retention", "value": {"time": "2d"}}]),
            &READERS,
        ),
        of("streams", add("streams", json!({"name": "more", "key": [".id"]})), &READERS),
        of(
            "ingest",
            add("ingest", json!({"name": "more", "http": {"path": "/more"}, "to": "more"})),
            &READERS,
        ),
        of(
            "processors",
            add("processors", json!({"name": "less", "from": ["more"], "map": ". = {}"})),
            &READERS,
        ),
        of(
            "sinks",
            add(
                "sinks",
                json!({"name": "more", "from": ["more"], "table": {"primaryKey": ["id"], "columns": [{"name": "id", "type": "text"}]}}),
            ),
            &READERS,
        ),
        of(
            "query",
            json!({"query": {"routes": [{"path": "/fine", "constant": {}, "respond": {"body": "{}"}}]}}),
            &READERS,
        ),
        of(
            "exposure.auth",
            json!({"exposure": {"auth": [{"path": "/more", "open": {}}]}}),
            &READERS,
        ),
        of("exposure.origins", json!({"exposure": {"origins": ["https://example.com"]}}), &READERS),
        of("exposure.limits", json!({"exposure": {"limits": {"connections": 777}}}), &READERS),
        // Clients go on asking for the second one.
        of(
            "exposure.hosts",
            json!({"exposure": {"hosts": ["faults.example.com", "localhost"]}}),
            &[],
        ),
        of("exposure.edge.requests", edge("requests", json!({"perSecond": 100_000})), &[]),
        of("exposure.edge.connections", edge("connections", json!(1000)), &[]),
        of("exposure.edge.balance", edge("balance", json!({"query": "sensor"})), &[]),
        of(
            "exposure.edge.service",
            edge("service", json!({"annotations": {"example.com/a": "b"}})),
            &[],
        ),
        of(
            "broker.managed.flush",
            json!({"broker": {"managed": {"flush": "background"}}}),
            &["kafka"],
        ),
        of(
            "database.managed.backup",
            json!({"database": {"managed": {"backup": {"schedule": "0 3 * * *"}}}}),
            &[],
        ),
        of(
            "placement",
            json!({"placement": {
                "nodeSelector": {"kubernetes.io/os": "linux"},
                "tolerations": [{"key": "example.com/a", "operator": "Exists"}],
                "spread": "topology.kubernetes.io/zone",
                "priorityClassName": "system-cluster-critical",
                "labels": {"example.com/a": "b"},
                "annotations": {"example.com/a": "b"},
            }}),
            &PARTS,
        ),
        of(
            "placement.serviceAccountAnnotations",
            json!({"placement": {"serviceAccountAnnotations": {"example.com/a": "b"}}}),
            &[],
        ),
        of(
            "images.nginx",
            json!({"images": {"nginx": "docker.io/nginxinc/nginx-unprivileged:1.31.3"}}),
            &["edge"],
        ),
        of("deletionPolicy", json!({"deletionPolicy": "keep"}), &[]),
        of("paused", json!({"paused": true}), &[]),
        of("paused no more", json!({"paused": false}), &[]),
    ]
}

/// What the API server refuses, and what the operator does.
fn wrong() -> [(&'static str, Value, bool); 6] {
    let replace = |path: &str, value: Value| json!([{"op": "replace", "path": format!("/spec/{path}"), "value": value}]);
    [
        ("streams.key", replace("streams/0/key", json!([".group"])), true),
        ("broker.managed.nodes", json!({"broker": {"managed": {"nodes": 3}}}), true),
        ("database.managed.version", json!({"database": {"managed": {"version": 16}}}), true),
        ("scaling", json!({"scaling": {"ingest": {"replicas": 1, "max": 2}}}), true),
        ("sinks.from", replace("sinks/0/from", json!(["nowhere"])), false),
        ("processors.map", replace("processors/0/map", json!(". = nothing(")), false),
    ]
}

#[test]
fn a_change_rolls_what_reads_it_and_nothing_else() {
    if !over_kubernetes() {
        return;
    }
    let begun = Instant::now();
    let mut fleet = Fleet::start(&json!({}));
    say(begun, "ready");
    let load = fleet.load();
    let mut mistakes = Vec::new();
    for change in changes() {
        let (before, failed) = (Pods::of(&fleet), load.failed());
        fleet.change(&change.patch).unwrap();
        if change.field == "paused" {
            fleet.wait_seen();
        } else {
            fleet.wait_ready();
        }
        let found = before.compare(&Pods::of(&fleet), &change);
        fleet.until_it_goes_on(&load, change.field);
        let failed = load.failed() - failed;
        say(
            begun,
            &format!("{}: rolls {:?}; {failed} requests failed", change.field, change.rolls),
        );
        for mistake in &found {
            say(begun, mistake);
        }
        mistakes.extend(found);
        // Nothing can be confirmed while the only node of Kafka is away.
        if failed > 0 && !change.rolls.contains(&"kafka") {
            mistakes.push(format!("{}: {failed} requests failed", change.field));
        }
    }
    for (field, patch, refused) in wrong() {
        let before = Pods::of(&fleet);
        let answer = fleet.change(&patch);
        assert_eq!(answer.is_err(), refused, "{field}: {answer:?}");
        if !refused {
            let valid = || fleet.condition("Valid");
            fleet.namespace.until(field, |_| valid() == "False");
            fleet.until_it_goes_on(&load, field);
        }
        let unchanged = of(field, Value::Null, &[]);
        mistakes.extend(before.compare(&Pods::of(&fleet), &unchanged));
        say(begun, &format!("{field} is wrong, and told so"));
    }
    // As before the wrong ones, with what only they change.
    let right = json!([
        {"op": "replace", "path": "/spec/sinks/0/from", "value": ["readings"]},
        {"op": "replace", "path": "/spec/processors/0/map",
         "value": r#". = {"id": .id, "sensor": .sensor, "n": .n}"#},
    ]);
    fleet.change(&right).unwrap();
    fleet.wait_ready();
    fleet.until_all_goes_on(&load, "at the end");
    let sent = fleet.judge(begun, load);
    assert_eq!(mistakes, Vec::<String>::new(), "{:?}", sent.failures);
}

impl Fleet {
    fn change(&self, patch: &Value) -> Result<String, String> {
        if !patch.is_array() {
            return self.patch(&json!({"spec": patch}));
        }
        let patch = patch.to_string();
        self.namespace.kubectl(&["patch", "tp", NAME, "--type", "json", "--patch", &patch])
    }

    fn condition(&self, kind: &str) -> String {
        let path = format!(r#"jsonpath={{.status.conditions[?(@.type=="{kind}")].status}}"#);
        self.namespace.kubectl(&["get", "tp", NAME, "--output", &path]).unwrap()
    }
}

/// What pods there are, and of which templates.
struct Pods {
    templates: BTreeMap<&'static str, String>,
    uids: BTreeMap<&'static str, BTreeMap<String, String>>,
}

impl Pods {
    fn of(fleet: &Fleet) -> Self {
        let uids = PARTS.iter().map(|part| (*part, fleet.pods(part))).collect();
        Self { templates: fleet.templates(), uids }
    }

    /// How what has become of them is not what was to become of them.
    fn compare(&self, after: &Self, change: &Change) -> Vec<String> {
        let mut mistakes = Vec::new();
        for part in PARTS {
            let (old, new) = (&self.uids[part], &after.uids[part]);
            let other = self.templates[part] != after.templates[part];
            let kept = old.iter().filter(|(name, uid)| new.get(*name) == Some(uid)).count();
            let good = if change.rolls.contains(&part) {
                other && kept == 0
            } else if change.scales == part {
                !other && kept == old.len().min(new.len()) && old.len() != new.len()
            } else {
                !other && kept == old.len() && old.len() == new.len()
            };
            if !good {
                let field = change.field;
                mistakes.push(format!("{field}, {part}: other template {other}; {old:?}, {new:?}"));
            }
        }
        mistakes
    }
}
