//! `exposure`: how the pipeline is reached, and by whom.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::edge::CertManagerSpec;
use crate::edge::EdgeSpec;
use crate::edge::ExposureMode;
use crate::edge::GatewaySpec;
use crate::edge::IngressClassSpec;
use crate::secret::SecretSpec;
use crate::secret::SecretValueSpec;
use crate::text::FilePath;
use crate::text::HostName;
use crate::text::HttpPath;
use crate::text::HttpUrl;
use crate::text::Origin;
use crate::text::Title;

/// How the pipeline is reached, and by whom.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.mode != 'ingress' || has(self.ingress)",
    "mode ingress needs to know whose it is; write ingress: {className: …}"
))]
#[x_kube(validation = (
    "self.mode != 'gateway' || has(self.gateway)",
    "mode gateway needs to know which one; write gateway: {name: …}"
))]
#[x_kube(validation = (
    "self.mode == 'ingress' || !has(self.ingress)",
    "ingress is used with mode ingress alone; write mode: ingress"
))]
#[x_kube(validation = (
    "self.mode == 'gateway' || !has(self.gateway)",
    "gateway is used with mode gateway alone; write mode: gateway"
))]
#[x_kube(validation = (
    "self.mode != 'none' || (!has(self.tls) && self.auth.size() == 0 && !has(self.edge.requests) && !has(self.edge.connections) && !has(self.edge.balance))",
    "mode none has no edge that could check certificates, users and rates; take tls, auth and what edge limits out, or write mode: edge"
))]
#[x_kube(validation = (
    "!has(self.tls) || !has(self.tls.certManager) || (has(self.hosts) && self.hosts.size() > 0)",
    "certManager gets a certificate for names; write hosts, such as hosts: [race.example.com]"
))]
#[x_kube(validation = (
    "!has(self.gateway) || !has(self.gateway.mqttSection) || (has(self.hosts) && self.hosts.size() > 0)",
    "a route for MQTT goes by the name that a client asks for; write hosts, such as hosts: [race.example.com]"
))]
pub struct ExposureSpec {
    /// How the pipeline is reached from outside a cluster: `edge` (default; the Service of its
    /// nginx), `ingress`, `gateway` or `none`. In one process: by the port of the process.
    #[serde(default)]
    pub mode: ExposureMode,
    /// Names under which it is reached on a cluster, at most 16. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub hosts: Vec<HostName>,
    /// The nginx of a cluster that all requests pass.
    #[serde(default)]
    pub edge: EdgeSpec,
    /// With mode `ingress`: whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressClassSpec>,
    /// With mode `gateway`: the Gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewaySpec>,
    /// Certificate of the HTTP port. Default: none. In one process the port then speaks plain HTTP;
    /// on a cluster the edge has one of the operator's own authority. With one, plain HTTP is
    /// redirected to HTTPS (301).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
    /// Who may reach which paths, at most 64. The rule of the longest path that begins the
    /// request's counts; paths without a rule are open. `/livez`, `/readyz`, `/metrics` and
    /// `/openapi.json` are always open.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub auth: Vec<AuthRuleSpec>,
    /// Who may come by MQTT. Default: everyone who reaches the port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<MqttAccessSpec>,
    /// Origins of pages of other sites whose scripts may read answers and open WebSockets, such as
    /// `https://example.com`; at most 64. Default: none.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub origins: Vec<Origin>,
    /// Limits of the HTTP port.
    #[serde(default)]
    pub limits: PortLimitsSpec,
}

/// A certificate and its key: exactly one of `secret`, `files`, `selfSigned` and `certManager`.
/// Both are read again when they change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.secret), has(self.files), has(self.selfSigned), has(self.certManager)].filter(x, x).size() == 1",
    "write exactly one of secret (with tls.crt and tls.key), files, selfSigned and certManager"
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
    /// On a cluster: a certificate for `hosts` that cert-manager gets and renews.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_manager: Option<CertManagerSpec>,
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

/// Who may come by MQTT: publish what ways in take, and subscribe to what sinks write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MqttAccessSpec {
    /// Lines of `user:hash`, the hash by bcrypt or Argon2 (`millrace hash-password`). Clients of no
    /// such user are refused. Read again when it changes; who is connected stays.
    pub users: SecretValueSpec,
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
