//! `broker`: the Kafka that is the log on a cluster.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::quantity::Quantity;
use crate::secret::SecretKeySpec;
use crate::secret::SecretSpec;
use crate::text::HostPort;
use crate::text::KafkaTopic;
use crate::text::ResourceName;

/// The Kafka that is the log on a cluster: exactly one of `managed`, `external` and `strimzi`. In
/// one process the log is embedded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.managed), has(self.external), has(self.strimzi)].filter(x, x).size() == 1",
    "write exactly one of managed (the operator runs it), external (its address) and strimzi (a Kafka of Strimzi)"
))]
#[x_kube(validation = (
    "has(self.managed) == has(oldSelf.managed)",
    "the log cannot move from one Kafka to another; make a new pipeline"
))]
pub struct BrokerSpec {
    /// The operator runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedKafkaSpec>,
    /// One that runs already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalKafkaSpec>,
    /// One that Strimzi runs in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strimzi: Option<StrimziSpec>,
}

impl Default for BrokerSpec {
    fn default() -> Self {
        Self { managed: Some(ManagedKafkaSpec::default()), external: None, strimzi: None }
    }
}

/// A Kafka that the operator runs: KRaft, TLS and SCRAM, for this pipeline alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.nodes == 1 || self.nodes == 3",
    "nodes is neither 1 nor 3; write nodes: 3 for a cluster that survives the loss of a node"
))]
#[x_kube(validation = (
    "self.nodes == oldSelf.nodes",
    "nodes cannot change; make a new pipeline with the other number"
))]
pub struct ManagedKafkaSpec {
    /// Nodes, 1 or 3. Default 1. With 3 every record is on three of them and confirmed by two. It
    /// cannot change.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 3))]
    pub nodes: i32,
    /// The volume of each node. Default: 10Gi.
    #[serde(default)]
    pub storage: StorageSpec,
    /// When what is confirmed is on the disk. Default: `everyMessage` with one node, `background`
    /// with three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flush: Option<FlushSpec>,
}

impl Default for ManagedKafkaSpec {
    fn default() -> Self {
        Self { nodes: one(), storage: StorageSpec::default(), flush: None }
    }
}

/// When what is confirmed is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FlushSpec {
    /// Before it is confirmed: it survives a loss of power, and costs a write to the disk for each
    /// batch.
    EveryMessage,
    /// When the machine writes it: with one node a loss of power loses what was confirmed last.
    Background,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self == oldSelf",
    "storage cannot change; enlarge the PersistentVolumeClaim itself, or make a new pipeline"
))]
pub struct StorageSpec {
    /// Size, such as `10Gi`. Default 10Gi. It cannot change.
    #[serde(default = "default_size")]
    pub size: Quantity,
    /// Name of the storage class. Default: the cluster's default class. It cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_name: Option<ResourceName>,
}

impl Default for StorageSpec {
    fn default() -> Self {
        Self { size: default_size(), class_name: None }
    }
}

/// A Kafka (4.0 or later) that runs already. Its topics, groups and transactional ids of this
/// pipeline begin with the prefix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.sasl) || has(self.tls)",
    "sasl without tls sends passwords in the clear; write tls: {} for the authorities of the system, or tls.certificateAuthority"
))]
#[x_kube(validation = (
    "has(self.prefix) == has(oldSelf.prefix) && (!has(self.prefix) || self.prefix == oldSelf.prefix)",
    "prefix cannot change, since the log is where it says; make a new pipeline"
))]
pub struct ExternalKafkaSpec {
    /// Addresses of brokers to begin with, 1 to 16, such as `kafka.example.com:9093`. Network
    /// policies open these ports alone: where brokers have others, name one broker of each port.
    #[schemars(length(min = 1, max = 16))]
    pub bootstrap_servers: Vec<HostPort>,
    /// What names of topics, groups and transactional ids begin with. Default: the namespace and
    /// the pipeline's name, each with a point behind. It cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<KafkaTopic>,
    /// On how many brokers a record is, 1 to 9. Default 3. Changed, it holds for topics that are made
    /// from then on.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 9))]
    pub replication_factor: i32,
    /// TLS. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<KafkaTlsSpec>,
    /// Who the pipeline is to the brokers. Default: nobody, or the client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<KafkaSaslSpec>,
}

/// TLS to brokers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaTlsSpec {
    /// Certificates to trust, in PEM. Default: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<SecretKeySpec>,
    /// A Secret with `tls.crt` and `tls.key`, for mutual TLS. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<SecretSpec>,
}

/// User and password, or a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaSaslSpec {
    /// How the pipeline proves who it is.
    pub mechanism: KafkaSaslMechanism,
    /// A Secret with `username` and `password`, or with `token` for OAUTHBEARER.
    pub secret: SecretSpec,
}

/// How a client proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum KafkaSaslMechanism {
    /// A password (RFC 5802), by SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// A password (RFC 5802), by SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// A token (RFC 7628) that something else keeps current.
    #[serde(rename = "OAUTHBEARER")]
    OAuthBearer,
}

/// A Kafka that Strimzi runs in this namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.cluster == oldSelf.cluster",
    "the log cannot move from one Kafka to another; make a new pipeline"
))]
#[x_kube(validation = (
    "has(self.prefix) == has(oldSelf.prefix) && (!has(self.prefix) || self.prefix == oldSelf.prefix)",
    "prefix cannot change, since the log is where it says; make a new pipeline"
))]
pub struct StrimziSpec {
    /// Name of the `Kafka`. Its `<name>-cluster-ca-cert` Secret says whom to trust. It cannot
    /// change.
    pub cluster: ResourceName,
    /// Name of the `KafkaUser`, whose Secret has its password (`scram-sha-512`) or certificate
    /// (`tls`). It needs all rights to names that begin with the prefix.
    pub user: ResourceName,
    /// Port of the `Kafka`'s internal listener that speaks TLS, 1 to 65535. Default 9093.
    #[serde(default = "default_strimzi_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// How the user proves who it is: `scram` (default) or `certificate`.
    #[serde(default)]
    pub authentication: StrimziAuthentication,
    /// What names of topics, groups and transactional ids begin with. Default: the namespace and
    /// the pipeline's name, each with a point behind. It cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<KafkaTopic>,
    /// On how many brokers a record is, 1 to 9. Default 3. Changed, it holds for topics that are made
    /// from then on.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 9))]
    pub replication_factor: i32,
}

/// How a `KafkaUser` proves who it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StrimziAuthentication {
    /// By its password: `authentication.type: scram-sha-512`.
    #[default]
    Scram,
    /// By its certificate: `authentication.type: tls`.
    Certificate,
}

const fn one() -> i32 {
    1
}

const fn three() -> i32 {
    3
}

const fn default_strimzi_port() -> i32 {
    9093
}

fn default_size() -> Quantity {
    Quantity::from("10Gi")
}
