//! Connections: how they are made, which settings their sessions have, and when they are given up.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;
use sqlx::AssertSqlSafe;
use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::PgConnection;
use sqlx::PgPool;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnectOptions;
use sqlx::postgres::PgPoolOptions;
use sqlx::postgres::PgSslMode;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tracing::warn;

use super::PostgresSettings;
use super::PostgresTlsMode;
use super::error::ConnectStoreError;
use super::failure::Failure;

/// The oldest server that is supported.
const OLDEST: i32 = 14;

/// How long a call waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);

/// How long a statement waits for a lock.
const LOCK: Duration = Duration::from_secs(10);

/// A connection that was idle for longer is tried before it is used.
const UNTRIED: Duration = Duration::from_secs(1);

/// How long what was read from the files of user and password is taken for true.
const FRESH: Duration = Duration::from_secs(1);

/// User and password.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Credentials {
    user: String,
    password: Option<String>,
}

/// The connections of a process to its database.
pub(super) struct Connections {
    settings: PostgresSettings,
    application: String,
    pool: PgPool,
    /// What new connections use, and when it was read; never if it has to be read again.
    credentials: Mutex<(Credentials, Option<Instant>)>,
}

impl Connections {
    /// Connects once, and checks that the server will do.
    pub(super) async fn open(
        settings: &PostgresSettings,
        pipeline: &str,
    ) -> Result<Self, ConnectStoreError> {
        let credentials = read_credentials(settings).await?;
        let application = format!("millrace {pipeline}");
        let options = options(settings, &application, &credentials);
        let session: Arc<str> = session(settings).into();
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections.max(1))
            .acquire_timeout(ACQUIRE)
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > UNTRIED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                let session = Arc::clone(&session);
                Box::pin(async move { set_session(connection, &session).await })
            })
            .connect_lazy_with(options);
        let credentials = Mutex::new((credentials, Some(Instant::now())));
        let connections = Self { settings: settings.clone(), application, pool, credentials };
        connections.check().await?;
        Ok(connections)
    }

    /// Checks version and encoding of the server.
    async fn check(&self) -> Result<(), ConnectStoreError> {
        let place = self.settings.place();
        let failed = |failure: Failure| {
            let reason = failure.reason();
            let source = reason.clone().into();
            ConnectStoreError::Connect { place: place.clone(), reason, source }
        };
        let mut connection = self.acquire().await.map_err(failed)?;
        let asked = sqlx::query_as(
            "SELECT current_setting('server_version_num')::int / 10000,
                    current_setting('server_version'), current_setting('server_encoding')",
        )
        .fetch_one(&mut *connection);
        let asked = timeout(self.settings.answer_limit(), asked).await;
        let (major, found, encoding): (i32, String, String) =
            self.settle(connection, asked).map_err(failed)?;
        if major < OLDEST {
            return Err(ConnectStoreError::Server { place, found, needed: OLDEST });
        }
        if encoding != "UTF8" {
            return Err(ConnectStoreError::Encoding { place, found: encoding });
        }
        Ok(())
    }

    /// A connection; new ones use what the files of user and password say now.
    pub(super) async fn acquire(&self) -> Result<PoolConnection<Postgres>, Failure> {
        self.refresh().await;
        match self.pool.acquire().await {
            Ok(connection) => Ok(connection),
            Err(sqlx::Error::PoolTimedOut) => Err(self.why_timed_out().await),
            Err(error) => {
                // What was refused may have been exchanged this moment.
                self.credentials.lock().1 = None;
                Err(Failure::before_use(&error))
            }
        }
    }

    /// Ends the use of a connection: after a failure that may be the connection's, it is closed.
    pub(super) fn settle<T>(
        &self,
        connection: PoolConnection<Postgres>,
        done: Result<Result<T, sqlx::Error>, Elapsed>,
    ) -> Result<T, Failure> {
        let failure = match done {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => Failure::from(&error),
            Err(_) => Failure::Connection(format!(
                "Postgres did not answer within {} s: check that it runs and can be reached",
                self.settings.answer_limit().as_secs()
            )),
        };
        if matches!(failure, Failure::Connection(_)) {
            drop(connection.detach());
        }
        Err(failure)
    }

    /// How long an answer is waited for.
    pub(super) fn answer_limit(&self) -> Duration {
        self.settings.answer_limit()
    }

    /// Closes all connections.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Reads the files of user and password anew if that was long ago.
    async fn refresh(&self) {
        if self.credentials.lock().1.is_some_and(|read| read.elapsed() < FRESH) {
            return;
        }
        let read = read_credentials(&self.settings).await;
        let mut known = self.credentials.lock();
        known.1 = Some(Instant::now());
        match read {
            Ok(read) if read == known.0 => {}
            Ok(read) => {
                let options = options(&self.settings, &self.application, &read);
                self.pool.set_connect_options(options);
                known.0 = read;
            }
            // They may be exchanged this moment; open connections go on meanwhile.
            Err(error) => warn!(
                message = "The files of a database's user cannot be read.",
                error = %error
            ),
        }
    }

    /// The pool tells only that time is up: a connection of its own tells the reason.
    async fn why_timed_out(&self) -> Failure {
        let timed_out = Failure::before_use(&sqlx::Error::PoolTimedOut);
        if self.pool.size() >= self.settings.max_connections {
            return timed_out;
        }
        let credentials = self.credentials.lock().0.clone();
        let options = options(&self.settings, &self.application, &credentials);
        let session = session(&self.settings);
        let attempt = async {
            let mut connection = options.connect().await?;
            set_session(&mut connection, &session).await?;
            connection.close().await
        };
        match timeout(ACQUIRE, attempt).await {
            Ok(Ok(())) => timed_out,
            Ok(Err(error)) => Failure::before_use(&error),
            Err(_) => Failure::Connection(format!(
                "no connection to {} within {} s: check that Postgres runs and can be reached",
                self.settings.place(),
                ACQUIRE.as_secs()
            )),
        }
    }
}

