//! Where results go over MQTT and HTTP: records of the log become messages and requests, at least
//! once and in order.
//!
//! [`MqttSinks`] runs every `mqtt` sink of a plan, to the subscribers of our own endpoint or to an
//! external broker; [`WebhookSinks`] runs every `webhook` sink. Tables and files are written
//! elsewhere.

mod broker;
mod message;
mod metrics;
mod position;
mod publisher;
mod reader;
mod refused;
mod runner;
mod sent;
mod shares;
mod traced;
mod webhook;

pub use broker::BrokerPublisher;
pub use message::BuildError;
pub use message::build as message_of;
pub use publisher::DeliverError;
pub use publisher::Publisher;
pub use runner::MqttSinks;
pub use shares::group_of;
pub use shares::members_of;
pub use webhook::ReadHeaderError;
pub use webhook::ReadSecretError;
pub use webhook::StartWebhookError;
pub use webhook::WebhookSinks;
