//! What a failure of the database means: for the row, for the moment, or for the connection.

use std::io::ErrorKind;

use sqlx::postgres::PgDatabaseError;

/// The meaning of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// What is in the rows; it will fail again.
    Rows(String),
    /// The table has another form or another name than this process knows; what it learned may be
    /// out of date.
    Table(String),
    /// The moment; it may succeed later.
    Moment(String),
    /// The connection too: another one may do better.
    Connection(String),
}

impl Failure {
    /// The failure of a connection before it was used for anything: rows are never its reason.
    pub(super) fn before_use(error: &sqlx::Error) -> Self {
        Self::Connection(Self::from(error).reason())
    }

    /// The failure as a text for a person, which says what to do.
    pub(super) fn reason(self) -> String {
        match self {
            Self::Rows(reason)
            | Self::Table(reason)
            | Self::Moment(reason)
            | Self::Connection(reason) => reason,
        }
    }
}

impl From<&sqlx::Error> for Failure {
    fn from(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
                Some(error) => of_the_server(error),
                None => Self::Moment(error.to_string()),
            },
            sqlx::Error::Encode(error) => Self::Rows(error.to_string()),
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. } => Self::Table(error.to_string()),
            sqlx::Error::PoolTimedOut => Self::Moment(
                "no connection became free in time: raise `maxConnections` in postgres.yaml, or \
                 find out what keeps the database busy"
                    .to_owned(),
            ),
            sqlx::Error::PoolClosed => Self::Moment("the tables were closed".to_owned()),
            // What TLS finds wrong comes as invalid data.
            sqlx::Error::Io(source) if source.kind() == ErrorKind::InvalidData => {
                Self::Connection(format!("the TLS of the connection failed: {source}: {TLS}"))
            }
            sqlx::Error::Tls(source) => {
                Self::Connection(format!("the TLS of the connection failed: {source}: {TLS}"))
            }
            sqlx::Error::Io(source) => Self::Connection(format!(
                "the connection failed: {source}: check that Postgres runs and can be reached"
            )),
            error => Self::Connection(error.to_string()),
        }
    }
}

const TLS: &str = "check the certificates and `tls` in postgres.yaml";

fn of_the_server(error: &PgDatabaseError) -> Failure {
    let code = error.code();
    let said = match error.constraint() {
        Some(constraint) if !error.message().contains(constraint) => {
            format!("{} (constraint `{constraint}`)", error.message())
        }
        _ => error.message().to_owned(),
    };
    let advised = |advice: &str| format!("{said}: {advice}");
    match code {
        "25006" => Failure::Connection(advised(
            "the server is a standby, or it or the user may only read; writes go on once they are \
             allowed",
        )),
        "28000" | "28P01" => Failure::Connection(advised(
            "check the files of user and password, and the server's pg_hba.conf",
        )),
        "2BP01" => Failure::Moment(advised(
            "drop what depends on the table, such as a view, and make it anew afterwards",
        )),
        "3D000" => Failure::Connection(advised(
            "create the database, or correct `database` in postgres.yaml",
        )),
        "42501" => Failure::Moment(advised(
            "the user lacks a right; `millrace provision` grants what is needed",
        )),
        "53100" => Failure::Moment(advised("free space on the server's disk")),
        "53300" => Failure::Connection(advised(
            "raise the server's max_connections, or lower `maxConnections` in postgres.yaml",
        )),
        "55P03" => Failure::Moment(advised(
            "another session holds a lock for long; pg_stat_activity tells which",
        )),
        "57014" => Failure::Moment(advised(
            "it took too long; find out what keeps the server busy, or raise `statementTimeout` \
             in postgres.yaml",
        )),
        // A name that is not there, a type that changed, a plan of an earlier form of the table.
        "42P01" | "42703" | "42804" | "42883" | "42P10" | "0A000" | "26000" | "3F000" => {
            Failure::Table(said)
        }
        // A partition that was there has gone. It is known by the server's own function, since
        // its message may be in any language, and a constraint has the same code.
        "23514" if error.routine() == Some("ExecFindPartition") => Failure::Table(said),
        _ => match code.get(..2) {
            // Values, constraints, limits such as the length of an index entry, views' checks and
            // what a trigger raises: the rows are the reason.
            Some("22" | "23" | "44" | "54" | "P0") => Failure::Rows(said),
            Some("08" | "57" | "58" | "XX") => {
                Failure::Connection(advised("the server is stopping, starting or damaged"))
            }
            _ => Failure::Moment(said),
        },
    }
}
