//! Simulated devices: a race of cars over MQTT, and requests over HTTP at a rate.
//!
//! [`race`] and [`requests`] make what is sent and do no I/O: the same seed gives the same, byte for
//! byte.
//! [`send`] takes them to where they should go. Nothing here prints; [`Statistics`] says what
//! happened.

pub mod race;
pub mod requests;
pub mod send;
mod statistics;

pub use statistics::Snapshot;
pub use statistics::Statistics;
