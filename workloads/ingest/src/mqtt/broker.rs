//! How to reach an external broker: address, credentials and certificates, for both directions.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millrace_plan::model::MqttBroker;
use rumqttc::MqttOptions;
use rumqttc::TlsConfiguration;
use rumqttc::Transport;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem;
use rustls_pki_types::pem::PemObject as _;

use crate::mqtt::backoff::Backoff;

/// Waiting times between two attempts to connect to a broker.
pub const RECONNECT: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));

/// Largest packet to and from a broker.
const MAX_PACKET_BYTES: usize = 16 << 20;

const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Settings of a broker that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The address is not of the expected form.
    #[error("`{0}` is no broker: write `mqtt://host:1883` or `mqtts://host:8883`")]
    Url(String),
    /// The user's name or password cannot be read.
    #[error("cannot read the broker's credentials from {path}")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The certificates to trust cannot be read.
    #[error("cannot read the certificates to trust from {path}")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: pem::Error,
    },
    /// A certificate to trust cannot be used.
    #[error("cannot use the certificates to trust")]
    Trust(#[source] rustls::Error),
}

/// Reads what the settings name and makes the client's options. Called for every attempt to
/// connect, so that changed credentials are taken over.
///
/// `secrets` is the folder that has one folder a Secret.
///
/// # Errors
/// When the address has another form or a file cannot be used.
pub fn options(broker: &MqttBroker, secrets: &Path) -> Result<MqttOptions, BrokerError> {
    let (secure, host, port) =
        parse(&broker.url).ok_or_else(|| BrokerError::Url(broker.url.clone()))?;
    let mut options = MqttOptions::new(&broker.client_id, host, port);
    options.set_keep_alive(KEEP_ALIVE);
    options.set_max_packet_size(MAX_PACKET_BYTES, MAX_PACKET_BYTES);
    options.set_pending_throttle(Duration::ZERO);
    if let Some(credentials) = &broker.credentials {
        let folder = credentials.folder(secrets);
        options.set_credentials(
            credential(&folder.join("username"))?,
            credential(&folder.join("password"))?,
        );
    }
    if secure {
        let authority = broker.certificate_authority.as_ref().map(|source| source.file(secrets));
        let config = Arc::new(trust(authority.as_deref())?);
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(config)));
    }
    Ok(options)
}

/// Splits an address into whether it is by TLS, the host and the port.
fn parse(url: &str) -> Option<(bool, &str, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let (secure, default) = match scheme {
        "mqtt" => (false, 1883),
        "mqtts" => (true, 8883),
        _ => return None,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = if let Some(bracketed) = rest.strip_prefix('[') {
        let (host, after) = bracketed.split_once(']')?;
        (host, after.strip_prefix(':').or_else(|| after.is_empty().then_some(""))?)
    } else {
        rest.split_once(':').unwrap_or((rest, ""))
    };
    let port = if port.is_empty() { default } else { port.parse().ok()? };
    let valid = !host.is_empty() && !host.contains(['/', '@', '?', '#']);
    valid.then_some((secure, host, port))
}

fn credential(path: &Path) -> Result<String, BrokerError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| BrokerError::Credentials { path: path.to_owned(), source })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn trust(ca_file: Option<&Path>) -> Result<ClientConfig, BrokerError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        let unreadable = |source| BrokerError::Certificates { path: path.to_owned(), source };
        for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
            let unreadable = |source| BrokerError::Certificates { path: path.to_owned(), source };
            roots.add(certificate.map_err(unreadable)?).map_err(BrokerError::Trust)?;
        }
        if roots.is_empty() {
            return Err(unreadable(pem::Error::NoItemsFound));
        }
    } else {
        // Systems carry some certificates that no program can read; the others count.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
        .map_err(BrokerError::Trust)
}

#[cfg(test)]
mod tests {
    use millrace_plan::model::CredentialsSource;

    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_host_and_perhaps_a_port() {
        assert_eq!(parse("mqtt://broker"), Some((false, "broker", 1883)));
        assert_eq!(parse("mqtts://broker.example/"), Some((true, "broker.example", 8883)));
        assert_eq!(parse("mqtt://[::1]:1884"), Some((false, "::1", 1884)));
        for bad in ["broker:1883", "http://broker", "mqtt://", "mqtt://u@h", "mqtt://h:x"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn credentials_are_read_without_their_last_line_end() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("broker")).unwrap();
        std::fs::write(folder.path().join("broker/username"), "ann\n").unwrap();
        let broker = MqttBroker {
            url: "mqtt://broker".into(),
            client_id: "c".into(),
            credentials: Some(CredentialsSource::Secret("broker".into())),
            certificate_authority: None,
        };
        let path = folder.path().join("broker/password");
        assert_eq!(
            options(&broker, folder.path()).unwrap_err().to_string(),
            format!("cannot read the broker's credentials from {}", path.display())
        );
        std::fs::write(path, " s \r\n").unwrap();
        let login = options(&broker, folder.path()).unwrap().credentials().unwrap();
        assert_eq!((login.username.as_str(), login.password.as_str()), ("ann", " s "));
    }
}
