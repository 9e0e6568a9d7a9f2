//! The log in a Kafka cluster: streams are topics, tasks commit by transactions.

mod admin;
mod append;
mod client;
mod cluster;
mod delivery;
mod extent;
mod health;
mod names;
mod settings;
mod tasks;
mod token;
mod topics;
mod wire;

pub use client::ConfigureKafkaError;
pub use settings::*;
