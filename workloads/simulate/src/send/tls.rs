//! TLS of clients: whom they trust.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Why a client cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum PrepareTlsError {
    /// The file of certificates cannot be used.
    #[error("cannot read certificates from {file}")]
    Certificates {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
    /// The protocol cannot be set up.
    #[error("cannot prepare TLS")]
    Tls(#[from] rustls::Error),
}

/// TLS that trusts the certificates of a file, or those of the system.
///
/// # Errors
/// When the file cannot be read.
pub fn client_tls(authority: Option<&Path>) -> Result<ClientConfig, PrepareTlsError> {
    let mut roots = RootCertStore::empty();
    match authority {
        Some(file) => {
            let wrong = |source| PrepareTlsError::Certificates { file: file.to_owned(), source };
            for certificate in CertificateDer::pem_file_iter(file).map_err(wrong)? {
                roots.add(certificate.map_err(wrong)?)?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
