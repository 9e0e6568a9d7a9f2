//! Who may connect: a file of user names and password hashes.

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use argon2::Argon2;
use argon2::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;
use tokio::sync::Semaphore;

/// How many passwords are checked at a time: each check takes some 20 ms and 19 MiB.
const CHECKS_AT_A_TIME: usize = 2;

/// Users and the hashes of their passwords.
#[derive(Clone)]
pub struct Users {
    hashes: Arc<HashMap<String, String>>,
    checks: Arc<Semaphore>,
}

/// A users file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadUsersError {
    /// The file cannot be read.
    #[error("cannot read the users file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A line is not of the form `name:hash`.
    #[error("line {line} of the users file {path} is not `name:$argon2id$…`")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

impl Users {
    /// Reads a file of lines `name:$argon2id$…`; empty lines and lines that begin with `#` are
    /// passed over.
    ///
    /// # Errors
    /// When the file cannot be read or a line has another form.
    pub fn load(path: &Path) -> Result<Self, LoadUsersError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| LoadUsersError::Read { path: path.to_owned(), source })?;
        let mut hashes = HashMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, hash) = line
                .split_once(':')
                .filter(|(_, hash)| hash.starts_with("$argon2") && PasswordHash::new(hash).is_ok())
                .ok_or_else(|| LoadUsersError::Line { path: path.to_owned(), line: number })?;
            hashes.insert(name.to_owned(), hash.to_owned());
        }
        Ok(Self { hashes: Arc::new(hashes), checks: Arc::new(Semaphore::new(CHECKS_AT_A_TIME)) })
    }

    /// Whether there is such a user with this password. An unknown name takes as long as a wrong
    /// password, so that names cannot be guessed by time.
    pub async fn check(&self, name: &str, password: &[u8]) -> bool {
        let known = self.hashes.get(name);
        let Some(hash) = known.or_else(|| self.hashes.values().next()).cloned() else {
            return false;
        };
        // The semaphore is never closed.
        let Ok(_permit) = self.checks.acquire().await else { return false };
        let password = password.to_vec();
        let matches = tokio::task::spawn_blocking(move || {
            Argon2::default().verify_password(&password, hash.as_str()).is_ok()
        });
        let matches = matches.await.unwrap_or(false);
        matches && known.is_some()
    }
}
