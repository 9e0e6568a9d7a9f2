//! Arguments of our own MQTT endpoint.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use millrace_ingest::mqtt::MqttSettings;
use millrace_ingest::mqtt::TlsFiles;
use millrace_plan::Plan;

use crate::exit::Exit;
use crate::exit::Failure;

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

    /// File of MQTT users: lines of a name, a colon and a hash by Argon2 or bcrypt, read again when
    /// it changes. Default: as the resource's `exposure.mqtt` says; without that, too, everyone may
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

/// Arguments that do not go with the resource.
#[derive(Debug, thiserror::Error)]
pub(super) enum MqttArgumentsError {
    /// Users are named twice.
    #[error("the resource's exposure.mqtt names the users of MQTT already; leave --mqtt-users out")]
    UsersTwice,
    /// Simulated devices cannot log in.
    #[error(
        "the simulated devices of --simulate have no password, and the resource's exposure.mqtt asks for one; run `millrace simulate` in another terminal, with --username and --password-file"
    )]
    SimulatedWithoutPassword,
}

impl MqttArguments {
    /// What an address of the endpoint begins with.
    pub(super) const fn scheme(&self) -> &'static str {
        if self.tls_certificate.is_some() { "mqtts" } else { "mqtt" }
    }

    /// The endpoint's settings. `secrets` is the folder that has one folder a Secret.
    ///
    /// # Errors
    /// When the resource names users, and the argument as well.
    pub(super) fn settings(self, plan: &Plan, secrets: &Path) -> Result<MqttSettings, Failure> {
        let users_file = match (self.users, &plan.exposure.mqtt_users) {
            (Some(_), Some(_)) => return Err(Exit::Usage.because(MqttArgumentsError::UsersTwice)),
            (None, Some(users)) => Some(users.file(secrets)),
            (file, None) => file,
        };
        let tls = self.tls_certificate.zip(self.tls_key);
        Ok(MqttSettings {
            address: self.listen,
            users_file,
            tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
            ..MqttSettings::default()
        })
    }
}
