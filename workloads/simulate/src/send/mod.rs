//! Where a race goes: to an MQTT broker in the race's own time, or into a file at once.

mod connection;
mod file;
mod mqtt;

pub use connection::BrokerAddress;
pub use connection::Credentials;
pub use connection::ParseBrokerAddressError;
pub use file::WriteFileError;
pub use file::write;
pub use mqtt::MqttTarget;
pub use mqtt::Pace;
pub use mqtt::publish;
