//! What the server and the dumps read: its configuration, who may connect and how, and scripts.

use k8s_openapi::api::core::v1::ConfigMap;

use super::CERTIFICATE;
use super::CONFIGURATION;
use super::PORT;
use crate::material::DATABASE;
use crate::names::Names;
use crate::names::Part;
use crate::object;
use crate::pipeline::ManagedPostgres;
use crate::pipeline::Pipeline;

const START: &str = include_str!("scripts/start.sh");
const CONNECT: &str = include_str!("scripts/connect.sh");
const BACKUP: &str = include_str!("scripts/backup.sh");
const RESTORE: &str = include_str!("scripts/restore.sh");

/// Within the pod the superuser alone, as the user of the operating system that runs the server;
/// from elsewhere all, over TLS and with a password.
const ACCESS: &str = "\
local   all postgres peer
hostssl all all all scram-sha-256
";

/// Connections at most: each worker and query process opens up to eight.
const CONNECTIONS: i32 = 400;

/// The name of the ConfigMap.
pub(super) fn name(names: &Names) -> String {
    names.of("postgres-configuration")
}

/// Where the volume is mounted, and the folder in it that the server keeps its data in. A fresh
/// volume may have a `lost+found`, and versions from 18 on mount a folder higher.
pub(super) fn folders(version: i32) -> (&'static str, String) {
    if version >= 18 {
        ("/var/lib/postgresql", format!("/var/lib/postgresql/{version}/docker"))
    } else {
        ("/var/lib/postgresql/data", "/var/lib/postgresql/data/pgdata".to_owned())
    }
}

/// The ConfigMap.
pub(super) fn build_config_map(pipeline: &Pipeline, postgres: &ManagedPostgres) -> ConfigMap {
    let names = &pipeline.names;
    let keep = postgres.spec.backup.as_ref().map(|backup| backup.keep);
    let mut texts = vec![
        ("postgresql.conf", server(postgres)),
        ("pg_hba.conf", ACCESS.to_owned()),
        ("start.sh", START.to_owned()),
    ];
    if let Some(keep) = keep {
        let host = names.host(Part::Postgres);
        texts.push(("connect.sh", CONNECT.to_owned()));
        texts.push(("backup.sh", BACKUP.to_owned()));
        texts.push(("restore.sh", RESTORE.to_owned()));
        let settings = format!("PGHOST={host}\nPGDATABASE={DATABASE}\nKEEP={keep}\n");
        texts.push(("dumps.conf", settings));
    }
    ConfigMap {
        metadata: object::metadata(names, &pipeline.owner, Part::Postgres, name(names)),
        data: Some(texts.into_iter().map(|(key, text)| (key.to_owned(), text)).collect()),
        ..ConfigMap::default()
    }
}

fn server(postgres: &ManagedPostgres) -> String {
    let (_, data) = folders(postgres.spec.version);
    let cache = postgres.cache_mebibytes;
    format!(
        "# What was found out when the data folder was made, and above it what is decided here.
include = '{data}/postgresql.conf'
listen_addresses = '*'
port = {PORT}
hba_file = '{CONFIGURATION}/pg_hba.conf'
unix_socket_directories = '/var/run/postgresql'
max_connections = {CONNECTIONS}
password_encryption = 'scram-sha-256'
ssl = on
ssl_cert_file = '{CERTIFICATE}/tls.crt'
ssl_key_file = '{CERTIFICATE}/tls.key'
ssl_min_protocol_version = 'TLSv1.2'
shared_buffers = '{cache}MB'
effective_cache_size = '{whole}MB'
logging_collector = off
log_destination = 'stderr'
",
        whole = cache * 3,
    )
}
