//! How a Kafka cluster is reached, as a connection file says it.

use std::path::PathBuf;

use serde::Deserialize;

/// How a Kafka cluster is reached, and what names belong to this pipeline there. It holds no
/// secret: these are in files of their own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaSettings {
    /// Addresses of brokers to begin with: `host:port`.
    pub bootstrap_servers: Vec<String>,
    /// What names of topics, groups and transactional ids begin with, such as `factory.race.`:
    /// several pipelines can share a cluster. Default: the pipeline's name and a point.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Copies of each partition of the topics that are made, 1 (default) to the number of brokers.
    #[serde(default = "one")]
    pub replication_factor: i32,
    /// Encryption. Default: none.
    #[serde(default)]
    pub tls: Option<KafkaTls>,
    /// Who we are. Default: what `tls` says, or nobody.
    #[serde(default)]
    pub sasl: Option<KafkaSasl>,
    /// How much is fetched ahead of readers. It is the process that knows this, not the file.
    #[serde(skip)]
    pub read_ahead: ReadAhead,
}

/// How much is fetched ahead of who reads, for each partition that is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReadAhead {
    /// Megabytes: for those who read everything, as fast as they can.
    #[default]
    Batches,
    /// Little more than is asked for, and few places are kept open: for people who look into
    /// partitions here and there, in a process whose memory must not grow with what they look at.
    Pages,
}

const fn one() -> i32 {
    1
}

/// TLS to the brokers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaTls {
    /// File of PEM certificates to trust. Default: those of the system.
    #[serde(default)]
    pub certificate_authority: Option<PathBuf>,
    /// File of the client's PEM certificate with its chain, for mutual TLS.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// File of its private key, PEM.
    #[serde(default)]
    pub key: Option<PathBuf>,
}

/// Authentication by SASL.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "mechanism", deny_unknown_fields)]
pub enum KafkaSasl {
    /// User name and password, proven by SCRAM with SHA-256.
    #[serde(rename = "SCRAM-SHA-256", rename_all = "camelCase")]
    ScramSha256 {
        /// File of the user name.
        username_file: PathBuf,
        /// File of the password.
        password_file: PathBuf,
    },
    /// User name and password, proven by SCRAM with SHA-512.
    #[serde(rename = "SCRAM-SHA-512", rename_all = "camelCase")]
    ScramSha512 {
        /// File of the user name.
        username_file: PathBuf,
        /// File of the password.
        password_file: PathBuf,
    },
    /// A bearer token, which something else keeps current in a file.
    #[serde(rename = "OAUTHBEARER", rename_all = "camelCase")]
    OAuthBearer {
        /// File of the token, a JWT. It is read again before it expires.
        token_file: PathBuf,
    },
}
