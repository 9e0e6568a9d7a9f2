//! How the pipeline is reached, and by whom, as planned.

use std::path::Path;
use std::path::PathBuf;

/// How the pipeline is reached, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExposurePlan {
    /// The certificate of the HTTP port, if it has one.
    pub tls: Option<TlsSource>,
    /// Who may reach which paths. The rule of the longest path that begins the request's counts.
    pub auth: Vec<AuthRule>,
    /// Lines of `user:hash` of those who may come by MQTT; none: everyone may.
    pub mqtt_users: Option<SecretSource>,
    /// Origins of pages whose scripts may read answers and open WebSockets.
    pub origins: Vec<String>,
    /// Most connections at once.
    pub max_connections: usize,
    /// Most bytes of a request's headers.
    pub max_header_bytes: usize,
}

impl Default for ExposurePlan {
    fn default() -> Self {
        Self {
            tls: None,
            auth: Vec::new(),
            mqtt_users: None,
            origins: Vec::new(),
            max_connections: 20_000,
            max_header_bytes: 32_768,
        }
    }
}

/// Where a certificate and its key come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsSource {
    /// `tls.crt` and `tls.key` of a Secret.
    Secret(String),
    /// Files in PEM.
    Files {
        /// The certificate chain.
        certificate: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// Made at the first start, and kept.
    SelfSigned,
}

/// A value outside of the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A key of a Secret.
    Secret {
        /// Name of the Secret.
        name: String,
        /// Key within it.
        key: String,
    },
    /// A file.
    File(PathBuf),
}

impl SecretSource {
    /// The file that has the value, given the folder that has one folder a Secret.
    #[must_use]
    pub fn file(&self, secrets: &Path) -> PathBuf {
        match self {
            Self::Secret { name, key } => secrets.join(name).join(key),
            Self::File(file) => file.clone(),
        }
    }
}

/// A user name and a password outside of the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialsSource {
    /// `username` and `password` of the Secret of this name.
    Secret(String),
    /// Files of these names in a folder.
    Folder(PathBuf),
}

impl CredentialsSource {
    /// The folder that has the two files, given the folder that has one folder a Secret.
    #[must_use]
    pub fn folder(&self, secrets: &Path) -> PathBuf {
        match self {
            Self::Secret(name) => secrets.join(name),
            Self::Folder(folder) => folder.clone(),
        }
    }
}

/// Who may reach a path and all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthRule {
    /// The path, without a slash at its end unless it is `/`.
    pub path: String,
    /// Who.
    pub access: Access,
}

/// Who may reach a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Everyone.
    Open,
    /// Users with a password.
    Basic {
        /// Lines of `user:hash`.
        users: SecretSource,
        /// What the browser's dialogue calls the area.
        realm: String,
    },
    /// Holders of a signed token.
    Bearer(BearerRule),
}

/// What a token must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BearerRule {
    /// The keys that sign tokens.
    pub keys: KeySource,
    /// Value of `iss`.
    pub issuer: Option<String>,
    /// Values of which `aud` must have one; empty: not checked.
    pub audiences: Vec<String>,
    /// Scopes that `scope` must have.
    pub scopes: Vec<String>,
}

/// Where keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A JWK set or PEM.
    Value(SecretSource),
    /// Address of a JWK set.
    Url(String),
}
