//! How clients of the cluster are configured for what they do, and how they prove who they are.
//!
//! Secrets come from files that are read when a client is made, the token again whenever it is
//! about to expire. What librdkafka tells goes to `tracing`.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::error::RDKafkaErrorCode;

use super::quiet;
use super::settings::KafkaSasl;
use super::settings::KafkaSettings;
use super::settings::KafkaTls;
use super::settings::ReadAhead;
use super::token;

/// Largest message that a topic takes: the largest value of an event, its key and its headers.
pub(super) const MAX_MESSAGE_BYTES: usize = millrace_core::record::MAX_VALUE_BYTES + (1 << 20);

/// After this time the brokers are told that what they have not confirmed is given up.
pub(super) const DELIVERY_TIMEOUT_MILLISECONDS: u32 = 10_000;

/// A connection that cannot be configured as it is asked for.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureKafkaError {
    /// There is no address.
    #[error("`bootstrapServers` names no broker: write at least one `host:port`")]
    NoServers,
    /// A file cannot be read.
    #[error("cannot read {path}, which `{field}` names")]
    ReadFile {
        /// The field of the connection file.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// A file has nothing in it.
    #[error("{path}, which `{field}` names, is empty")]
    EmptyFile {
        /// The field of the connection file.
        field: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A certificate without its key, or the other way round.
    #[error(
        "`tls` has only one of `certificate` and `key`: mutual TLS needs both, other TLS neither"
    )]
    HalfCertificate,
    /// The number of copies makes no sense.
    #[error("`replicationFactor` is {0}: it must be from 1 to the number of brokers")]
    ReplicationFactor(i32),
    /// librdkafka does not take the configuration.
    #[error("the Kafka client cannot be made")]
    Create(#[source] KafkaError),
}

/// What a client is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role<'a> {
    /// Appends, idempotently, each batch for itself.
    Producer,
    /// Appends and commits offsets in transactions under this id.
    Transactions {
        /// The transactional id.
        id: &'a str,
    },
    /// Reads partitions that it is told, as far as they are committed, without being a member of
    /// a group. Clients of librdkafka need a name of a group for that nevertheless.
    Reader {
        /// The name of a group that nobody joins.
        group: &'a str,
    },
    /// Takes part in a group, classic protocol.
    Member {
        /// The group.
        group: &'a str,
    },
    /// Makes, changes and removes topics.
    Admin,
}

/// The configuration of a client. It reads the files that the settings name.
pub(super) fn config(
    settings: &KafkaSettings,
    role: Role<'_>,
) -> Result<ClientConfig, ConfigureKafkaError> {
    if settings.bootstrap_servers.is_empty() {
        return Err(ConfigureKafkaError::NoServers);
    }
    if settings.replication_factor < 1 {
        return Err(ConfigureKafkaError::ReplicationFactor(settings.replication_factor));
    }
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Info);
    set(
        &mut config,
        &[
            ("client.id", "millrace"),
            ("socket.keepalive.enable", "true"),
            ("socket.nagle.disable", "true"),
            ("socket.timeout.ms", "10000"),
            ("socket.connection.setup.timeout.ms", "5000"),
            // A broker that is back is found within two seconds.
            ("reconnect.backoff.ms", "100"),
            ("reconnect.backoff.max.ms", "2000"),
            ("log.connection.close", "false"),
            // Topics may be removed and made anew.
            ("topic.metadata.refresh.interval.ms", "30000"),
        ],
    );
    config.set("bootstrap.servers", settings.bootstrap_servers.join(","));
    encrypt(&mut config, settings)?;
    authenticate(&mut config, settings)?;
    match role {
        Role::Producer => produce(&mut config),
        Role::Transactions { id } => {
            produce(&mut config);
            config.set("transactional.id", id);
            config.set("transaction.timeout.ms", "10000");
        }
        Role::Reader { group } => read(&mut config, group, settings.read_ahead),
        Role::Member { group } => take_part(&mut config, group),
        Role::Admin => {}
    }
    Ok(config)
}

fn set(config: &mut ClientConfig, properties: &[(&str, &str)]) {
    for (name, value) in properties {
        config.set(*name, *value);
    }
}

fn produce(config: &mut ClientConfig) {
    config.set("message.max.bytes", MAX_MESSAGE_BYTES.to_string());
    config.set("message.timeout.ms", DELIVERY_TIMEOUT_MILLISECONDS.to_string());
    set(
        config,
        &[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("compression.codec", "lz4"),
            // Callers bring batches, so that waiting for more is short.
            ("linger.ms", "2"),
            ("batch.size", "1000000"),
            ("batch.num.messages", "20000"),
            ("request.timeout.ms", "5000"),
            ("retry.backoff.ms", "50"),
            ("retry.backoff.max.ms", "500"),
            // The queue is bounded by whoever produces; this is the last bound.
            ("queue.buffering.max.messages", "1000000"),
            ("queue.buffering.max.kbytes", "262144"),
        ],
    );
}

