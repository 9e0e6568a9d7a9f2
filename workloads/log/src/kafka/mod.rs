//! The log in a Kafka cluster: streams are topics, tasks commit by transactions.

mod client;
mod names;
mod settings;
mod token;

pub use client::ConfigureKafkaError;
pub use settings::*;