/// What a session is made with. A server's or user's defaults must not change what commits mean.
fn session(settings: &PostgresSettings) -> String {
    let statement = settings.statement_limit().as_millis();
    let mut sql = format!(
        "SELECT set_config('default_transaction_isolation', 'read committed', false),
                set_config('statement_timeout', '{statement}', false),
                set_config('lock_timeout', '{}', false),
                set_config('idle_in_transaction_session_timeout', '{statement}', false),
                set_config('jit', 'off', false),
                set_config('datestyle', 'ISO', false),
                set_config('timezone', 'UTC', false),
                CASE current_setting('synchronous_commit') WHEN 'off'
                THEN set_config('synchronous_commit', 'on', false) END",
        LOCK.as_millis().min(statement)
    );
    if let Some(role) = &settings.role {
        sql.push_str(&format!(", set_config('role', {}, false)", literal(role)));
    }
    sql
}

async fn set_session(connection: &mut PgConnection, session: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(session.to_owned())).execute(connection).await.map(|_| ())
}

/// A text in SQL.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn options(
    settings: &PostgresSettings,
    application: &str,
    credentials: &Credentials,
) -> PgConnectOptions {
    let tls = &settings.tls;
    let mode = match tls.mode {
        PostgresTlsMode::Disable => PgSslMode::Disable,
        PostgresTlsMode::Prefer => PgSslMode::Prefer,
        PostgresTlsMode::Require if tls.certificate_authority.is_some() => PgSslMode::VerifyCa,
        PostgresTlsMode::Require => PgSslMode::Require,
        PostgresTlsMode::VerifyFull => PgSslMode::VerifyFull,
    };
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&settings.host)
        .port(settings.port)
        .database(&settings.database)
        .username(&credentials.user)
        .application_name(application)
        .ssl_mode(mode)
        .disable_statement_logging();
    if let Some(password) = &credentials.password {
        options = options.password(password);
    }
    if let Some(file) = &tls.certificate_authority {
        options = options.ssl_root_cert(file);
    }
    if let Some(file) = &tls.certificate {
        options = options.ssl_client_cert(file);
    }
    if let Some(file) = &tls.key {
        options = options.ssl_client_key(file);
    }
    options
}

async fn read_credentials(settings: &PostgresSettings) -> Result<Credentials, ConnectStoreError> {
    let user = read_line("the user's name", &settings.username_file).await?;
    let password = match &settings.password_file {
        Some(file) => Some(read_line("the password", file).await?),
        None => None,
    };
    Ok(Credentials { user, password })
}

pub(super) async fn read_line(
    what: &'static str,
    file: &Path,
) -> Result<String, ConnectStoreError> {
    let read = tokio::fs::read_to_string(file).await;
    let text =
        read.map_err(|source| ConnectStoreError::File { what, file: file.to_owned(), source })?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}
