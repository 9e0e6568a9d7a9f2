//! The HTTP port over real sockets, with a real log and real tables.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod declared;
mod fixtures;
mod live;
mod outside;
mod requests;
mod socket;
