//! The operator dies at any point of a rollout, and the next one goes on.

use std::time::Duration;
use std::time::Instant;

use rand::Rng as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;
use serde_json::json;

use crate::fleet::Fleet;
use crate::operator::Operator;
use crate::say;
use crate::seed;
use crate::setting;
use crate::support::kubernetes::over_kubernetes;
use crate::support::process::pause;

/// After how many deaths everything has to be as the resource says, and to go on.
const ALL_GOES_ON: u64 = 5;

/// `MILLRACE_KILLS` sets how often it is killed, `MILLRACE_SEED` when.
#[test]
fn the_operator_may_die_at_any_point_of_a_rollout() {
    if !over_kubernetes() {
        return;
    }
    let (seed, kills) = (seed(), setting("MILLRACE_KILLS", 5));
    let mut random = StdRng::seed_from_u64(seed);
    let begun = Instant::now();
    let mut fleet = Fleet::start(&json!({}));
    let operator = Operator::find();
    say(begun, &format!("ready; seed {seed}, {kills} deaths"));
    let load = fleet.load();
    for number in 1..=kills {
        let patch = change(&mut random, number);
        // Mostly while objects are applied, otherwise while pods follow.
        let longest = if random.random_range(0..3) > 0 { 1500 } else { 20_000 };
        let after = Duration::from_millis(random.random_range(0..longest));
        let before = operator.leader();
        fleet.patch(&patch).unwrap();
        pause(after);
        let how = operator.kill();
        say(begun, &format!("death {number}, {how} {after:?} after {patch}"));
        operator.wait_for_another(&before);
        fleet.wait_seen();
        fleet.until_it_goes_on(&load, &format!("after death {number}"));
        if number % ALL_GOES_ON == 0 || number == kills {
            fleet.wait_ready();
            fleet.until_all_goes_on(&load, &format!("after death {number}"));
            say(begun, &format!("all goes on; {} requests have failed", load.failed()));
        }
    }
    fleet.judge(begun, load);
}

/// A change of the resource that changes no result: another one for each number.
fn change(random: &mut StdRng, number: u64) -> Value {
    const PARTS: [&str; 4] = ["ingest", "workers", "query", "edge"];
    let part = PARTS[random.random_range(0..PARTS.len())];
    match random.random_range(0..4) {
        0 => json!({"spec": {"scaling": {part: {"replicas": random.random_range(1..=3)}}}}),
        1 => {
            let origin = format!("https://{number}.example.com");
            json!({"spec": {"exposure": {"origins": [origin]}}})
        }
        2 => json!({"spec": {"exposure": {"edge": {"connections": 1000 + number}}}}),
        _ => {
            let cpu = format!("{}m", 20 + number);
            json!({"spec": {"resources": {part: {"requests": {"cpu": cpu}}}}})
        }
    }
}
