//! The log in a Kafka cluster: streams are topics, tasks commit by transactions.

mod admin;
mod append;
mod client;
mod cluster;
mod cursor;
mod delivery;
mod ends;
mod extent;
mod external;
mod health;
mod lane;
mod lanes;
mod log;
mod names;
mod offsets;
mod quiet;
mod settings;
mod tail;
mod tasks;
#[cfg(test)]
mod tests;
mod token;
mod topics;
mod wire;

pub use client::ConfigureKafkaError;
pub use log::ConnectKafkaError;
pub use log::KafkaLog;
pub use settings::*;
pub use tasks::StandbyOptions;
