//! Roles: who owns a pipeline's schema, who reads it, and the users that act in them.

use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::digest;
use ring::hmac;
use ring::pbkdf2;
use serde::Deserialize;
use serde::Serialize;
use sqlx::AssertSqlSafe;
use sqlx::Connection as _;
use sqlx::PgConnection;
use tokio::time::timeout;

use super::PostgresSettings;
use super::PostgresStore;
use super::connect::Connections;
use super::connect::literal;
use super::connect::read_line;
use super::error::ProvisionStoreError;
use super::names::Names;
use super::schema;
use crate::sql::quote;

/// The roles of a pipeline's schema. None of them can log in: users act in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostgresRoles {
    /// For workers: owns the schema and all in it, makes and alters tables, writes rows.
    pub worker: String,
    /// For query processes: reads the tables and what the store keeps beside them.
    pub query: String,
    /// For people and their programs: reads the tables.
    pub analysts: String,
    /// Users that are made, and act in one of the roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<PostgresUser>,
}

/// A user that can log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostgresUser {
    /// The user's name.
    pub name: String,
    /// The role to act in.
    pub role: PostgresRole,
    /// The file with the password; left out: the user has none, and logs in by other means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
}

/// One of [`PostgresRoles`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PostgresRole {
    /// [`PostgresRoles::worker`].
    Worker,
    /// [`PostgresRoles::query`].
    Query,
    /// [`PostgresRoles::analysts`].
    Analysts,
}

impl PostgresRoles {
    /// The roles of a schema, called after it.
    #[must_use]
    pub fn of_schema(schema: &str) -> Self {
        let name = |end: &str| {
            let begin: String = schema.chars().take(63 - 1 - end.len()).collect();
            format!("{begin}_{end}")
        };
        Self {
            worker: name("worker"),
            query: name("query"),
            analysts: name("analysts"),
            users: Vec::new(),
        }
    }

    fn name(&self, role: PostgresRole) -> &str {
        match role {
            PostgresRole::Worker => &self.worker,
            PostgresRole::Query => &self.query,
            PostgresRole::Analysts => &self.analysts,
        }
    }
}

impl PostgresStore {
    /// Makes a pipeline's schema, its roles and their rights, and users. What is there already
    /// stays; what the schema has belongs to the role of the workers afterwards, and a user's
    /// password is what its file says.
    ///
    /// The settings' user needs CREATEROLE, CREATE on the database, and to be its owner or a
    /// superuser where the schema was made by someone else. No process of a pipeline needs these
    /// rights: a worker acts in [`PostgresRoles::worker`], a query process in
    /// [`PostgresRoles::query`], and neither may touch another schema.
    ///
    /// # Errors
    /// When the database cannot be reached, or refuses something; what was made before it stays,
    /// and the call can be made again.
    pub async fn provision(
        settings: &PostgresSettings,
        pipeline: &str,
        roles: &PostgresRoles,
    ) -> Result<(), ProvisionStoreError> {
        let schema = settings.schema_of(pipeline);
        let mut users = Vec::with_capacity(roles.users.len());
        for user in &roles.users {
            users.push(user_statements(user, roles).await?);
        }
        let connections = Connections::open(settings, pipeline).await?;
        let refused = |failure: super::failure::Failure| {
            let reason = failure.reason();
            let source = reason.clone().into();
            ProvisionStoreError::Roles {
                place: settings.place(),
                schema: schema.clone(),
                reason,
                source,
            }
        };
        let mut connection = connections.acquire().await.map_err(refused)?;
        let work = provision(&mut connection, settings, &schema, roles, &users);
        let done = timeout(connections.answer_limit(), work).await;
        let done = connections.settle(connection, done).map_err(refused);
        connections.close().await;
        done
    }
}

