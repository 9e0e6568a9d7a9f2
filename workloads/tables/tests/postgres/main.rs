//! The Postgres store: the rules of every store, and what concerns many processes and a server
//! that fails.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

#[path = "../conformance/mod.rs"]
mod conformance;
mod faults;
#[path = "../fixtures/mod.rs"]
mod fixtures;
mod parity;
mod partitions;
mod place;
mod processes;
mod refused;
mod roles;
mod tls;

use conformance::rules;
use place::empty_store;

rules!(empty_store);
