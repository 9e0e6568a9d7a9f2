//! `archive` and `webhook` sinks: files for analysts, and calls to other systems.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::http::ResponseHeaderSpec;
use crate::secret::SecretSpec;
use crate::secret::SecretValueSpec;
use crate::text::Duration;
use crate::text::HeaderName;
use crate::text::HttpUrl;
use crate::text::StoreUrl;
use crate::text::Title;
use crate::text::Vrl;

/// Files under `stream=<name>/date=<yyyy-mm-dd>/hour=<hh>/`, by event time in UTC. A file appears
/// whole and once, and all files together have exactly the committed events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveSinkSpec {
    /// Where the files go: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, or
    /// the path of a folder, which is taken from the data folder where it does not begin with `/`.
    pub url: StoreUrl,
    /// `parquet` (default) or `ndjson`.
    #[serde(default)]
    pub format: ArchiveFormatSpec,
    /// A file ends after this long. Default `5m`.
    #[serde(default = "default_every")]
    pub every: Duration,
    /// A file ends at this many events, 1 to 10000000. Default 1000000.
    #[serde(default = "default_archive_events")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_events: i32,
    /// Address of the object store, for stores other than the providers' own, such as MinIO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<HttpUrl>,
    /// Region of the object store. Default: what the store says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Title>,
    /// A Secret whose keys are what the store is asked with: `access_key_id` and
    /// `secret_access_key` (S3), `service_account.json` (Google), `account_name` and `access_key`
    /// (Azure). Default: the identity of the machine or pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<SecretSpec>,
}

/// Format of an archive's files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum ArchiveFormatSpec {
    /// Parquet, compressed by Zstandard, with typed columns for what the stream's schema declares.
    #[default]
    Parquet,
    /// JSON, a line per event, compressed by gzip.
    Ndjson,
}

/// A request for each event, at least once, in order per partition. The header `webhook-id` is the
/// event's id, so that a receiver knows a repetition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookSinkSpec {
    /// Address that the requests go to, by POST.
    pub url: HttpUrl,
    /// Program that leaves the body in `.`; it sees what a `map` sees. Default: the event.
    /// `abort` sends nothing, counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Vrl>,
    /// Further headers, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<ResponseHeaderSpec>,
    /// A shared secret. With one, `webhook-signature` is `v1,` and the Base64 of the HMAC-SHA256
    /// of `<webhook-id>.<webhook-timestamp>.<body>`, as Standard Webhooks has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<SecretValueSpec>,
    /// Further headers whose values are secrets, such as `Authorization`; at most 8. They are read
    /// again for each request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub secret_headers: Vec<SecretHeaderSpec>,
    /// How long one attempt may take. Default `10s`.
    #[serde(default = "default_attempt")]
    pub timeout: Duration,
    /// Attempts after the first, 0 to 100. Default 10, with growing pauses of 500 ms to 1 minute,
    /// or what `Retry-After` says. After the last the event is a dead letter. 4xx other than 408,
    /// 425 and 429 are not tried again.
    #[serde(default = "default_retries")]
    #[schemars(range(min = 0, max = 100))]
    pub retries: i32,
    /// Requests at once, 1 to 256, each of another key. Default 1.
    #[serde(default = "default_at_once")]
    #[schemars(range(min = 1, max = 256))]
    pub concurrent: i32,
}

/// A header whose value is a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretHeaderSpec {
    /// Name of the header.
    pub name: HeaderName,
    /// Its whole value, such as `Bearer …`, on one line.
    pub value: SecretValueSpec,
}

fn default_every() -> Duration {
    "5m".into()
}

const fn default_archive_events() -> i32 {
    1_000_000
}

fn default_attempt() -> Duration {
    "10s".into()
}

const fn default_retries() -> i32 {
    10
}

const fn default_at_once() -> i32 {
    1
}
