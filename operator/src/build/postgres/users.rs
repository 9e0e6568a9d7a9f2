//! The users that `millrace provision` makes in a managed Postgres, by its `roles.yaml`.

use crate::material::DatabaseMaterial;
use crate::material::Login;
use crate::names::Names;

/// A user to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatabaseUser {
    /// Its name.
    pub(crate) name: String,
    /// What it may do.
    pub(crate) role: DatabaseUserRole,
    /// The Secret that has its password under `password`.
    pub(crate) secret: String,
}

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatabaseUserRole {
    /// Write.
    Worker,
    /// Read and answer.
    Query,
    /// Read tables.
    Analysts,
}

impl DatabaseUserRole {
    /// As `roles.yaml` writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Query => "query",
            Self::Analysts => "analysts",
        }
    }
}

/// All users: those in use, and those that take turns with them.
pub(crate) fn database_users(names: &Names, database: &DatabaseMaterial) -> Vec<DatabaseUser> {
    let spares = &database.spares;
    let users = [
        (&database.worker, DatabaseUserRole::Worker, "postgres-worker"),
        (&spares.worker, DatabaseUserRole::Worker, "postgres-worker-spare"),
        (&database.query, DatabaseUserRole::Query, "postgres-query"),
        (&spares.query, DatabaseUserRole::Query, "postgres-query-spare"),
        (&database.analyst, DatabaseUserRole::Analysts, "postgres-analyst"),
        (&spares.analyst, DatabaseUserRole::Analysts, "postgres-analyst-spare"),
    ];
    let user = |(login, role, secret): (&Login, _, &str)| DatabaseUser {
        name: login.username.clone(),
        role,
        secret: names.of(secret),
    };
    users.map(user).into()
}
