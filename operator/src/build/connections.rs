//! Connection files: where a pipeline's Kafka and Postgres are, as its processes read it. They hold
//! no secrets, only the paths of files that do.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use millrace_api::ExternalKafkaSpec;
use millrace_api::ExternalPostgresSpec;
use millrace_api::KafkaSaslMechanism;
use millrace_api::PostgresTlsMode;
use serde_json::Value;
use serde_json::json;

use crate::build::config::CONFIG_MAPS;
use crate::build::config::SECRETS;
use crate::build::kafka;
use crate::build::postgres;
use crate::material::DATABASE;
use crate::names::Names;
use crate::names::Part;
use crate::pipeline::Log;
use crate::pipeline::Pipeline;
use crate::pipeline::Tables;

/// Where an image has the certificates of public authorities.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Roles of a managed Postgres in which its users act. They are not users.
const ROLES: [&str; 3] = ["telemetry_worker", "telemetry_query", "telemetry_analysts"];

/// What a process is to Kafka and Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Takes events in; knows no tables.
    Ingest,
    /// Writes tables.
    Worker,
    /// Reads tables.
    Query,
    /// Makes topics, tables and users.
    Provision,
}

impl Role {
    /// The part whose pods are this.
    const fn part(self) -> Part {
        match self {
            Self::Ingest => Part::Ingest,
            Self::Worker => Part::Workers,
            Self::Query => Part::Query,
            Self::Provision => Part::Provision,
        }
    }

    /// Keys of the ConfigMap that it reads, each with its file's name.
    pub(crate) fn files(self, pipeline: &Pipeline) -> Vec<(&'static str, &'static str)> {
        const POSTGRES: &str = "postgres.yaml";
        let mut files = vec![("kafka.yaml", "kafka.yaml")];
        if pipeline.tables.is_some() {
            match self {
                Self::Ingest => {}
                Self::Worker => files.push(("postgres-worker.yaml", POSTGRES)),
                Self::Query => files.push(("postgres-query.yaml", POSTGRES)),
                Self::Provision => {
                    files.push(("postgres-provision.yaml", POSTGRES));
                    if matches!(pipeline.tables, Some(Tables::Managed(_))) {
                        files.push(("roles.yaml", "roles.yaml"));
                    }
                }
            }
        }
        files
    }
}

/// The connection files of all roles.
pub(crate) fn files(pipeline: &Pipeline) -> BTreeMap<String, String> {
    let names = &pipeline.names;
    let mut files = vec![(
        "kafka.yaml",
        match &pipeline.log {
            Log::Managed(kafka) => managed_kafka(names, kafka.nodes),
            Log::External(kafka) => external_kafka(names, kafka),
        },
    )];
    match &pipeline.tables {
        Some(Tables::Managed(_)) => {
            for (key, user) in [
                ("postgres-worker.yaml", "postgres-worker"),
                ("postgres-query.yaml", "postgres-query"),
                ("postgres-provision.yaml", "postgres-owner"),
            ] {
                files.push((key, managed_postgres(names, user)));
            }
            files.push(("roles.yaml", roles(pipeline)));
        }
        Some(Tables::External(external)) => {
            for key in ["postgres-worker.yaml", "postgres-query.yaml", "postgres-provision.yaml"] {
                files.push((key, external_postgres(external)));
            }
        }
        None => {}
    }
    // What is JSON is YAML, too, and only a map with odd keys could not be written.
    let written = files.into_iter().map(|(key, value)| {
        (key.to_owned(), serde_yaml_ng::to_string(&value).unwrap_or_else(|_| value.to_string()))
    });
    written.collect()
}

/// Secrets that a pod of this role mounts.
pub(crate) fn secrets_of(pipeline: &Pipeline, role: Role) -> BTreeSet<String> {
    let names = &pipeline.names;
    let of_others = pipeline.secrets.iter();
    let read = of_others.filter(|(_, secret)| secret.readers.contains(&role.part()));
    let mut secrets: BTreeSet<String> = read.map(|(name, _)| name.clone()).collect();
    if matches!(pipeline.log, Log::Managed(_)) {
        secrets.insert(names.of("kafka-client"));
    }
    if let Some(Tables::Managed(_)) = &pipeline.tables {
        secrets.extend(match role {
            Role::Ingest => Vec::new(),
            Role::Worker => vec![names.of("postgres-worker")],
            Role::Query => vec![names.of("postgres-query")],
            Role::Provision => {
                let users = pipeline.material.database.iter();
                let users = users.flat_map(|database| postgres::database_users(names, database));
                let owner = names.of("postgres-owner");
                users.map(|user| user.secret).chain([owner]).collect()
            }
        });
    }
    secrets
}

/// ConfigMaps that a pod of this role mounts.
pub(crate) fn config_maps_of(pipeline: &Pipeline, role: Role) -> BTreeSet<String> {
    let mut config_maps: BTreeSet<String> = pipeline.config_maps.keys().cloned().collect();
    let database = matches!(pipeline.tables, Some(Tables::Managed(_))) && role != Role::Ingest;
    if matches!(pipeline.log, Log::Managed(_)) || database {
        config_maps.insert(pipeline.names.of("trust"));
    }
    config_maps
}

