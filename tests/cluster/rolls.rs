//! The operator rolls what requests pass, and no request fails.

use std::time::Instant;

use serde_json::json;

use crate::fleet::Fleet;
use crate::say;
use crate::support::kubernetes::over_kubernetes;

/// Each part alone, all at once, and by what their processes read.
const ROUNDS: u64 = 2;

#[test]
fn no_request_fails_while_ingest_and_the_edge_roll() {
    if !over_kubernetes() {
        return;
    }
    let begun = Instant::now();
    // One pod of each: there is no other one to go to.
    let one = json!({"replicas": 1});
    let scaling = json!({"ingest": one, "edge": one});
    let mut fleet = Fleet::start(&json!({"spec": {"scaling": scaling}}));
    say(begun, "ready");
    let load = fleet.load();
    for round in 1..=ROUNDS {
        let size = json!({"requests": {"cpu": format!("{}m", 30 + round)}});
        let both = json!({"requests": {"cpu": format!("{}m", 40 + round)}});
        for (what, patch) in [
            ("ingest", json!({"resources": {"ingest": size}})),
            ("the edge", json!({"resources": {"edge": size}})),
            ("both", json!({"resources": {"ingest": both, "edge": both}})),
            (
                "what is read",
                json!({"exposure": {"origins": [format!("https://{round}.example")]}}),
            ),
            ("limits", json!({"exposure": {"edge": {"connections": 1000 + round}}})),
        ] {
            let before = [fleet.pods("ingest"), fleet.pods("edge")];
            fleet.patch(&json!({"spec": patch})).unwrap();
            fleet.wait_ready();
            fleet.until_all_goes_on(&load, what);
            let after = [fleet.pods("ingest"), fleet.pods("edge")];
            let rolled = [before[0] != after[0], before[1] != after[1]];
            say(begun, &format!("{what}: rolled {rolled:?}; {} requests failed", load.failed()));
            let expected = match what {
                "ingest" | "what is read" => [true, false],
                "the edge" => [false, true],
                "both" => [true, true],
                _ => [false, false],
            };
            assert_eq!(rolled, expected, "{what}");
        }
    }
    // Those that go have gone by then.
    fleet.namespace.until("old pods are gone", |namespace| {
        let pods = namespace.kubectl(&["get", "pods", "--output", "json"]).unwrap();
        !pods.contains("deletionTimestamp")
    });
    let sent = fleet.judge(begun, load);
    assert_eq!(sent.failures, Vec::<String>::new());
}
