//! Pipelines that the operator of a real Kubernetes makes. `cargo xtask e2e` runs this; without a
//! cluster, said by `MILLRACE_TEST_KUBERNETES`, there is nothing to run.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

#[path = "../support/mod.rs"]
mod support;

mod changes;
mod race;

use std::path::PathBuf;

/// An example's file.
fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(format!("{name}.yaml"))
}
