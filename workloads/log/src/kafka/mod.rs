//! The log in a Kafka cluster: streams are topics, tasks commit by transactions.

mod names;
mod settings;

pub use settings::*;
