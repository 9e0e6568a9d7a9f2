//! How an external MQTT broker is reached; shared by what comes in and what goes out.

use kube::KubeSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::secret::SecretKeySpec;
use crate::secret::SecretSpec;
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

/// User name and password of a broker: exactly one of `secret` and `folder`, so that neither is
/// ever an argument or an environment variable. They are read again at each connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.secret) != has(self.folder)",
    "write exactly one of secret (with username and password) and folder (with files of these names)"
))]
pub struct Credentials {
    /// A Secret with `username` and `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretSpec>,
    /// Folder with the files `username` and `password`, at most 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<FilePath>,
}

/// Certificates to trust, in PEM: exactly one of `secret` and `file`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.secret) != has(self.file)",
    "write exactly one of secret (name and key of a Secret) and file (a path)"
))]
pub struct CertificateAuthority {
    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretKeySpec>,
    /// File of PEM certificates, at most 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FilePath>,
}

/// Quality of service of MQTT: 0 at most once, 1 at least once, 2 exactly once per connection.
pub type Qos = i32;

/// Quality of service where none is written.
pub(crate) const fn default_qos() -> Qos {
    1
}
