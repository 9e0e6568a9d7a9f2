//! Values that are not written in the resource: passwords, keys and certificates.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::text::FilePath;
use crate::text::ResourceName;
use crate::text::SecretKey;

/// A value that is read from a Secret or a file, never from the resource: exactly one of `secret`
/// and `file`. It is read again when it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.secret), has(self.file)].filter(x, x).size() == 1",
    "write exactly one of secret (name and key of a Secret) and file (a path)"
))]
pub struct SecretValueSpec {
    /// A key of a Secret. In one process: the file `<name>/<key>` in the folder given by
    /// `--secrets`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretKeySpec>,
    /// A file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FilePath>,
}

/// A key of a Secret of the pipeline's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeySpec {
    /// Name of the Secret.
    pub name: ResourceName,
    /// Key within the Secret.
    pub key: SecretKey,
}

/// A Secret of the pipeline's namespace. In one process: the folder of this name in the folder
/// given by `--secrets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretSpec {
    /// Name of the Secret.
    pub name: ResourceName,
}
