//! A pipeline that is deleted with `deletionPolicy: keep` and made again.

use std::time::Instant;

use serde_json::json;

use crate::fleet::Fleet;
use crate::fleet::NAME;
use crate::say;
use crate::support::kubernetes::over_kubernetes;

#[test]
fn what_is_kept_is_taken_up_again() {
    if !over_kubernetes() {
        return;
    }
    let begun = Instant::now();
    let mut fleet = Fleet::start(&json!({"spec": {"deletionPolicy": "keep"}}));
    say(begun, "ready");
    let load = fleet.load();
    let before = load.confirmed();
    // Clients go on: what is not confirmed now is confirmed later.
    fleet.namespace.kubectl(&["delete", "tp", NAME]).unwrap();
    fleet.namespace.until("all pods are gone", |namespace| {
        let pods = namespace.kubectl(&["get", "pods", "--output", "name"]).unwrap();
        pods.trim().is_empty()
    });
    let claims = fleet.namespace.kubectl(&["get", "pvc", "--output", "name"]).unwrap();
    assert_eq!(claims.lines().count(), 2, "{claims}");
    say(begun, &format!("deleted after {before} events; {} are kept", claims.replace('\n', " ")));
    fleet.apply_again();
    fleet.wait_ready();
    say(begun, "ready again");
    fleet.until_all_goes_on(&load, "after it was made again");
    fleet.judge(begun, load);
}
