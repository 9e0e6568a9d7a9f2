//! Many pipelines of which nothing changes: a new operator looks at all of them and writes nothing.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use crate::operator::Operator;
use crate::say;
use crate::setting;
use crate::support::kubernetes::Namespace;
use crate::support::kubernetes::over_kubernetes;
use crate::support::process::pause;

/// How long it may take until all are there, on a busy machine.
const CREATION: Duration = Duration::from_mins(20);

/// `MILLRACE_MANY` sets how many. None of them has pods: they are computed elsewhere.
#[test]
fn a_new_operator_writes_nothing_of_what_is_as_it_should_be() {
    if !over_kubernetes() {
        return;
    }
    let count = usize::try_from(setting("MILLRACE_MANY", 20)).unwrap();
    let namespace = Namespace::new();
    let folder = tempfile::tempdir().unwrap();
    // Jobs that make topics would find no Kafka.
    namespace.kubectl(&["create", "quota", "none", "--hard=pods=0"]).unwrap();
    let items: Vec<_> = (0..count).map(pipeline).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let file = folder.path().join("pipelines.json");
    std::fs::write(&file, list.to_string()).unwrap();
    let operator = Operator::find();
    let begun = Instant::now();
    namespace.kubectl(&["create", "--filename", &file.display().to_string()]).unwrap();
    say(begun, &format!("{count} pipelines are applied"));
    let begun_jobs = || {
        let jobs = jobs(&namespace);
        jobs.iter().filter(|job| job["status"]["startTime"].is_string()).count()
    };
    while conditions(&namespace, "Ready").len() < count || begun_jobs() < count {
        assert!(begun.elapsed() < CREATION, "{:?}", conditions(&namespace, "Ready"));
        pause(Duration::from_secs(1));
    }
    say(begun, "their objects are made");
    end_jobs(&namespace);
    while conditions(&namespace, "Ready").values().filter(|status| *status == "True").count()
        < count
    {
        assert!(begun.elapsed() < CREATION, "{:?}", conditions(&namespace, "Ready"));
        pause(Duration::from_secs(1));
    }
    say(begun, &format!("all are ready; operator: {}", operator.memory()));

    let before = versions(&namespace);
    let former = operator.leader();
    operator.delete();
    let (seconds, passes, writes) = operator.wait_for_passes(&former, count);
    say(begun, &format!("a new one made {passes} passes in {seconds:.1} s: {writes} writes"));
    say(begun, &format!("operator: {}", operator.memory()));
    assert_eq!(writes, 0);
    assert_eq!(versions(&namespace), before);
}

fn pipeline(number: usize) -> Value {
    let none = json!({"replicas": 0});
    json!({
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "TelemetryPipeline",
        "metadata": {"name": format!("many-{number:03}")},
        "spec": {
            "streams": [{"name": "readings", "key": [".id"]}],
            "ingest": [{"name": "readings", "http": {"path": "/readings"}, "to": "readings"}],
            "processors": [{"name": "same", "from": ["readings"], "map": ".seen = true"}],
            "broker": {"external": {"bootstrapServers": ["kafka.example.com:9092"]}},
            "scaling": {"ingest": none, "workers": none, "query": none, "edge": none},
        },
    })
}

fn list(namespace: &Namespace, kind: &str) -> Vec<Value> {
    let text = namespace.kubectl(&["get", kind, "--output", "json"]).unwrap();
    let mut list: Value = serde_json::from_str(&text).unwrap();
    list["items"].as_array_mut().map(std::mem::take).unwrap_or_default()
}

/// What a condition of each pipeline is, of those that have it.
fn conditions(namespace: &Namespace, kind: &str) -> BTreeMap<String, String> {
    let pipelines = list(namespace, "tp").into_iter();
    let condition = |pipeline: Value| {
        let conditions = pipeline["status"]["conditions"].as_array()?;
        let found = conditions.iter().find(|condition| condition["type"] == kind)?;
        let name = pipeline["metadata"]["name"].as_str()?.to_owned();
        Some((name, found["status"].as_str()?.to_owned()))
    };
    pipelines.filter_map(condition).collect()
}

fn jobs(namespace: &Namespace) -> Vec<Value> {
    list(namespace, "jobs")
}

/// Says of all Jobs that they have done their work.
fn end_jobs(namespace: &Namespace) {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let condition = |kind: &str| {
        json!({
            "type": kind, "status": "True", "reason": "CompletionsReached",
            "lastTransitionTime": now, "lastProbeTime": now,
        })
    };
    let status = json!({
        "completionTime": now,
        "succeeded": 1,
        "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
    });
    let patch = json!({"status": status}).to_string();
    for job in jobs(namespace) {
        let name = job["metadata"]["name"].as_str().unwrap();
        let patch =
            ["patch", "job", name, "--subresource=status", "--type=merge", "--patch", &patch];
        namespace.kubectl(&patch).unwrap();
    }
}

/// The version of all that the operator writes.
fn versions(namespace: &Namespace) -> BTreeMap<String, String> {
    let kinds = "tp,deployments,statefulsets,jobs,services,configmaps,secrets,networkpolicies,poddisruptionbudgets,serviceaccounts";
    let objects = list(namespace, kinds).into_iter().map(|object| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let name = format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"]));
        (name, text(&object["metadata"]["resourceVersion"]))
    });
    objects.collect()
}
