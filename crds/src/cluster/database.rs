//! `database`: the Postgres that holds tables on a cluster.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::broker::StorageSpec;
use crate::secret::SecretKeySpec;
use crate::secret::SecretSpec;
use crate::text::BucketUrl;
use crate::text::CronSchedule;
use crate::text::Host;
use crate::text::HttpUrl;
use crate::text::Identifier;
use crate::text::ResourceName;
use crate::text::Title;

/// The Postgres that holds tables on a cluster: exactly one of `managed`, `external` and
/// `cloudNativePg`. In one process tables are embedded; a pipeline without tables needs none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.managed), has(self.external), has(self.cloudNativePg)].filter(x, x).size() == 1",
    "write exactly one of managed (the operator runs it), external (its address) and cloudNativePg (a Cluster of CloudNativePG)"
))]
#[x_kube(validation = (
    "has(self.managed) == has(oldSelf.managed)",
    "tables cannot move from one Postgres to another; make a new pipeline, which builds them from its log"
))]
pub struct DatabaseSpec {
    /// The operator runs it: one primary. For replicas take `cloudNativePg`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedPostgresSpec>,
    /// One that runs already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalPostgresSpec>,
    /// One that CloudNativePG runs in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_native_pg: Option<CloudNativePgSpec>,
}

impl Default for DatabaseSpec {
    fn default() -> Self {
        Self {
            managed: Some(ManagedPostgresSpec::default()),
            external: None,
            cloud_native_pg: None,
        }
    }
}

/// A Postgres that the operator runs, for this pipeline alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.version == oldSelf.version",
    "version cannot change; a new major version needs a dump and a new pipeline"
))]
pub struct ManagedPostgresSpec {
    /// Major version, 14 to 18. Default 15. It cannot change.
    #[serde(default = "default_version")]
    #[schemars(range(min = 14, max = 18))]
    pub version: i32,
    /// Its volume. Default: 10Gi.
    #[serde(default)]
    pub storage: StorageSpec,
    /// Dumps at certain times. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupSpec>,
}

impl Default for ManagedPostgresSpec {
    fn default() -> Self {
        Self { version: default_version(), storage: StorageSpec::default(), backup: None }
    }
}

/// Dumps of the database at certain times, to a volume of their own, and to an object store if asked
/// for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupSpec {
    /// When, as cron says it, in UTC: `0 3 * * *` is at three every night.
    pub schedule: CronSchedule,
    /// How many dumps are kept, 1 to 365. Default 7.
    #[serde(default = "default_keep")]
    #[schemars(range(min = 1, max = 365))]
    pub keep: i32,
    /// The volume of dumps. Default: 10Gi.
    #[serde(default)]
    pub storage: StorageSpec,
    /// An object store that each dump is copied to, beside the volume. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_to: Option<BackupStoreSpec>,
}

/// An object store for dumps. As many stay there as on the volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.endpoint) || !self.endpoint.contains('@')",
    "endpoint has a user or password, which all who read the resource would see; write the address alone"
))]
pub struct BackupStoreSpec {
    /// Where the dumps go: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`;
    /// for each pipeline another prefix.
    pub url: BucketUrl,
    /// Address of the object store, for stores other than the providers' own, such as MinIO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<HttpUrl>,
    /// Region of the object store. Default: what the store says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Title>,
    /// A Secret whose keys are what the store is asked with: `access_key_id` and
    /// `secret_access_key` (S3), `service_account.json` (Google), `account_name` and `access_key`
    /// (Azure). Default: the identity of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<SecretSpec>,
}

/// A Postgres (14 or later) that runs already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.database == oldSelf.database && has(self.schema) == has(oldSelf.schema) && (!has(self.schema) || self.schema == oldSelf.schema)",
    "database and schema cannot change, since the tables are where they say; make a new pipeline"
))]
pub struct ExternalPostgresSpec {
    /// Its host.
    pub host: Host,
    /// Its port, 1 to 65535. Default 5432.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The database. It has to exist. It cannot change.
    pub database: Identifier,
    /// The schema of the pipeline's tables, made where it is missing. Default: the pipeline's name
    /// with `_` for `-`. It cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Identifier>,
    /// A Secret with `username` and `password`, whose user may make the schema.
    pub credentials: SecretSpec,
    /// TLS. Default: the certificate and its name are checked against the authorities of the system.
    #[serde(default)]
    pub tls: PostgresTlsSpec,
}

/// TLS to the database.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.certificateAuthority) || self.mode == 'verifyFull' || self.mode == 'verifyCa'",
    "certificateAuthority is looked at by verifyFull and verifyCa alone; write one of these modes, or leave it out"
))]
pub struct PostgresTlsSpec {
    /// What is checked. Default `verifyFull`.
    #[serde(default)]
    pub mode: PostgresTlsMode,
    /// Certificates to trust, in PEM. Default: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<SecretKeySpec>,
}

/// What is checked of the database's certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PostgresTlsMode {
    /// Who signed it, and its name.
    #[default]
    VerifyFull,
    /// Who signed it.
    VerifyCa,
    /// Nothing: whoever is between can read and change everything.
    Require,
    /// No TLS, as beside a proxy in the same pod or network, such as Cloud SQL's.
    Disable,
}

/// A Postgres that CloudNativePG runs in this namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.cluster == oldSelf.cluster && self.database == oldSelf.database",
    "cluster and database cannot change, since the tables are where they say; make a new pipeline"
))]
pub struct CloudNativePgSpec {
    /// Name of the `Cluster`. Its `<name>-app` Secret says user and database, its `<name>-ca`
    /// whom to trust. It cannot change.
    pub cluster: ResourceName,
    /// The database. Default: `app`, as CloudNativePG makes it. It cannot change.
    #[serde(default = "default_database")]
    pub database: Identifier,
}

const fn default_version() -> i32 {
    15
}

const fn default_keep() -> i32 {
    7
}

const fn default_port() -> i32 {
    5432
}

fn default_database() -> Identifier {
    Identifier::from("app")
}
