//! Pipelines that the operator of a real Kubernetes makes. `cargo xtask e2e` runs this; without a
//! cluster, said by `MILLRACE_TEST_KUBERNETES`, there is nothing to run.
//!
//! Most of it is under continuous load from outside, with an oracle of what was confirmed: it is there
//! once, and in its order. `MILLRACE_SEED` repeats what was random, `MILLRACE_RECOVERY` sets how many
//! seconds it may take until all goes on after a fault.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

#[path = "../support/mod.rs"]
mod support;

// What is sent and what must be there is the same wherever the processes run.
#[path = "../distributed/event.rs"]
mod event;
#[path = "../distributed/oracle.rs"]
mod oracle;

mod changes;
mod door;
mod fields;
mod fleet;
mod kept;
mod killed;
mod kinds;
mod lag;
mod load;
mod lost;
mod many;
mod nodes;
mod operator;
mod pods;
mod race;
mod rolls;
mod rotation;
mod steady;
mod topics;
mod versions;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

/// An example's file.
fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(format!("{name}.yaml"))
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// What decides about all that is random.
fn seed() -> u64 {
    setting("MILLRACE_SEED", rand::random::<u32>().into())
}

/// Says at once how far a test is, also while the harness keeps its output back.
fn say(begun: Instant, text: &str) {
    let _ = writeln!(std::io::stderr(), "{:>7.1} s  {text}", begun.elapsed().as_secs_f64());
}
