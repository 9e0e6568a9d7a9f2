//! `exposure`: how the pipeline is reached, and by whom.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::secret::SecretSpec;
use crate::secret::SecretValueSpec;
use crate::text::FilePath;
use crate::text::HttpPath;
use crate::text::HttpUrl;
use crate::text::Origin;
use crate::text::Title;

/// How the pipeline is reached, and by whom.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExposureSpec {
    /// Certificate of the HTTP port. Default: none, the port speaks plain HTTP. With one, plain
    /// HTTP is redirected to HTTPS (301).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
    /// Who may reach which paths, at most 64. The rule of the longest path that begins the
    /// request's counts; paths without a rule are open. `/livez`, `/readyz`, `/metrics` and
    /// `/openapi.json` are always open.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub auth: Vec<AuthRuleSpec>,
    /// Origins of pages of other sites whose scripts may read answers and open WebSockets, such as
    /// `https://example.com`; at most 64. Default: none.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub origins: Vec<Origin>,
    /// Limits of the HTTP port.
    #[serde(default)]
    pub limits: PortLimitsSpec,
}

/// A certificate and its key: exactly one of `secret`, `files` and `selfSigned`. Both are read
/// again when they change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.secret), has(self.files), has(self.selfSigned)].filter(x, x).size() == 1",
    "write exactly one of secret (with tls.crt and tls.key), files and selfSigned"
))]
pub struct TlsSpec {
    /// A Secret of type `kubernetes.io/tls`, with `tls.crt` and `tls.key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretSpec>,
    /// Files in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<TlsFilesSpec>,
    /// A certificate that is made at the first start and signed by itself, for development:
    /// clients have to be told to trust it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_signed: Option<SelfSignedSpec>,
}

/// A certificate and its key in files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsFilesSpec {
    /// The certificate and those between it and its authority, in PEM.
    pub certificate: FilePath,
    /// The private key, in PEM.
    pub key: FilePath,
}

/// A certificate signed by itself, for `localhost` and the host's own name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("maxProperties" = 0))]
pub struct SelfSignedSpec {}

/// Who may reach a path and all below it: exactly one of `open`, `basic` and `bearer`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.open), has(self.basic), has(self.bearer)].filter(x, x).size() == 1",
    "write exactly one of open, basic and bearer"
))]
pub struct AuthRuleSpec {
    /// The path; `/multivac` is that path and all below it, `/` is everything.
    pub path: HttpPath,
    /// Everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<OpenSpec>,
    /// Users with a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuthSpec>,
    /// Holders of a signed token (JWT).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<BearerAuthSpec>,
}

/// Everyone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("maxProperties" = 0))]
pub struct OpenSpec {}

/// Users with a password (RFC 7617).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BasicAuthSpec {
    /// Lines of `user:hash`, the hash by bcrypt or Argon2 (`millrace hash-password`). There is no
    /// default password.
    pub users: SecretValueSpec,
    /// What the browser's dialogue calls this area. Default: the pipeline's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<Title>,
}

/// Holders of a signed token (JWT, RFC 7519): its signature, `exp` and `nbf`, and what is written
/// here, are checked. Exactly one of `keys` and `keysUrl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.keys), has(self.keysUrl)].filter(x, x).size() == 1",
    "write exactly one of keys (a Secret or file) and keysUrl"
))]
pub struct BearerAuthSpec {
    /// Public keys that sign tokens: a JWK set (RFC 7517) or PEM. RS256, RS384, RS512, PS256,
    /// ES256, ES384 and EdDSA; a shared secret is not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<SecretValueSpec>,
    /// Address of a JWK set, read again every 5 minutes and when a token names an unknown key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_url: Option<HttpUrl>,
    /// Value that `iss` must have. Default: not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Title>,
    /// Values of which `aud` must have one, at most 16. Default: not checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub audiences: Vec<Title>,
    /// Scopes that `scope` must have, all of them; at most 16. Tokens without one get 403.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub scopes: Vec<Title>,
}

/// Limits of the HTTP port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortLimitsSpec {
    /// Connections at once, 1 to 1000000. Default 20000. At the limit the one that has been idle
    /// for longest is closed, and where none is idle new ones wait.
    #[serde(default = "default_connections")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections: i32,
    /// Bytes of a request's headers, 1024 to 1048576. Default 32768; more are refused with 431.
    #[serde(default = "default_header_bytes")]
    #[schemars(range(min = 1024, max = 1_048_576))]
    pub header_bytes: i32,
}

impl Default for PortLimitsSpec {
    fn default() -> Self {
        Self { connections: default_connections(), header_bytes: default_header_bytes() }
    }
}

const fn default_connections() -> i32 {
    20_000
}

const fn default_header_bytes() -> i32 {
    32_768
}