fn read(config: &mut ClientConfig, group: &str, ahead: ReadAhead) {
    config.set("group.id", group);
    set(
        config,
        &[
            ("isolation.level", "read_committed"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "earliest"),
            ("allow.auto.create.topics", "false"),
            ("check.crcs", "true"),
            // A partition that a reader turns to waits at most this long for the answer to a
            // fetch that is under way.
            ("fetch.wait.max.ms", "100"),
            ("fetch.min.bytes", "1"),
            ("fetch.error.backoff.ms", "200"),
            ("fetch.queue.backoff.ms", "10"),
        ],
    );
    // Of each partition: bytes of a fetch, compressed and in whole batches, and what waits beside one.
    let (fetch, messages, kilobytes) = match ahead {
        ReadAhead::Batches => ("1048576", "20000", "2048"),
        ReadAhead::Pages => ("65536", "1000", "256"),
    };
    set(
        config,
        &[
            ("fetch.message.max.bytes", fetch),
            ("queued.min.messages", messages),
            ("queued.max.messages.kbytes", kilobytes),
        ],
    );
}

fn take_part(config: &mut ClientConfig, group: &str) {
    config.set("group.id", group);
    set(
        config,
        &[
            ("isolation.level", "read_committed"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "earliest"),
            ("allow.auto.create.topics", "false"),
            ("group.protocol", "classic"),
            ("partition.assignment.strategy", "range"),
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "1000"),
        ],
    );
}

fn encrypt(config: &mut ClientConfig, settings: &KafkaSettings) -> Result<(), ConfigureKafkaError> {
    let Some(tls) = &settings.tls else { return Ok(()) };
    let KafkaTls { certificate_authority, certificate, key } = tls;
    match certificate_authority {
        Some(path) => {
            readable("tls.certificateAuthority", path)?;
            config.set("ssl.ca.location", path.to_string_lossy());
        }
        // Our OpenSSL is built in and does not know where the system keeps its certificates.
        None => drop(config.set("ssl.ca.location", "probe")),
    }
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            readable("tls.certificate", certificate)?;
            readable("tls.key", key)?;
            config.set("ssl.certificate.location", certificate.to_string_lossy());
            config.set("ssl.key.location", key.to_string_lossy());
        }
        (None, None) => {}
        _ => return Err(ConfigureKafkaError::HalfCertificate),
    }
    Ok(())
}

fn authenticate(
    config: &mut ClientConfig,
    settings: &KafkaSettings,
) -> Result<(), ConfigureKafkaError> {
    let encrypted = settings.tls.is_some();
    let protocol = match (&settings.sasl, encrypted) {
        (None, false) => "plaintext",
        (None, true) => "ssl",
        (Some(_), false) => "sasl_plaintext",
        (Some(_), true) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    let (mechanism, username, password) = match &settings.sasl {
        None => return Ok(()),
        Some(KafkaSasl::OAuthBearer { token_file }) => {
            readable("sasl.tokenFile", token_file)?;
            config.set("sasl.mechanism", "OAUTHBEARER");
            return Ok(());
        }
        Some(KafkaSasl::ScramSha256 { username_file, password_file }) => {
            ("SCRAM-SHA-256", username_file, password_file)
        }
        Some(KafkaSasl::ScramSha512 { username_file, password_file }) => {
            ("SCRAM-SHA-512", username_file, password_file)
        }
    };
    config.set("sasl.mechanism", mechanism);
    config.set("sasl.username", text("sasl.usernameFile", username)?);
    config.set("sasl.password", text("sasl.passwordFile", password)?);
    Ok(())
}

fn readable(field: &'static str, path: &Path) -> Result<(), ConfigureKafkaError> {
    text(field, path).map(drop)
}

/// A file's text without the line end that editors put behind a secret.
fn text(field: &'static str, path: &Path) -> Result<String, ConfigureKafkaError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigureKafkaError::ReadFile {
        field,
        path: path.to_owned(),
        source,
    })?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(ConfigureKafkaError::EmptyFile { field, path: path.to_owned() });
    }
    Ok(text.to_owned())
}

/// What every client's context is made of: it passes librdkafka's log lines and errors on, and
/// brings tokens. A context of one's own holds it and delegates to it by [`delegate_client`].
#[derive(Clone, Default)]
pub(super) struct Connection {
    token_file: Option<PathBuf>,
    last_error: Arc<Mutex<Option<String>>>,
}

impl Connection {
    pub(super) fn new(settings: &KafkaSettings) -> Self {
        let token_file = match &settings.sasl {
            Some(KafkaSasl::OAuthBearer { token_file }) => Some(token_file.clone()),
            _ => None,
        };
        Self { token_file, last_error: Arc::default() }
    }

