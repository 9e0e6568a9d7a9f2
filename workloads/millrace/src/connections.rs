//! Connection files: where a pipeline's events and tables are, if not in a folder of its own.
//!
//! A folder has `kafka.yaml`, and `postgres.yaml` where the pipeline has tables; `roles.yaml` says
//! which roles and users are made in the database. They hold no secrets: these are in files that
//! they name.

use std::path::Path;
use std::path::PathBuf;

use millrace_log::kafka::KafkaSasl;
use millrace_log::kafka::KafkaSettings;
use millrace_plan::Plan;
use millrace_plan::model::SinkTarget;
use millrace_tables::postgres::PostgresRoles;
use millrace_tables::postgres::PostgresSettings;
use serde::de::DeserializeOwned;

use crate::exit::Exit;
use crate::exit::Failure;

const KAFKA: &str = "kafka.yaml";
const POSTGRES: &str = "postgres.yaml";
const ROLES: &str = "roles.yaml";

/// The least that the files must say.
const KAFKA_EXAMPLE: &str = "bootstrapServers: [kafka:9092]";
const POSTGRES_EXAMPLE: &str = "{host: postgres, database: telemetry, usernameFile: user}";

const ROLES_EXAMPLE: &str = "{worker: race_worker, query: race_query, analysts: race_analysts}";

/// Where a pipeline's events and tables are.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    /// The Kafka cluster.
    pub(crate) kafka: KafkaSettings,
    /// The database; none where the pipeline has no tables.
    pub(crate) postgres: Option<PostgresSettings>,
    /// Roles and users that are made in the database; none: they are left as they are.
    pub(crate) roles: Option<PostgresRoles>,
}

/// A connection file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadConnectionsError {
    /// The file is not there.
    #[error("there is no {}: it says {what}, at least `{example}`", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// What it would say.
        what: &'static str,
        /// Its least content.
        example: &'static str,
    },
    /// The file cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file says something else.
    #[error("{place}: {reason}")]
    Form {
        /// The file and the line.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

impl From<ReadConnectionsError> for Failure {
    fn from(error: ReadConnectionsError) -> Self {
        let exit = match &error {
            ReadConnectionsError::Missing { .. } | ReadConnectionsError::Read { .. } => {
                Exit::NoInput
            }
            ReadConnectionsError::Form { .. } => Exit::Config,
        };
        exit.because(error)
    }
}

/// Whether a pipeline has tables.
pub(crate) fn has_tables(plan: &Plan) -> bool {
    plan.sinks.iter().any(|sink| matches!(sink.target, SinkTarget::Table(_)))
}

impl Connections {
    /// What names of topics and groups begin with.
    pub(crate) fn prefix(&self, pipeline: &str) -> String {
        self.kafka.prefix.clone().unwrap_or_else(|| format!("{pipeline}."))
    }

    /// From now on what is made in the database belongs to the role of the workers, so that they
    /// can change it, whoever makes it.
    pub(crate) fn act_as_worker(&mut self) {
        if let (Some(postgres), Some(roles)) = (&mut self.postgres, &self.roles) {
            postgres.role.get_or_insert_with(|| roles.worker.clone());
        }
    }

    /// Reads what a process needs of a folder's files. `tables` says whether it uses the database.
    pub(crate) fn read(folder: &Path, tables: bool) -> Result<Self, ReadConnectionsError> {
        let mut kafka: KafkaSettings =
            read(&folder.join(KAFKA), "where the Kafka cluster is", KAFKA_EXAMPLE)?;
        for file in files_of_kafka(&mut kafka) {
            *file = folder.join(&*file);
        }
        let postgres = if tables {
            let mut postgres: PostgresSettings =
                read(&folder.join(POSTGRES), "where the database is", POSTGRES_EXAMPLE)?;
            for file in files_of_postgres(&mut postgres) {
                *file = folder.join(&*file);
            }
            Some(postgres)
        } else {
            None
        };
        let file = folder.join(ROLES);
        let mut roles: Option<PostgresRoles> =
            if tables && file.exists() { Some(read(&file, "", ROLES_EXAMPLE)?) } else { None };
        for user in roles.iter_mut().flat_map(|roles| &mut roles.users) {
            if let Some(file) = &mut user.password_file {
                *file = folder.join(&*file);
            }
        }
        Ok(Self { kafka, postgres, roles })
    }
}

/// The files that settings name. Relative ones are of the folder that the settings are in.
fn files_of_kafka(settings: &mut KafkaSettings) -> Vec<&mut PathBuf> {
    let mut files = Vec::new();
    if let Some(tls) = &mut settings.tls {
        let all = [&mut tls.certificate_authority, &mut tls.certificate, &mut tls.key];
        files.extend(all.into_iter().flatten());
    }
    match &mut settings.sasl {
        Some(
            KafkaSasl::ScramSha256 { username_file, password_file }
            | KafkaSasl::ScramSha512 { username_file, password_file },
        ) => files.extend([username_file, password_file]),
        Some(KafkaSasl::OAuthBearer { token_file }) => files.push(token_file),
        None => {}
    }
    files
}

fn files_of_postgres(settings: &mut PostgresSettings) -> Vec<&mut PathBuf> {
    let tls = &mut settings.tls;
    let optional = [
        &mut settings.password_file,
        &mut tls.certificate_authority,
        &mut tls.certificate,
        &mut tls.key,
    ];
    optional.into_iter().flatten().chain([&mut settings.username_file]).collect()
}

fn read<T: DeserializeOwned>(
    file: &Path,
    what: &'static str,
    example: &'static str,
) -> Result<T, ReadConnectionsError> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ReadConnectionsError::Missing { file: file.to_owned(), what, example });
        }
        Err(source) => return Err(ReadConnectionsError::Read { file: file.to_owned(), source }),
    };
    parse(&text, file, example)
}

