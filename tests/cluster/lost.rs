//! The only node of Kafka loses its volume: its pipeline begins anew when its owner says so, and rows
//! stay.

use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use crate::fleet::Fleet;
use crate::fleet::NAME;
use crate::say;
use crate::support::http::post_json;
use crate::support::kubernetes::over_kubernetes;

#[test]
fn after_a_lost_log_tables_keep_their_rows_and_get_the_new_ones() {
    if !over_kubernetes() {
        return;
    }
    let begun = Instant::now();
    let fleet = Fleet::start(&json!({}));
    say(begun, "ready");
    send(&fleet, "former", 0..200);
    until_rows(&fleet, 200);
    say(begun, "200 rows are written");

    let namespace = &fleet.namespace;
    let (pod, claim) = (format!("{NAME}-kafka-0"), format!("data-{NAME}-kafka-0"));
    let before = namespace.get("pvc", &claim)["metadata"]["uid"].clone();
    namespace.kubectl(&["delete", "pvc", &claim, "--wait=false"]).unwrap();
    namespace.kubectl(&["delete", "pod", &pod]).unwrap();
    namespace.until("the volume is another one", |namespace| {
        let claim = namespace.kubectl(&["get", "pvc", &claim, "--output", "json"]);
        let claim: Value = claim.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
        claim["metadata"]["uid"].is_string() && claim["metadata"]["uid"] != before
    });
    namespace.until("Kafka does not begin with an empty volume by itself", |namespace| {
        let logs = namespace.kubectl(&["logs", &pod, "--container", "prepare"]);
        logs.is_ok_and(|logs| logs.contains("is empty"))
    });
    say(begun, "the volume is empty, which the pod tells");

    namespace.kubectl(&["delete", "configmap", &format!("{NAME}-kafka-identity")]).unwrap();
    namespace.until("there is another identity", |namespace| {
        namespace.kubectl(&["get", "configmap", &format!("{NAME}-kafka-identity")]).is_ok()
    });
    namespace.kubectl(&["delete", "pod", &pod]).unwrap();
    namespace.until("it has begun to change", |namespace| {
        let selector = "app.kubernetes.io/component=provision";
        let jobs = ["get", "jobs", "--selector", selector, "--output", "json"];
        let jobs: Value = serde_json::from_str(&namespace.kubectl(&jobs).unwrap()).unwrap();
        jobs["items"].as_array().unwrap().iter().any(|job| job["status"]["succeeded"] != 1)
    });
    fleet.wait_ready();
    say(begun, "ready again");
    // Fewer than before: positions in the lost log are beyond the end of this one.
    send(&fleet, "new", 0..150);
    until_rows(&fleet, 350);
    say(begun, "150 more rows are written");
}

/// Sends events until they are confirmed.
fn send(fleet: &Fleet, era: &str, numbers: std::ops::Range<i64>) {
    let now = jiff::Timestamp::now().as_millisecond();
    let event = |n: i64| {
        json!({
            "id": format!("{era}-{n}"), "sensor": format!("sensor-{}", n % 12), "group": "all",
            "n": n, "at": now + n, "value": 1,
        })
    };
    let events = Value::Array(numbers.map(event).collect()).to_string();
    fleet.namespace.until("events are confirmed", |_| {
        let Some(url) = fleet.door.url() else { return false };
        let answer = post_json(&format!("{url}/readings"), &events);
        if answer.status >= 300 {
            say(Instant::now(), &format!("{answer:?}"));
        }
        answer.status < 300
    });
}

fn until_rows(fleet: &Fleet, count: usize) {
    fleet.namespace.until(&format!("there are {count} rows"), |_| {
        let found = fleet.postgres.sql("SELECT count(*) FROM faults.readings").unwrap_or_default();
        found == count.to_string()
    });
}
