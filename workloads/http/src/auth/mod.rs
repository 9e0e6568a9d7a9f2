//! Who may reach which paths: the rule of the longest path that begins the request's counts.

mod address;
mod basic;
mod bearer;
mod checked;
mod failures;
mod key_set;
mod keys;
mod passwords;
mod token;
mod watched;

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::Method;
use axum::http::StatusCode;
use millrace_plan::model::Access;
use millrace_plan::model::ExposurePlan;
use millrace_plan::model::KeySource;
use millrace_plan::model::SecretSource;
use tokio_util::sync::CancellationToken;

use self::basic::Basic;
use self::bearer::Bearer;
use self::checked::Checks;
pub use self::checked::PasswordFile;
use self::checked::Passwords;
pub use self::checked::RefusedPassword;
use self::failures::Failures;
use self::key_set::Address;
use self::key_set::KeySet;
pub use self::key_set::MakeClientError;
pub use self::keys::LoadKeysError;
pub use self::passwords::HashPasswordError;
pub use self::passwords::LoadUsersError;
pub use self::passwords::MAX_PASSWORD_BYTES;
use self::passwords::Users;
pub use self::passwords::hash_password;
use self::watched::Watched;
use self::watched::watch;
use crate::ClientAddress;
use crate::Problem;

/// Credentials that cannot be checked for want of a file.
#[derive(Debug, thiserror::Error)]
pub enum LoadAuthError {
    /// A value is not there.
    #[error("`{rule}` in exposure.auth needs {what}: expected in {file}; {hint}")]
    Missing {
        /// Path of the rule.
        rule: String,
        /// What is missing.
        what: String,
        /// Where it is expected.
        file: PathBuf,
        /// What to do.
        hint: String,
    },
    /// A users file cannot be used.
    #[error(transparent)]
    Users(#[from] LoadUsersError),
    /// Keys cannot be used.
    #[error(transparent)]
    Keys(#[from] LoadKeysError),
    /// Nothing can be fetched.
    #[error(transparent)]
    Client(#[from] MakeClientError),
}

/// Who may reach which paths.
pub struct Auth {
    /// By the number of their segments, the most first.
    rules: Vec<Rule>,
    failures: Failures,
}

struct Rule {
    segments: Vec<String>,
    guard: Guard,
}

enum Guard {
    Open,
    Basic(Basic),
    Bearer(Bearer),
}

impl Auth {
    /// Reads what the rules need. Secrets are folders in `secrets`, their keys files within.
    ///
    /// # Errors
    /// When a file is missing or cannot be used.
    pub fn load(plan: &ExposurePlan, secrets: &Path) -> Result<Self, LoadAuthError> {
        let checks = Arc::new(Checks::default());
        let mut rules = Vec::with_capacity(plan.auth.len());
        for rule in &plan.auth {
            let guard = match &rule.access {
                Access::Open => Guard::Open,
                Access::Basic { users, realm } => {
                    let file = users.file(secrets);
                    let bytes = read(
                        &file,
                        users,
                        &rule.path,
                        "users and their passwords",
                        || {
                            let folder = file.parent().unwrap_or(Path::new("."));
                            format!(
                                "`mkdir -p {} && millrace hash-password --user alice >> {}` makes it",
                                folder.display(),
                                file.display()
                            )
                        },
                    )?;
                    let bytes = bytes
                        .map_err(|source| LoadUsersError::Read { path: file.clone(), source })?;
                    let users = Watched::new(&file, &bytes, Users::parse)?;
                    Guard::Basic(Basic::new(realm, Passwords::new(users, Arc::clone(&checks))))
                }
                Access::Bearer(bearer) => {
                    let keys = match &bearer.keys {
                        KeySource::Value(source) => {
                            let file = source.file(secrets);
                            let hint = || {
                                "put the JWK set of your issuer, or its public key in PEM, there"
                                    .to_owned()
                            };
                            let bytes = read(&file, source, &rule.path, "keys of tokens", hint)?;
                            let bytes = bytes.map_err(|source| LoadKeysError::Read {
                                path: file.clone(),
                                source,
                            })?;
                            KeySet::File(Watched::new(&file, &bytes, keys::parse)?)
                        }
                        KeySource::Url(url) => KeySet::Address(Address::new(url)?),
                    };
                    Guard::Bearer(Bearer::new(bearer.clone(), keys))
                }
            };
            rules.push(Rule { segments: address::segments(&rule.path), guard });
        }
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.segments.len()));
        Ok(Self { rules, failures: Failures::default() })
    }

    /// Lets a request pass, with its [`User`](crate::User) among its extensions if there is one,
    /// or says why not.
    ///
    /// # Errors
    /// Why not: 401, 403, 429, 503, or 400 where the path could be understood in two ways.
    pub(crate) async fn check(&self, request: &mut Request) -> Result<(), Problem> {
        let path = request.uri().path();
        // Other methods lead elsewhere: `POST /metrics` may belong to the path `/{device}`.
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if self.rules.is_empty() || (reads && address::ALWAYS_OPEN.contains(&path)) {
            return Ok(());
        }
        let rule = address::choose(path, &self.rules, |rule| rule.segments.as_slice())
            .map_err(|unclear| Problem::new(StatusCode::BAD_REQUEST, unclear.to_string()))?;
        let Some(rule) = rule else { return Ok(()) };
        let client = request
            .extensions()
            .get::<ClientAddress>()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |client| client.0.ip());
        let headers = request.headers();
        let user = match &rule.guard {
            Guard::Open => return Ok(()),
            Guard::Basic(basic) => basic.check(headers, client, &self.failures).await?,
            Guard::Bearer(bearer) => bearer.check(headers, client, &self.failures).await?,
        };
        request.extensions_mut().insert(user);
        Ok(())
    }

    /// Reads files again when they change and fetches keys, until told to stop. What cannot be
    /// used is logged, and what was before stays.
    pub async fn watch(&self, stop: CancellationToken) {
        watch(&stop, || self.refresh()).await;
    }

    async fn refresh(&self) {
        for rule in &self.rules {
            rule.guard.refresh().await;
        }
    }
}

impl Guard {
    async fn refresh(&self) {
        match self {
            Self::Open => {}
            Self::Basic(basic) => basic.passwords.users.refresh().await,
            Self::Bearer(bearer) => match &bearer.keys {
                KeySet::File(file) => file.refresh().await,
                KeySet::Address(address) => {
                    if address.is_due() {
                        bearer.ask().await;
                    }
                }
            },
        }
    }
}

/// Reads a value's file; the outer error says how to make one that is not there.
fn read(
    file: &Path,
    source: &SecretSource,
    rule: &str,
    what: &str,
    hint: impl FnOnce() -> String,
) -> Result<std::io::Result<Vec<u8>>, LoadAuthError> {
    let bytes = std::fs::read(file);
    match bytes {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let of = match source {
                SecretSource::Secret { name, key } => format!(", the key {key} of Secret {name}"),
                SecretSource::File(_) => String::new(),
            };
            Err(LoadAuthError::Missing {
                rule: rule.to_owned(),
                what: format!("{what}{of}"),
                file: file.to_owned(),
                hint: hint(),
            })
        }
        bytes => Ok(bytes),
    }
}

/// Too many wrong credentials came from the client's address.
fn too_many(wait: Duration) -> Problem {
    // Rounded up: whoever comes after it, is heard.
    let wait = Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too many wrong credentials came from this address; come again later",
    )
    .retry_after(wait)
}