fn parse<T: DeserializeOwned>(
    text: &str,
    file: &Path,
    example: &str,
) -> Result<T, ReadConnectionsError> {
    serde_yaml_ng::from_str(text).map_err(|error| {
        let mut place = file.display().to_string();
        let mut reason = error.to_string();
        if let Some(location) = error.location() {
            place.push_str(&format!(":{}:{}", location.line(), location.column()));
            // The parser says it, too, behind the reason.
            if let Some((first, _)) = reason.split_once(" at line ") {
                reason.truncate(first.len());
            }
        }
        reason.push_str(&format!("; the least to write is `{example}`"));
        ReadConnectionsError::Form { place, reason }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kafka: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(KAFKA), kafka).unwrap();
        let error = Connections::read(folder.path(), false).unwrap_err();
        error.to_string().replace(&folder.path().display().to_string(), "connections")
    }

    #[test]
    fn a_pipeline_without_tables_needs_no_database() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(KAFKA), "bootstrapServers: [a:9092, b:9092]").unwrap();
        let connections = Connections::read(folder.path(), false).unwrap();
        assert_eq!(connections.kafka.bootstrap_servers, ["a:9092", "b:9092"]);
        assert!(connections.postgres.is_none());
        let error = Connections::read(folder.path(), true).unwrap_err();
        assert!(
            matches!(&error, ReadConnectionsError::Missing { file, .. } if file.ends_with(POSTGRES))
        );
    }

    #[test]
    fn relative_files_are_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let text = "bootstrapServers: [a:9092]\ntls: {certificateAuthority: ca.crt, key: /etc/key}\nsasl: {mechanism: SCRAM-SHA-512, usernameFile: user, passwordFile: password}\n";
        std::fs::write(folder.path().join(KAFKA), text).unwrap();
        let settings = Connections::read(folder.path(), false).unwrap().kafka;
        let tls = settings.tls.unwrap();
        assert_eq!(tls.certificate_authority, Some(folder.path().join("ca.crt")));
        assert_eq!(tls.key, Some("/etc/key".into()));
        let KafkaSasl::ScramSha512 { username_file, .. } = settings.sasl.unwrap() else {
            panic!("another mechanism");
        };
        assert_eq!(username_file, folder.path().join("user"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_what_to_write() {
        assert_eq!(
            refused("bootstrapServers: [a:9092]\nprefx: b\n"),
            "connections/kafka.yaml:2:1: unknown field `prefx`, expected one of `bootstrapServers`, `prefix`, `replicationFactor`, `tls`, `sasl`; the least to write is `bootstrapServers: [kafka:9092]`"
        );
        assert!(refused("prefix: a\n").contains("missing field `bootstrapServers`"));
        let folder = tempfile::tempdir().unwrap();
        let error = Connections::read(folder.path(), false).unwrap_err();
        assert!(error.to_string().ends_with(
            "kafka.yaml: it says where the Kafka cluster is, at least `bootstrapServers: [kafka:9092]`"
        ));
    }
}