/// Secrets that a client of another's Kafka reads at its start. A token is read again.
pub(crate) fn kafka_secrets(pipeline: &Pipeline) -> BTreeSet<String> {
    let Log::External(kafka) = &pipeline.log else { return BTreeSet::new() };
    let tls = kafka.tls.iter().flat_map(|tls| {
        let authority = tls.certificate_authority.iter().map(|key| &key.name);
        authority.chain(tls.client_certificate.iter().map(|secret| &secret.name))
    });
    let sasl = kafka.sasl.iter().map(|sasl| &sasl.secret.name);
    tls.chain(sasl).map(ToString::to_string).collect()
}

fn managed_kafka(names: &Names, nodes: i32) -> Value {
    let (service, host) = (names.part(Part::Kafka), names.host(Part::Kafka));
    let servers = (0..nodes).map(|node| format!("{service}-{node}.{host}:{}", kafka::CLIENTS));
    let client = names.of("kafka-client");
    json!({
        "bootstrapServers": servers.collect::<Vec<_>>(),
        "prefix": names.prefix(),
        "replicationFactor": nodes,
        "tls": { "certificateAuthority": trusted(names) },
        "sasl": {
            "mechanism": "SCRAM-SHA-512",
            "usernameFile": secret(&client, "username"),
            "passwordFile": secret(&client, "password"),
        },
    })
}

fn external_kafka(names: &Names, kafka: &ExternalKafkaSpec) -> Value {
    let prefix = kafka.prefix.as_ref().map_or_else(|| names.prefix(), ToString::to_string);
    let mut file = json!({
        "bootstrapServers": kafka.bootstrap_servers,
        "prefix": prefix,
        "replicationFactor": kafka.replication_factor,
    });
    if let Some(spec) = &kafka.tls {
        let mut tls = json!({});
        if let Some(authority) = &spec.certificate_authority {
            tls["certificateAuthority"] = secret(&authority.name, &authority.key).into();
        }
        if let Some(certificate) = &spec.client_certificate {
            tls["certificate"] = secret(&certificate.name, "tls.crt").into();
            tls["key"] = secret(&certificate.name, "tls.key").into();
        }
        file["tls"] = tls;
    }
    if let Some(sasl) = &kafka.sasl {
        let name = &sasl.secret.name;
        let with_password = |mechanism: &str| {
            json!({
                "mechanism": mechanism,
                "usernameFile": secret(name, "username"),
                "passwordFile": secret(name, "password"),
            })
        };
        file["sasl"] = match sasl.mechanism {
            KafkaSaslMechanism::ScramSha256 => with_password("SCRAM-SHA-256"),
            KafkaSaslMechanism::ScramSha512 => with_password("SCRAM-SHA-512"),
            KafkaSaslMechanism::OAuthBearer => {
                json!({ "mechanism": "OAUTHBEARER", "tokenFile": secret(name, "token") })
            }
        };
    }
    file
}

fn managed_postgres(names: &Names, user: &str) -> Value {
    let user = names.of(user);
    json!({
        "host": names.host(Part::Postgres),
        "port": postgres::PORT,
        "database": DATABASE,
        "usernameFile": secret(&user, "username"),
        "passwordFile": secret(&user, "password"),
        "tls": { "mode": "verify-full", "certificateAuthority": trusted(names) },
    })
}

fn external_postgres(postgres: &ExternalPostgresSpec) -> Value {
    let name = &postgres.credentials.name;
    let authority = postgres.tls.certificate_authority.as_ref();
    let authority = authority.map(|key| secret(&key.name, &key.key));
    // With an authority, `require` checks who signed the certificate; without one, nothing.
    let (mode, authority) = match postgres.tls.mode {
        PostgresTlsMode::VerifyFull => ("verify-full", authority),
        PostgresTlsMode::VerifyCa => {
            ("require", Some(authority.unwrap_or_else(|| SYSTEM_AUTHORITIES.to_owned())))
        }
        PostgresTlsMode::Require => ("require", None),
        PostgresTlsMode::Disable => ("disable", None),
    };
    let mut file = json!({
        "host": postgres.host,
        "port": postgres.port,
        "database": postgres.database,
        "usernameFile": secret(name, "username"),
        "passwordFile": secret(name, "password"),
        "tls": { "mode": mode },
    });
    if let Some(schema) = &postgres.schema {
        file["schema"] = schema.as_str().into();
    }
    if let Some(authority) = authority {
        file["tls"]["certificateAuthority"] = authority.into();
    }
    file
}

fn roles(pipeline: &Pipeline) -> Value {
    let database = pipeline.material.database.iter();
    let users = database.flat_map(|database| postgres::database_users(&pipeline.names, database));
    let users = users.map(|user| {
        json!({
            "name": user.name,
            "role": user.role.name(),
            "passwordFile": secret(&user.secret, "password"),
        })
    });
    let [worker, query, analysts] = ROLES;
    json!({
        "worker": worker,
        "query": query,
        "analysts": analysts,
        "users": users.collect::<Vec<_>>(),
    })
}

/// The file of a Secret's key.
fn secret(name: &str, key: &str) -> String {
    format!("{SECRETS}/{name}/{key}")
}

/// The file of whom to trust.
fn trusted(names: &Names) -> String {
    format!("{CONFIG_MAPS}/{}/ca.crt", names.of("trust"))
}

#[cfg(test)]
mod tests;
