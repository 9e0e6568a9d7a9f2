//! Folders of the process that archives refer to.

use std::io::Error as IoError;
use std::path::Path;
use std::path::PathBuf;

/// Folders of the process that archives refer to.
#[derive(Debug, Clone)]
pub struct Folders {
    /// What relative paths of archives start from.
    pub data: PathBuf,
    /// One folder for each Secret, with a file for each of its keys; none: no Secrets are given.
    pub secrets: Option<PathBuf>,
}

/// A key of a Secret that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadSecretError {
    /// There is no folder of Secrets.
    #[error("the Secret `{0}` is needed: name the folder of Secrets with --secrets")]
    NoFolder(String),
    /// The file is missing or cannot be read.
    #[error("cannot read {}: put the value of the Secret's key there", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: IoError,
    },
}

impl Folders {
    /// The value of a Secret's key, without space around it.
    pub(crate) fn secret(&self, name: &str, key: &str) -> Result<String, ReadSecretError> {
        let file = self.secret_folder(name)?.join(key);
        let value = std::fs::read_to_string(&file)
            .map_err(|source| ReadSecretError::File { file, source })?;
        Ok(value.trim().to_owned())
    }

    /// The value of a Secret's key that may be missing.
    pub(crate) fn optional_secret(
        &self,
        name: &str,
        key: &str,
    ) -> Result<Option<String>, ReadSecretError> {
        if self.secret_folder(name)?.join(key).exists() {
            self.secret(name, key).map(Some)
        } else {
            Ok(None)
        }
    }

    fn secret_folder(&self, name: &str) -> Result<PathBuf, ReadSecretError> {
        let secrets: Option<&Path> = self.secrets.as_deref();
        secrets
            .map(|secrets| secrets.join(name))
            .ok_or_else(|| ReadSecretError::NoFolder(name.to_owned()))
    }
}
