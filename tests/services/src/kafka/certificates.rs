//! Certificates, users and tokens of a secured cluster.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::KeyPair;

use crate::RunServiceError;
use crate::error::file;

/// What clients of a secured cluster need.
#[derive(Debug, Clone)]
pub struct Security {
    /// The certificate of the authority, in PEM.
    pub authority: PathBuf,
    /// The client's certificate, in PEM.
    pub certificate: PathBuf,
    /// The client's private key, in PEM.
    pub key: PathBuf,
    /// The user of SCRAM.
    pub user: &'static str,
    /// The user's password.
    pub password: &'static str,
    /// The servers' key and certificates in one file, as Kafka wants it.
    server: PathBuf,
}

impl Security {
    /// Makes an authority and the certificates that it signs.
    pub(super) fn make(folder: &Path) -> Result<Self, RunServiceError> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Authority of tests");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let certificate = |name: &str, names: &[&str]| {
            let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
            let mut params = CertificateParams::new(names)?;
            params.distinguished_name.push(DnType::CommonName, name);
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &authority)?;
            Ok::<_, rcgen::Error>((certificate.pem(), key.serialize_pem()))
        };
        let (server, server_key) = certificate("server", &["127.0.0.1", "localhost"])?;
        let (client, client_key) = certificate("client", &[])?;
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(file(&path))?;
            Ok::<_, RunServiceError>(path)
        };
        Ok(Self {
            authority: write("authority.pem", &authority.pem())?,
            certificate: write("client.pem", &client)?,
            key: write("client.key", &client_key)?,
            user: "alice",
            password: "of the tests",
            server: write("server.pem", &format!("{server_key}{server}"))?,
        })
    }

    /// An OAUTHBEARER token without a signature, for a number of seconds.
    #[must_use]
    pub fn unsigned_token(subject: &str, issued_seconds: u64, valid_seconds: u64) -> String {
        let claims = serde_json::json!({
            "sub": subject, "iat": issued_seconds, "exp": issued_seconds + valid_seconds,
        });
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(&claims.to_string()))
    }

    /// Arguments of the tool that formats a node's folder.
    pub(super) fn scram_users(&self) -> [String; 4] {
        let Self { user, password, .. } = self;
        let add = |mechanism| format!("{mechanism}=[name={user},password={password}]");
        let option = || "--add-scram".to_owned();
        [option(), add("SCRAM-SHA-256"), option(), add("SCRAM-SHA-512")]
    }

    /// Properties of the ports with TLS.
    pub(super) fn properties(&self) -> String {
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        let bearer = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
                      unsecuredLoginStringClaim_sub=\"server\";";
        format!(
            "ssl.keystore.type=PEM\n\
             ssl.keystore.location={}\n\
             ssl.truststore.type=PEM\n\
             ssl.truststore.location={}\n\
             listener.name.mutual.ssl.client.auth=required\n\
             listener.name.sasl.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER\n\
             listener.name.sasl.scram-sha-256.sasl.jaas.config={scram}\n\
             listener.name.sasl.scram-sha-512.sasl.jaas.config={scram}\n\
             listener.name.sasl.oauthbearer.sasl.jaas.config={bearer}\n",
            self.server.display(),
            self.authority.display(),
        )
    }
}
