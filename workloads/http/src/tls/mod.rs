//! TLS of an HTTP port: by rustls with ring, with a certificate that is read again when its files
//! change.

mod certificate;
mod self_signed;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use millrace_core::with_causes;
use millrace_observe::Observer;
use millrace_plan::model::TlsSource;
use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring;
use rustls::server::ClientHello;
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;
use tracing::error;
use tracing::info;

use self::certificate::CertificateFiles;
use self::certificate::Contents;
pub use self::certificate::LoadCertificateError;
use self::certificate::expiry;
pub use self::self_signed::MakeCertificateError;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// TLS that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadTlsError {
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] LoadCertificateError),
    /// No certificate can be made.
    #[error(transparent)]
    Make(#[from] MakeCertificateError),
    /// The library refuses.
    #[error("cannot set TLS up")]
    Configure(#[from] rustls::Error),
}

/// TLS of an HTTP port.
#[derive(Clone)]
pub struct Tls {
    files: CertificateFiles,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
    metrics: TlsMetrics,
}

#[derive(Clone, Default)]
struct TlsMetrics {
    expiry: Gauge<i64, AtomicI64>,
    failures: Counter,
}

/// The certificate that handshakes get.
struct Current {
    key: RwLock<Arc<CertifiedKey>>,
    contents: RwLock<Contents>,
    provider: Arc<CryptoProvider>,
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the current certificate")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.key.read()))
    }
}

impl Tls {
    /// Reads the certificate. Secrets are folders in `secrets`; a self-signed certificate is made
    /// in the folder `tls` of `data` and kept there.
    ///
    /// # Errors
    /// When there is no certificate, or none that can be used with its key.
    pub fn load(
        source: &TlsSource,
        secrets: &Path,
        data: &Path,
        observer: &Observer,
    ) -> Result<Self, LoadTlsError> {
        let files = match source {
            TlsSource::Secret(name) => CertificateFiles {
                certificate: secrets.join(name).join("tls.crt"),
                key: secrets.join(name).join("tls.key"),
                hint: "put tls.crt and tls.key there, in PEM, or name another folder with --secrets",
            },
            TlsSource::Files { certificate, key } => CertificateFiles {
                certificate: certificate.clone(),
                key: key.clone(),
                hint: "put it there, in PEM, or write another path in exposure.tls.files",
            },
            TlsSource::SelfSigned => self_signed::certificate(&data.join("tls"))?,
        };
        let provider = Arc::new(ring::default_provider());
        let contents = files.read()?;
        let key = files.parse(&contents, &provider)?;
        let current = Arc::new(Current {
            key: RwLock::new(key),
            contents: RwLock::new(contents),
            provider: Arc::clone(&provider),
        });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Sessions are resumed without anything being kept here for them.
        config.ticketer = ring::Ticketer::new()?;
        let metrics = TlsMetrics::default();
        observer.register(
            "http_tls_certificate_expiry_seconds",
            "When the certificate of the HTTP port ends, in seconds since 1970",
            metrics.expiry.clone(),
        );
        observer.register(
            "http_tls_certificate_reload_failures",
            "Changed certificate files that could not be used; the certificate before stays",
            metrics.failures.clone(),
        );
        let tls = Self { files, current, config: Arc::new(config), metrics };
        tls.show_expiry();
        Ok(tls)
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Reads the files again when they change, until told to stop. Files that cannot be used are
    /// logged, and the certificate before stays.
    pub async fn watch(&self, stop: CancellationToken) {
        let mut seen_failure = String::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let tls = self.clone();
            // Files and keys take a moment.
            let reloaded = tokio::task::spawn_blocking(move || tls.reload()).await;
            match reloaded {
                Ok(Ok(true)) => {
                    info!(message = "The certificate has changed.", file = %self.files.certificate.display());
                    seen_failure.clear();
                }
                Ok(Ok(false)) | Err(_) => seen_failure.clear(),
                Ok(Err(failure)) => {
                    let failure = with_causes(&failure);
                    // Told once, not every two seconds.
                    if failure != seen_failure {
                        error!(
                            message =
                                "The changed certificate cannot be used; the one before stays.",
                            error = failure
                        );
                        self.metrics.failures.inc();
                        seen_failure = failure;
                    }
                }
            }
        }
    }

    /// Whether the files have changed; then they are used from now on.
    fn reload(&self) -> Result<bool, LoadCertificateError> {
        let contents = self.files.read()?;
        if *self.current.contents.read() == contents {
            return Ok(false);
        }
        let key = self.files.parse(&contents, &self.current.provider)?;
        *self.current.key.write() = key;
        *self.current.contents.write() = contents;
        self.show_expiry();
        Ok(true)
    }

    fn show_expiry(&self) {
        let key = Arc::clone(&self.current.key.read());
        let end = key.end_entity_cert().ok().and_then(expiry);
        let seconds = end.and_then(|end| end.duration_since(UNIX_EPOCH).ok());
        let seconds = seconds.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
        self.metrics.expiry.set(seconds);
    }
}
