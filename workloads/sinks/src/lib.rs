//! Where results go over MQTT: records of the log become messages, at least once and in the
//! order of each partition.
//!
//! [`MqttSinks`] runs every `mqtt` sink of a plan, to the subscribers of our own endpoint or to an
//! external broker. Tables are written elsewhere.

mod broker;
mod message;
mod metrics;
mod publisher;
mod reader;
mod runner;

pub use broker::BrokerPublisher;
pub use message::BuildError;
pub use message::build as message_of;
pub use publisher::DeliverError;
pub use publisher::Publisher;
pub use runner::MqttSinks;
pub use runner::group_of;
