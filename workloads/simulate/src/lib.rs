//! Simulated devices: a race of cars, from a seed, over MQTT or into a file.
//!
//! [`race`] makes the events and does no I/O: the same seed gives the same race, byte for byte.
//! [`send`] takes them to where they should go. Nothing here prints; [`Statistics`] says what
//! happened.

pub mod race;
pub mod send;
mod statistics;

pub use statistics::Snapshot;
pub use statistics::Statistics;
