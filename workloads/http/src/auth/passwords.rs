//! Users and the hashes of their passwords: lines of `user:hash`.

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use argon2::Argon2;
use argon2::PasswordHasher as _;
use argon2::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;

/// Longest password, in bytes.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// Most bytes of a users file.
pub(crate) const MAX_USERS_BYTES: usize = 4 * 1024 * 1024;

/// A users file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadUsersError {
    /// The file cannot be read.
    #[error(
        "cannot read the users file {path}, whose lines `millrace hash-password --user NAME` makes"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The file is not UTF-8.
    #[error("the users file {path} is not UTF-8")]
    Encoding {
        /// The file.
        path: PathBuf,
    },
    /// The file is too large.
    #[error("the users file {path} has more than {MAX_USERS_BYTES} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A line is not of the form `name:hash`.
    #[error(
        "line {line} of the users file {path} is not `name:hash` with a hash by Argon2 or bcrypt: `millrace hash-password --user NAME` makes such a line"
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// There is no user in the file.
    #[error(
        "the users file {path} has no line `name:hash`: `millrace hash-password --user NAME` makes one"
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// A password that cannot be hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashPasswordError {
    /// It is empty or too long.
    #[error("a password has 1 to {MAX_PASSWORD_BYTES} bytes")]
    Length,
    /// The computation fails.
    #[error("cannot hash the password: {0}")]
    Hash(String),
}

/// The hash of a password, by Argon2id with a salt of its own: what a users file has after the
/// colon.
///
/// # Errors
/// When the password is empty or too long.
pub fn hash_password(password: &[u8]) -> Result<String, HashPasswordError> {
    if password.is_empty() || password.len() > MAX_PASSWORD_BYTES {
        return Err(HashPasswordError::Length);
    }
    Argon2::default()
        .hash_password(password)
        .map(|hash| hash.to_string())
        .map_err(|error| HashPasswordError::Hash(error.to_string()))
}

/// The hash of a user's password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hash {
    Argon2(Arc<str>),
    Bcrypt(Arc<str>),
}

impl Hash {
    fn parse(text: &str) -> Option<Self> {
        if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            text.parse::<bcrypt::HashParts>().ok()?;
            return Some(Self::Bcrypt(text.into()));
        }
        let is_argon2 = text.starts_with("$argon2id$") && PasswordHash::new(text).is_ok();
        is_argon2.then(|| Self::Argon2(text.into()))
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Argon2(text) | Self::Bcrypt(text) => text,
        }
    }

    /// Whether this is the hash of the password. Takes some 20 to 200 ms.
    pub(crate) fn verify(&self, password: &[u8]) -> bool {
        if password.len() > MAX_PASSWORD_BYTES {
            return false;
        }
        match self {
            Self::Argon2(hash) => Argon2::default().verify_password(password, &**hash).is_ok(),
            // Compares in constant time; beyond 72 bytes bcrypt itself ignores the rest.
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
        }
    }
}

/// Users and the hashes of their passwords.
#[derive(Debug)]
pub(crate) struct Users(HashMap<String, Hash>);

impl Users {
    /// Reads lines of `name:hash`; empty lines and lines that begin with `#` are passed over.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, LoadUsersError> {
        if bytes.len() > MAX_USERS_BYTES {
            return Err(LoadUsersError::TooLarge { path: path.to_owned() });
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|_| LoadUsersError::Encoding { path: path.to_owned() })?;
        let mut users = HashMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, hash) = line
                .split_once(':')
                .filter(|(name, _)| !name.is_empty())
                .and_then(|(name, hash)| Some((name, Hash::parse(hash)?)))
                .ok_or_else(|| LoadUsersError::Line { path: path.to_owned(), line: number })?;
            users.insert(name.to_owned(), hash);
        }
        if users.is_empty() {
            return Err(LoadUsersError::Empty { path: path.to_owned() });
        }
        Ok(Self(users))
    }

    /// The hash to check a password against, and whether there is such a user. An unknown name
    /// gets somebody's hash, so that it takes as long and names cannot be told apart by time.
    pub(crate) fn find(&self, name: &str) -> Option<(&Hash, bool)> {
        match self.0.get(name) {
            Some(hash) => Some((hash, true)),
            None => self.0.values().next().map(|hash| (hash, false)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `hunter2`, with the least cost, made by htpasswd.
    const BCRYPT: &str = "$2y$04$8x8.eTsyUlE7EYl0CIcL3.R7BrtvvGImNkfNEnDj0XNZBXQq3EkJ2";

    fn parse(text: &str) -> Result<Users, LoadUsersError> {
        Users::parse(Path::new("users"), text.as_bytes())
    }

    #[test]
    fn what_is_hashed_here_is_verified_here() {
        let hash = hash_password(b"hunter2").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
        let users = parse(&format!("# those who may\n\nalice:{hash}\n")).unwrap();
        let (hash, known) = users.find("alice").unwrap();
        assert!(known && hash.verify(b"hunter2") && !hash.verify(b"hunter3"));
        assert!(!users.find("bob").unwrap().1);
    }

    #[test]
    fn the_three_prefixes_of_bcrypt_are_the_same() {
        let made = bcrypt::hash_with_result("hunter2", 4).unwrap();
        for version in [bcrypt::Version::TwoA, bcrypt::Version::TwoB, bcrypt::Version::TwoY] {
            let users = parse(&format!("alice:{}", made.format_for_version(version))).unwrap();
            let (hash, _) = users.find("alice").unwrap();
            assert!(hash.verify(b"hunter2") && !hash.verify(b"hunter"));
        }
        assert!(Hash::parse(BCRYPT).is_some());
    }

    #[test]
    fn other_lines_are_refused_by_number() {
        for line in ["alice", "alice:secret", "alice:$1$abc", ":$2y$04$x", "alice:$2y$04$x"] {
            let error = parse(&format!("bob:{BCRYPT}\n{line}\n")).unwrap_err().to_string();
            assert!(error.starts_with("line 2 of the users file users is not"), "{error}");
        }
        assert!(matches!(parse("# nobody\n"), Err(LoadUsersError::Empty { .. })));
    }

    #[test]
    fn a_password_has_a_length() {
        assert!(hash_password(b"").is_err());
        assert!(hash_password(&[b'x'; 1025]).is_err());
    }
}
