//! Where it goes: a race to an MQTT broker in the race's own time, or into a file at once; requests
//! to an HTTP server at a rate.

mod connection;
mod file;
mod http;
mod http_address;
mod http_connection;
mod mqtt;
mod tls;

pub use connection::BrokerAddress;
pub use connection::Credentials;
pub use connection::ParseBrokerAddressError;
pub use file::WriteFileError;
pub use file::write;
pub use http::HttpTarget;
pub use http::Load;
pub use http::load;
pub use http_address::HttpAddress;
pub use http_address::ParseHttpAddressError;
pub use mqtt::MqttTarget;
pub use mqtt::Pace;
pub use mqtt::publish;
pub use tls::PrepareTlsError;
pub use tls::client_tls;