/// Gives roles their rights.
async fn provision(
    connection: &mut PgConnection,
    settings: &PostgresSettings,
    schema: &str,
    roles: &PostgresRoles,
    users: &[String],
) -> Result<(), sqlx::Error> {
    for role in [&roles.worker, &roles.query, &roles.analysts] {
        run(connection, &create_role(role)).await?;
    }
    let [worker, query, analysts] =
        [&roles.worker, &roles.query, &roles.analysts].map(|role| quote(role));
    let database = quote(&settings.database);
    // Of two pipelines that change the rights of one database at once, Postgres refuses one.
    let mut transaction = connection.begin().await?;
    schema::lock_database(&mut transaction).await?;
    run(
        &mut transaction,
        &format!("GRANT CONNECT ON DATABASE {database} TO {worker}, {query}, {analysts}"),
    )
    .await?;
    transaction.commit().await?;
    // Whoever makes something for a role has to be a member of it.
    run(
        connection,
        &format!(
            "DO $$ BEGIN IF NOT pg_has_role(current_user, {}, 'MEMBER') \
             THEN GRANT {worker} TO CURRENT_USER; END IF; END $$",
            literal(&roles.worker)
        ),
    )
    .await?;
    let quoted = quote(schema);
    run(connection, &format!("CREATE SCHEMA IF NOT EXISTS {quoted} AUTHORIZATION {worker}"))
        .await?;
    for statement in foreign(connection, schema, &roles.worker).await? {
        run(connection, &statement).await?;
    }
    run(connection, &format!("SET ROLE {worker}")).await?;
    schema::prepare(connection, &Names::new(schema)).await?;
    for statement in [
        format!("GRANT USAGE ON SCHEMA {quoted} TO {query}, {analysts}"),
        format!("GRANT SELECT ON ALL TABLES IN SCHEMA {quoted} TO {query}, {analysts}"),
        format!(
            "ALTER DEFAULT PRIVILEGES FOR ROLE {worker} IN SCHEMA {quoted} \
             GRANT SELECT ON TABLES TO {query}, {analysts}"
        ),
        "RESET ROLE".to_owned(),
    ] {
        run(connection, &statement).await?;
    }
    for statements in users {
        run(connection, statements).await?;
    }
    Ok(())
}

async fn run(connection: &mut PgConnection, statement: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(connection).await.map(|_| ())
}

/// The statement that makes a role unless it is there.
fn create_role(role: &str) -> String {
    format!(
        "DO $$ BEGIN CREATE ROLE {} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        quote(role)
    )
}

/// The statements that give a role what others own in the schema.
async fn foreign(
    connection: &mut PgConnection,
    schema: &str,
    owner: &str,
) -> Result<Vec<String>, sqlx::Error> {
    let found: Vec<(String,)> = sqlx::query_as(
        "SELECT format('ALTER SCHEMA %I OWNER TO %I', nspname, $2)
         FROM pg_catalog.pg_namespace
         WHERE nspname = $1 AND nspowner <> (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $2)
         UNION ALL
         SELECT format('ALTER TABLE %I.%I OWNER TO %I', n.nspname, c.relname, $2)
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'S')
           AND c.relowner <> (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $2)",
    )
    .bind(schema)
    .bind(owner)
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().map(|(statement,)| statement).collect())
}

/// The statements that make a user. A worker's user acts as the role from the beginning, so that
/// what it makes belongs to the role, and to whoever comes after it.
async fn user_statements(
    user: &PostgresUser,
    roles: &PostgresRoles,
) -> Result<String, ProvisionStoreError> {
    let role = quote(roles.name(user.role));
    let name = quote(&user.name);
    let mut statements = format!("{}; ALTER ROLE {name} LOGIN", create_role(&user.name));
    if let Some(file) = &user.password_file {
        let password = read_line("the password", file).await?;
        let verifier = verifier(&password)
            .ok_or_else(|| ProvisionStoreError::Password { user: user.name.clone() })?;
        statements.push_str(&format!(" PASSWORD {}", literal(&verifier)));
    }
    statements.push_str(&format!("; GRANT {role} TO {name}"));
    statements.push_str(&match user.role {
        PostgresRole::Worker => format!("; ALTER ROLE {name} SET role TO {role}"),
        PostgresRole::Query | PostgresRole::Analysts => {
            format!("; ALTER ROLE {name} SET default_transaction_read_only TO on")
        }
    });
    Ok(statements)
}

/// What a server keeps of a password, as RFC 5803 writes it: so the password itself is neither
/// sent nor found in the server's log. Other characters than those of ASCII would have to be
/// normalised first; none for them.
fn verifier(password: &str) -> Option<String> {
    const ROUNDS: u32 = 4096;
    if !password.is_ascii() || password.is_empty() {
        return None;
    }
    let salt: [u8; 16] = ring::rand::generate(&ring::rand::SystemRandom::new()).ok()?.expose();
    let mut salted = [0; digest::SHA256_OUTPUT_LEN];
    let rounds = std::num::NonZeroU32::new(ROUNDS)?;
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), &mut salted);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let stored = digest::digest(&digest::SHA256, hmac::sign(&key, b"Client Key").as_ref());
    let server = hmac::sign(&key, b"Server Key");
    Some(format!(
        "SCRAM-SHA-256${ROUNDS}:{}${}:{}",
        BASE64_STANDARD.encode(salt),
        BASE64_STANDARD.encode(stored),
        BASE64_STANDARD.encode(server)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_called_after_the_schema_in_names_that_fit() {
        let roles = PostgresRoles::of_schema(&"x".repeat(63));
        assert_eq!(PostgresRoles::of_schema("race").analysts, "race_analysts");
        assert_eq!((roles.worker.len(), roles.analysts.len()), (63, 63));
    }
}
