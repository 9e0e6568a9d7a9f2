//! Where the keys of tokens come from: a file, or an address that is asked again and again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use parking_lot::RwLock;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::ring;
use tokio::time::Instant;

use super::keys::Key;
use super::keys::LoadKeysError;
use super::keys::MAX_KEYS_BYTES;
use super::keys::parse;
use super::watched::Watched;

/// How often an address is asked.
const REFRESH: Duration = Duration::from_mins(5);

/// Least time between two requests to an address.
const LEAST: Duration = Duration::from_secs(10);

/// Longest time that an answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Keys that cannot be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchKeysError {
    #[error("cannot reach the address of the keys of tokens")]
    Reach(#[from] reqwest::Error),
    #[error("the address of the keys of tokens answers {0}")]
    Status(u16),
    #[error(transparent)]
    Keys(#[from] LoadKeysError),
}

/// An HTTP client that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum MakeClientError {
    /// TLS cannot be set up.
    #[error("cannot set TLS up")]
    Tls(#[from] rustls::Error),
    /// The library refuses.
    #[error("cannot set the HTTP client up")]
    Client(#[from] reqwest::Error),
}

/// Keys of tokens.
pub(super) enum KeySet {
    File(Watched<Vec<Key>, LoadKeysError>),
    Address(Address),
}

/// Keys that are fetched from an address.
pub(super) struct Address {
    url: String,
    client: reqwest::Client,
    keys: RwLock<Option<Arc<Vec<Key>>>>,
    asked: Mutex<Option<Instant>>,
    /// Held while it is being asked, so that those who come meanwhile wait for the same answer.
    asking: tokio::sync::Mutex<()>,
}

impl KeySet {
    /// The keys, if there are any yet.
    pub(super) fn get(&self) -> Option<Arc<Vec<Key>>> {
        match self {
            Self::File(file) => Some(file.get()),
            Self::Address(address) => address.keys.read().clone(),
        }
    }
}

impl Address {
    pub(super) fn new(url: &str) -> Result<Self, MakeClientError> {
        Ok(Self {
            url: url.to_owned(),
            client: client()?,
            keys: RwLock::default(),
            asked: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is time to ask again, without anybody needing it.
    pub(super) fn is_due(&self) -> bool {
        let patience = if self.keys.read().is_some() { REFRESH } else { LEAST };
        self.asked.lock().is_none_or(|asked| asked.elapsed() >= patience)
    }

    /// Asks for the keys, unless that was done a moment ago.
    pub(super) async fn ask(&self) -> Result<(), FetchKeysError> {
        let _asking = self.asking.lock().await;
        if self.asked.lock().is_some_and(|asked| asked.elapsed() < LEAST) {
            return Ok(());
        }
        *self.asked.lock() = Some(Instant::now());
        let keys = self.fetch().await?;
        *self.keys.write() = Some(Arc::new(keys));
        Ok(())
    }

    async fn fetch(&self) -> Result<Vec<Key>, FetchKeysError> {
        let mut answer = self.client.get(&self.url).send().await?;
        if !answer.status().is_success() {
            return Err(FetchKeysError::Status(answer.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            body.extend_from_slice(&chunk);
            // What is too large is told by its length; the rest need not be read.
            if body.len() > MAX_KEYS_BYTES {
                break;
            }
        }
        Ok(parse(Path::new(&self.url), &body)?)
    }
}

fn client() -> Result<reqwest::Client, MakeClientError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::limited(3))
        .build()?)
}
