//! Workers follow their lag: to none when nothing is left to do, and back when there is.

use std::time::Duration;
use std::time::Instant;

use serde_json::json;

use crate::fleet::Fleet;
use crate::say;
use crate::support::kubernetes::over_kubernetes;
use crate::support::process::pause;

/// Five minutes in which fewer are enough, and a minute for each step.
const DOWN: Duration = Duration::from_mins(15);

#[test]
fn workers_end_when_nothing_is_left_and_come_back_for_what_comes() {
    if !over_kubernetes() {
        return;
    }
    let begun = Instant::now();
    let workers = json!({"replicas": null, "min": 0, "max": 3, "lag": 200});
    let mut fleet = Fleet::start(&json!({"spec": {"scaling": {"workers": workers}}}));
    say(begun, "ready");
    let mut sent = fleet.load().end();
    say(begun, &sent.told());
    let ended = Instant::now();
    while !fleet.pods("workers").is_empty() {
        assert!(ended.elapsed() < DOWN, "there are still workers: {:?}", fleet.pods("workers"));
        pause(Duration::from_secs(1));
    }
    say(begun, "there are no workers");
    // What is sent now wakes them.
    fleet.judge_sent(begun, &mut sent);
    assert!(!fleet.pods("workers").is_empty());
    let told = fleet.namespace.kubectl(&["get", "events", "--output", "json"]).unwrap();
    assert!(told.contains("\"ScaledDown\"") && told.contains("\"ScaledUp\""), "{told}");
}
