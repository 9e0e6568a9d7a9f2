//! MQTT: our own endpoint for devices and viewers, and the client of an external broker.

mod backoff;
pub mod broker;
pub mod connect;
mod endpoint;
mod hooks;
mod publisher;
mod retained;
mod shared;
mod tls;

pub use backoff::Backoff;
pub use endpoint::MqttEndpoint;
pub use endpoint::MqttSettings;
pub use endpoint::StartMqttError;
pub use endpoint::TlsFiles;
pub use publisher::EndpointPublisher;
pub use publisher::OutgoingMessage;
pub use publisher::PublishError;
pub use tls::LoadTlsError;
