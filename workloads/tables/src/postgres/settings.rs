//! Where the database is and how to reach it: what a connection's file says.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

/// How to reach a Postgres database: the content of `postgres.yaml` in a folder of connections.
/// Secrets are in files of their own, which are read anew for each connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostgresSettings {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    #[serde(default = "default_port")]
    pub port: u16,
    /// The database.
    pub database: String,
    /// The schema that the tables are in; left out: the pipeline's name as an identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The role that owns what is made, if it is not the user: the user has to be a member of it.
    /// With it, users can be exchanged for one another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The file with the user's name; a line break at its end is cut off.
    pub username_file: PathBuf,
    /// The file with the password; left out: none is sent, and the server trusts the client's
    /// certificate or the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: PostgresTls,
    /// Most connections of one process.
    #[serde(default = "default_connections")]
    pub max_connections: u32,
    /// Longest time of one statement, in seconds; the server stops what takes longer.
    #[serde(default = "default_statement_seconds")]
    pub statement_timeout: u32,
}

/// How a connection is protected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostgresTls {
    /// Whether TLS is used, and what is checked.
    #[serde(default)]
    pub mode: PostgresTlsMode,
    /// A PEM file with the certificates that the server's is issued by; left out: the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<PathBuf>,
    /// A PEM file with the client's certificate, where the server wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// A PEM file with the key of the client's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

/// Whether TLS is used, and what is checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PostgresTlsMode {
    /// No TLS.
    Disable,
    /// TLS where the server has it, of any certificate.
    #[default]
    Prefer,
    /// TLS; the certificate is checked where an authority is named, the server's name is not.
    Require,
    /// TLS; the certificate and the server's name in it are checked.
    VerifyFull,
}

impl PostgresSettings {
    /// The schema of a pipeline.
    #[must_use]
    pub fn schema_of(&self, pipeline: &str) -> String {
        self.schema.clone().unwrap_or_else(|| schema_name(pipeline))
    }

    /// The server as a person knows it.
    pub(super) fn place(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }

    /// Longest time of one statement on the server.
    pub(super) fn statement_limit(&self) -> Duration {
        Duration::from_secs(u64::from(self.statement_timeout.max(1)))
    }

    /// How long an answer is waited for: longer than the server takes to stop a statement, so that
    /// only a server that does not answer at all gets there.
    pub(super) fn answer_limit(&self) -> Duration {
        self.statement_limit() + Duration::from_secs(5)
    }
}

fn default_port() -> u16 {
    5432
}

fn default_connections() -> u32 {
    8
}

fn default_statement_seconds() -> u32 {
    30
}

/// A pipeline's name as an identifier of at most 63 bytes. Names that Postgres keeps for itself
/// get a beginning of their own.
fn schema_name(pipeline: &str) -> String {
    let mut name: String = pipeline
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .collect();
    if name.starts_with("pg_") || ["public", "information_schema"].contains(&name.as_str()) {
        name.insert_str(0, "millrace_");
    }
    name.truncate(63);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_called_like_the_pipeline_or_as_declared() {
        let text = r#"{"host":"db","database":"d","usernameFile":"u","schema":null}"#;
        let settings: PostgresSettings = serde_json::from_str(text).unwrap();
        assert_eq!(settings.schema_of("race-telemetry.v2"), "race_telemetry_v2");
        assert_eq!(settings.schema_of("pg-metrics"), "millrace_pg_metrics");
        assert_eq!(settings.schema_of("public"), "millrace_public");
        assert_eq!(settings.schema_of(&"x".repeat(70)).len(), 63);
        let declared = PostgresSettings { schema: Some("telemetry".into()), ..settings };
        assert_eq!(declared.schema_of("race"), "telemetry");
    }

    #[test]
    fn settings_have_defaults_and_no_room_for_secrets() {
        let text =
            r#"{"host":"db","database":"d","usernameFile":"u","tls":{"mode":"verify-full"}}"#;
        let settings: PostgresSettings = serde_json::from_str(text).unwrap();
        assert_eq!((settings.port, settings.max_connections), (5432, 8));
        assert_eq!(settings.tls.mode, PostgresTlsMode::VerifyFull);
        let secret = r#"{"host":"db","database":"d","usernameFile":"u","password":"x"}"#;
        let refused = serde_json::from_str::<PostgresSettings>(secret).unwrap_err().to_string();
        assert!(refused.starts_with("unknown field `password`"), "{refused}");
    }
}
