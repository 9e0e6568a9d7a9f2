//! How an external MQTT broker is reached; shared by what comes in and what goes out.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::text::BrokerUrl;
use crate::text::FilePath;
use crate::text::Name;

/// An external MQTT broker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.certificateAuthority) || self.url.startsWith('mqtts://')",
    "certificateAuthority is used with TLS alone; write the url as mqtts://host:8883"
))]
pub struct Broker {
    /// Address of the broker. `mqtt://host:1883`, or `mqtts://host:8883` with TLS; the ports are
    /// the defaults.
    pub url: BrokerUrl,
    /// Client id at the broker. Default: the names of the pipeline and of this part. Two clients
    /// with one id push each other out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<Name>,
    /// User name and password. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Certificates to trust. Default: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<CertificateAuthority>,
}

/// User name and password in files, so that neither is ever an argument or an environment
/// variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// Folder with the files `username` and `password`, at most 1024 characters. The files are
    /// read again at each connection.
    pub folder: FilePath,
}

/// Certificates to trust.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateAuthority {
    /// File of PEM certificates, at most 1024 characters.
    pub file: FilePath,
}

/// Quality of service of MQTT: 0 at most once, 1 at least once, 2 exactly once per connection.
pub type Qos = i32;

/// Quality of service where none is written.
pub(crate) const fn default_qos() -> Qos {
    1
}
