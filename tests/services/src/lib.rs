//! Real servers for tests: Apache Kafka, Postgres and Mosquitto, as processes of this machine that
//! can be killed, stopped, paused and started again on their data.
//!
//! A server that a test starts for itself ends with the test's process, however that ends. Tests
//! that only need *a* server share one: [`kafka`], [`postgres`] and [`mosquitto`] give its address and
//! start it if there is none.

mod error;
mod folder;
mod kafka;
mod mosquitto;
mod ports;
mod postgres;
mod process;
mod program;
mod shared;

pub use error::RunServiceError;
pub use kafka::Kafka;
pub use kafka::KafkaOptions;
pub use kafka::Security;
pub use mosquitto::Mosquitto;
pub use postgres::Postgres;
pub use postgres::PostgresOptions;
pub use shared::Service;
pub use shared::Status;
pub use shared::down;
pub use shared::fetch;
pub use shared::kafka;
pub use shared::mosquitto;
pub use shared::new_database;
pub use shared::postgres;
pub use shared::status;
