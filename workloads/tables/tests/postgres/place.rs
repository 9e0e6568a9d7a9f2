//! Where the tests' tables are: a schema of its own for each, in a server that many share or in
//! one of its own.

use std::fs;
use std::path::Path;

use millrace_services::Postgres;
use millrace_tables::postgres::PostgresSettings;
use millrace_tables::postgres::PostgresStore;
use millrace_tables::postgres::PostgresTls;
use sqlx::Connection as _;
use sqlx::PgConnection;
use tempfile::TempDir;
use uuid::Uuid;

use crate::conformance::noon;

/// A schema, and the files that lead to it.
pub(crate) struct Place {
    pub(crate) settings: PostgresSettings,
    /// The address of the database, for whoever is no store.
    pub(crate) url: String,
    pub(crate) folder: TempDir,
}

impl Place {
    /// In the server that tests share.
    pub(crate) fn shared() -> Self {
        Self::at(&millrace_services::postgres().unwrap())
    }

    /// In a server of its own.
    pub(crate) fn of(server: &Postgres) -> Self {
        Self::at(&server.url())
    }

    /// In the database of an address such as `postgres://user:password@host:port/database`.
    pub(crate) fn at(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rest = url.split_once("://").unwrap().1;
        let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
        let (user, place) = rest.rsplit_once('@').unwrap();
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        let (server, database) = place.split_once('/').unwrap();
        let (host, port) = server.split_once(':').unwrap_or((server, "5432"));
        let place = Self {
            settings: PostgresSettings {
                host: host.into(),
                port: port.parse().unwrap(),
                database: database.into(),
                schema: Some(format!("t{}", Uuid::now_v7().simple())),
                role: None,
                username_file: folder.path().join("username"),
                password_file: Some(folder.path().join("password")),
                tls: PostgresTls::default(),
                max_connections: 4,
                statement_timeout: 20,
            },
            url: url.to_owned(),
            folder,
        };
        place.become_user(user, password);
        place
    }

    /// Exchanges user and password in their files.
    pub(crate) fn become_user(&self, user: &str, password: &str) {
        fs::write(&self.settings.username_file, format!("{user}\n")).unwrap();
        fs::write(self.settings.password_file.as_ref().unwrap(), format!("{password}\n")).unwrap();
    }

    /// The same place with files of another user.
    pub(crate) fn as_user(&self, user: &str, password: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let settings = PostgresSettings {
            username_file: file("username"),
            password_file: Some(file("password")),
            ..self.settings.clone()
        };
        let place = Self { settings, url: self.url.clone(), folder };
        place.become_user(user, password);
        place
    }

    pub(crate) async fn store(&self) -> PostgresStore {
        PostgresStore::connect(&self.settings, "cars").await.unwrap()
    }

    pub(crate) fn schema(&self) -> String {
        self.settings.schema_of("cars")
    }

    /// A session beside the store's.
    pub(crate) async fn session(&self) -> PgConnection {
        let mut session = PgConnection::connect(&self.url).await.unwrap();
        run(&mut session, &format!("SET search_path = {}", self.schema())).await.unwrap();
        session
    }

    pub(crate) fn file(&self, name: &str, content: &str) -> std::path::PathBuf {
        let path: &Path = &self.folder.path().join(name);
        fs::write(path, content).unwrap();
        path.to_owned()
    }
}

pub(crate) async fn run(session: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(session).await.map(|_| ())
}

/// What a statement says in one row and column.
pub(crate) async fn ask(session: &mut PgConnection, sql: &str) -> String {
    let (answer,): (String,) =
        sqlx::query_as(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(session).await.unwrap();
    answer
}

/// A store in a schema of its own, and what keeps it alive.
pub(crate) async fn empty_store() -> (PostgresStore, Place) {
    let place = Place::shared();
    (place.store().await.with_clock(|| noon(12)), place)
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let reached = async {
        while !condition().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_mins(1), reached).await;
    assert!(waited.is_ok(), "{what}");
}
