//! Arguments of our own MQTT endpoint.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use millrace_ingest::mqtt::MqttSettings;
use millrace_ingest::mqtt::TlsFiles;

/// Where the MQTT endpoint listens, and who may connect.
#[derive(Debug, Args)]
pub(super) struct MqttArguments {
    /// Address of the MQTT endpoint. Port 0 takes a free one.
    #[arg(
        long = "mqtt-listen",
        id = "mqtt_listen",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:1883"
    )]
    listen: SocketAddr,

    /// File of MQTT users: lines of a name, a colon and an Argon2 hash. Without it everyone may
    /// connect.
    #[arg(long = "mqtt-users", id = "mqtt_users", value_name = "FILE")]
    users: Option<PathBuf>,

    /// Certificate of the MQTT endpoint with its chain, PEM. With it the endpoint speaks TLS.
    #[arg(
        long = "mqtt-tls-cert",
        id = "mqtt_tls_cert",
        value_name = "FILE",
        requires = "mqtt_tls_key"
    )]
    tls_certificate: Option<PathBuf>,

    /// Private key of the certificate, PEM.
    #[arg(
        long = "mqtt-tls-key",
        id = "mqtt_tls_key",
        value_name = "FILE",
        requires = "mqtt_tls_cert"
    )]
    tls_key: Option<PathBuf>,
}

impl MqttArguments {
    /// What an address of the endpoint begins with.
    pub(super) const fn scheme(&self) -> &'static str {
        if self.tls_certificate.is_some() { "mqtts" } else { "mqtt" }
    }

    /// The endpoint's settings.
    pub(super) fn settings(self) -> MqttSettings {
        let tls = self.tls_certificate.zip(self.tls_key);
        MqttSettings {
            address: self.listen,
            users_file: self.users,
            tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
            ..MqttSettings::default()
        }
    }
}
