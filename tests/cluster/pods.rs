//! Pods of every part go away, at once or in order.

use std::time::Instant;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde_json::json;

use crate::fleet::Fleet;
use crate::fleet::PARTS;
use crate::say;
use crate::seed;
use crate::support::kubernetes::over_kubernetes;

#[test]
fn any_pod_may_go() {
    if !over_kubernetes() {
        return;
    }
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let begun = Instant::now();
    let mut fleet = Fleet::start(&json!({}));
    say(begun, &format!("ready; seed {seed}"));
    let load = fleet.load();
    let ways: [&[&str]; 2] = [&["--wait=false"], &["--wait=false", "--grace-period=0", "--force"]];
    let mut ends: Vec<_> = PARTS.iter().flat_map(|part| ways.map(|way| (*part, way))).collect();
    ends.shuffle(&mut random);
    for (part, way) in ends {
        let pod = fleet.pods(part).into_keys().next().unwrap();
        say(begun, &format!("kubectl delete pod {pod} {}", way.join(" ")));
        fleet.namespace.kubectl(&[&["delete", "pod", &pod], way].concat()).unwrap();
        fleet.until_all_goes_on(&load, &format!("without {pod}"));
        say(begun, &format!("all goes on; {} requests have failed", load.failed()));
    }
    fleet.wait_ready();
    fleet.judge(begun, load);
}