    /// What the client last complained of, such as a certificate that it does not trust. It is
    /// known once librdkafka was served.
    pub(super) fn last_error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl ClientContext for Connection {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(message = "The Kafka client tells.", facility, text);
            }
            // Connections that fail are said at this level at every attempt; what it means for
            // the log is told by whoever needs the connection.
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
                if let Some(left_out) = quiet::left_out(facility, text) {
                    tracing::info!(message = "The Kafka client tells.", facility, text, left_out);
                }
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(message = "The Kafka client tells.", facility, text);
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Readers come to the end of a partition all the time.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        let code = error.rdkafka_error_code().map_or_else(String::new, |code| format!("{code:?}"));
        if let Some(left_out) = quiet::left_out(&code, reason) {
            tracing::info!(message = "The Kafka client has an error.", %error, reason, left_out);
        }
        // That brokers are down says less than why.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.last_error.lock() = Some(reason.to_owned());
        }
    }

    fn generate_oauth_token(
        &self,
        _config: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let path = self.token_file.as_deref().ok_or("no token file is configured")?;
        let token = text("sasl.tokenFile", path)?;
        Ok(token::describe(token))
    }
}

impl ConsumerContext for Connection {}

/// Implements `ClientContext` for a type by its field, which is a [`Connection`].
macro_rules! delegate_client {
    ($context:ty, $field:ident) => {
        impl rdkafka::ClientContext for $context {
            const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

            fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, text: &str) {
                self.$field.log(level, facility, text);
            }

            fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
                self.$field.error(error, reason);
            }

            fn generate_oauth_token(
                &self,
                config: Option<&str>,
            ) -> Result<rdkafka::client::OAuthToken, Box<dyn std::error::Error>> {
                self.$field.generate_oauth_token(config)
            }
        }
    };
}
pub(super) use delegate_client;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(more: &str) -> KafkaSettings {
        let text = format!("{{\"bootstrapServers\": [\"a:1\", \"b:2\"]{more}}}");
        serde_json::from_str(&text).unwrap()
    }

    fn error(more: &str) -> String {
        config(&settings(more), Role::Admin).unwrap_err().to_string()
    }

    #[test]
    fn without_tls_and_sasl_nothing_is_encrypted_or_proven() {
        let config = config(&settings(""), Role::Producer).unwrap();
        assert_eq!(config.get("bootstrap.servers"), Some("a:1,b:2"));
        assert_eq!(config.get("security.protocol"), Some("plaintext"));
        assert_eq!(config.get("enable.idempotence"), Some("true"));
        assert_eq!(config.get("ssl.ca.location"), None);
    }

    #[test]
    fn files_that_are_missing_or_empty_are_named_with_their_field() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("password");
        fs::write(&empty, "\n").unwrap();
        assert_eq!(
            error(", \"tls\": {\"certificateAuthority\": \"nowhere/ca.pem\"}"),
            "cannot read nowhere/ca.pem, which `tls.certificateAuthority` names"
        );
        let sasl = format!(
            ", \"sasl\": {{\"mechanism\": \"SCRAM-SHA-512\", \"usernameFile\": {empty:?}, \
             \"passwordFile\": {empty:?}}}"
        );
        let expected = format!("{}, which `sasl.usernameFile` names, is empty", empty.display());
        assert_eq!(error(&sasl), expected);
    }

    #[test]
    fn a_certificate_needs_its_key() {
        assert!(error(", \"tls\": {\"key\": \"k\"}").contains("mutual TLS needs both"));
    }

    #[test]
    fn user_and_password_come_from_files_without_the_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let (user, password) = (folder.path().join("user"), folder.path().join("password"));
        fs::write(&user, "ann\n").unwrap();
        fs::write(&password, " s e c \r\n").unwrap();
        let more = format!(
            ", \"tls\": {{}}, \"sasl\": {{\"mechanism\": \"SCRAM-SHA-256\", \
             \"usernameFile\": {user:?}, \"passwordFile\": {password:?}}}"
        );
        let config = config(&settings(&more), Role::Admin).unwrap();
        assert_eq!(config.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(config.get("sasl.mechanism"), Some("SCRAM-SHA-256"));
        assert_eq!(config.get("sasl.username"), Some("ann"));
        assert_eq!(config.get("sasl.password"), Some(" s e c "));
        assert_eq!(config.get("ssl.ca.location"), Some("probe"));
    }

    #[test]
    fn every_role_is_a_configuration_that_librdkafka_takes() {
        for role in [
            Role::Producer,
            Role::Transactions { id: "t" },
            Role::Reader { group: "g" },
            Role::Member { group: "g" },
            Role::Admin,
        ] {
            config(&settings(""), role).unwrap().create_native_config().unwrap();
        }
    }
}
