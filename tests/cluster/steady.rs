//! What nobody changes is not written.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use crate::fleet::Fleet;
use crate::say;
use crate::setting;
use crate::support::kubernetes::kubectl;
use crate::support::kubernetes::over_kubernetes;
use crate::support::process::pause;

/// `MILLRACE_STEADY` sets for how many seconds.
#[test]
fn under_constant_load_no_object_changes() {
    if !over_kubernetes() {
        return;
    }
    let begun = Instant::now();
    let time = Duration::from_secs(setting("MILLRACE_STEADY", 300));
    let mut fleet = Fleet::start(&json!({}));
    say(begun, "ready");
    let load = fleet.load();
    let before = versions(&fleet);
    say(begun, &format!("{} objects", before.len()));
    pause(time);
    let after = versions(&fleet);
    let changed: Vec<_> = before
        .iter()
        .filter(|(object, version)| after.get(*object) != Some(version))
        .map(|(object, _)| object)
        .chain(after.keys().filter(|object| !before.contains_key(*object)))
        .collect();
    assert_eq!(changed, Vec::<&String>::new(), "changed within {time:?}");
    let sent = fleet.judge(begun, load);
    assert_eq!(sent.failures, Vec::<String>::new());
}

/// The version of every object of the namespace but Leases, Events and figures of the moment.
fn versions(fleet: &Fleet) -> BTreeMap<String, String> {
    let kinds = kubectl(&["api-resources", "--verbs=list", "--namespaced", "--output=name"]);
    let kinds = kinds.unwrap();
    let kinds = kinds.lines().filter(|kind| {
        !kind.starts_with("events")
            && !kind.starts_with("leases")
            && !kind.contains("metrics.k8s.io")
    });
    let kinds = kinds.collect::<Vec<_>>().join(",");
    let text = fleet.namespace.kubectl(&["get", &kinds, "--output", "json"]).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    let objects = list["items"].as_array().unwrap().iter().map(|object| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let metadata = &object["metadata"];
        let name = format!("{}/{}", text(&object["kind"]), text(&metadata["name"]));
        (name, text(&metadata["resourceVersion"]))
    });
    objects.collect()
}
