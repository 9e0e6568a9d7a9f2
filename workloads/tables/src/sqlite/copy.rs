//! A copy of the file at one moment, while it is written.

use std::path::Path;

use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnectOptions;

use crate::DatabaseError;

/// A copy that was not made.
#[derive(Debug, thiserror::Error)]
#[error("cannot copy the tables")]
pub struct CopyTablesError(#[source] DatabaseError);

/// Writes a copy of a file of tables to another, which must not be there yet. Others may read and
/// write the first one meanwhile.
///
/// # Errors
/// When the one cannot be read or the other not be written.
pub async fn copy(from: &Path, to: &Path) -> Result<(), CopyTablesError> {
    let failed = |error: sqlx::Error| CopyTablesError(error.into());
    let mut connection =
        SqliteConnectOptions::new().filename(from).connect().await.map_err(failed)?;
    let copied = sqlx::query("VACUUM INTO ?")
        .bind(to.display().to_string())
        .execute(&mut connection)
        .await
        .map_err(failed);
    connection.close().await.map_err(failed)?;
    copied.map(|_| ())
}
