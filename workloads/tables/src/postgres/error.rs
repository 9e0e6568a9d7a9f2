//! Why a database cannot be used at all.

use std::path::PathBuf;

use crate::DatabaseError;

/// A database that could not be connected to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectStoreError {
    /// A file of the connection cannot be read.
    #[error("cannot read {what} from {file}: mount the file, or correct its path in postgres.yaml")]
    File {
        /// What is in it.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The database does not answer, or does not let the user in.
    #[error("cannot connect to Postgres at {place}: {reason}")]
    Connect {
        /// Host, port and database.
        place: String,
        /// Why not, and what to do.
        reason: String,
        /// The database's reason.
        #[source]
        source: DatabaseError,
    },
    /// The server is older than what this program needs.
    #[error("Postgres at {place} has version {found}: version {needed} or a later one is needed")]
    Server {
        /// Host, port and database.
        place: String,
        /// The server's version.
        found: String,
        /// The oldest one that will do.
        needed: i32,
    },
    /// The database has another encoding.
    #[error(
        "the database at {place} has the encoding {found}: make one with `CREATE DATABASE … ENCODING 'UTF8'`"
    )]
    Encoding {
        /// Host, port and database.
        place: String,
        /// Its encoding.
        found: String,
    },
    /// The schema was written by a later program.
    #[error(
        "the tables in schema `{schema}` at {place} have format {found}, this program reads up to {supported}: use a newer Millrace"
    )]
    Version {
        /// Host, port and database.
        place: String,
        /// The schema.
        schema: String,
        /// Its format.
        found: i32,
        /// The latest format that this program reads.
        supported: i32,
    },
    /// The schema is not there and cannot be made.
    #[error("cannot prepare schema `{schema}` at {place}: {reason}")]
    Prepare {
        /// Host, port and database.
        place: String,
        /// The schema.
        schema: String,
        /// Why not, and what to do.
        reason: String,
        /// The database's reason.
        #[source]
        source: DatabaseError,
    },
}

/// Roles that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionStoreError {
    /// The database cannot be used.
    #[error(transparent)]
    Connect(#[from] ConnectStoreError),
    /// A role or a grant was refused.
    #[error("cannot give the roles of schema `{schema}` at {place} their rights: {reason}")]
    Roles {
        /// Host, port and database.
        place: String,
        /// The schema.
        schema: String,
        /// Why not, and what to do.
        reason: String,
        /// The database's reason.
        #[source]
        source: DatabaseError,
    },
    /// A password that cannot be set.
    #[error(
        "the password of user `{user}` has other characters than those of ASCII: write another"
    )]
    Password {
        /// The user.
        user: String,
    },
}
