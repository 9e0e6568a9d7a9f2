//! Keeps partitions as time goes on: makes them ahead, and drops what is older than retention.
//!
//! One process at a time does it: whoever gets the schema's lock. Each step is a transaction of its
//! own that waits for locks only shortly, since everybody who comes later waits behind it; what
//! does not succeed is done the next time.

use sqlx::AssertSqlSafe;
use sqlx::Connection as _;
use sqlx::PgConnection;

use super::names::Names;
use super::partitions::Divided;
use super::partitions::Missing;
use super::partitions::Partition;
use super::partitions::literal;
use super::partitions::make_within;
use super::partitions::physical;
use super::partitions::read;
use super::schema;
use crate::periods::Periods;
use crate::sql::quote;

/// Most rows that are deleted with one statement.
pub(super) const BATCH: u64 = 5000;

/// Most partitions that are made at once for rows that lay among the rest.
const FROM_THE_REST: usize = 8;

/// What has gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expired {
    /// Rows of earlier times have gone.
    pub(super) before: i64,
    /// Partitions with only such rows.
    pub(super) partitions: Vec<Partition>,
    /// The partition for the rest, if there is one.
    pub(super) rest: Option<String>,
}

/// Makes partitions ahead, and for rows among the rest whose time has come near. Returns what has
/// gone by retention; none if somebody else is at it, or the generation is gone.
///
/// Of the clocks of this machine and the database's the one that is behind counts, so that a wrong
/// one drops nothing.
pub(super) async fn prepare(
    connection: &mut PgConnection,
    names: &Names,
    divided: Divided<'_>,
    now: i64,
) -> Result<Option<Expired>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    schema::wait_shortly(&mut transaction).await?;
    if !schema::try_lock(&mut transaction, names).await? {
        return Ok(None);
    }
    let Some(physical) = physical(&mut transaction, names, divided).await? else {
        return Ok(None);
    };
    let (now,): (i64,) = sqlx::query_as(
        "SELECT least($1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)",
    )
    .bind(now)
    .fetch_one(&mut *transaction)
    .await?;
    let periods = Periods::of(divided.partitions);
    let mut found = read(&mut transaction, names, &physical).await?;
    let ahead = periods.ahead(now).map(|period| period.start);
    let missing = Missing { rest: false, ..found.missing(ahead, periods, now) };
    make_within(&mut transaction, names, divided, &physical, &mut found, &missing).await?;
    if let Some(rest) = found.rest.clone() {
        for _ in 0..FROM_THE_REST {
            let near = near_row(&mut transaction, divided, &rest, periods, now).await?;
            let Some(time) = near else { break };
            let missing = Missing { times: vec![time], rest: false };
            make_within(&mut transaction, names, divided, &physical, &mut found, &missing).await?;
        }
    }
    transaction.commit().await?;
    Ok(periods.kept_from(now).map(|before| Expired {
        before,
        partitions: found.of_times.into_iter().filter(|p| p.times.end <= before).collect(),
        rest: found.rest,
    }))
}

/// The time of a row among the rest that is near enough for a partition.
async fn near_row(
    connection: &mut PgConnection,
    divided: Divided<'_>,
    rest: &str,
    periods: Periods,
    now: i64,
) -> Result<Option<i64>, sqlx::Error> {
    let near = periods.near(now);
    let by = quote(&divided.partitions.by);
    let statement = format!(
        "SELECT (extract(epoch FROM {by}) * 1000000)::bigint FROM {rest} \
         WHERE {by} >= {} AND {by} < {} LIMIT 1",
        literal(near.start),
        literal(near.end)
    );
    let found: Option<(i64,)> =
        sqlx::query_as(AssertSqlSafe(statement)).fetch_optional(connection).await?;
    Ok(found.map(|(time,)| time))
}

/// Drops a partition, if it still is one of the table and of these times: one that somebody has
/// detached is theirs.
pub(super) async fn drop_partition(
    connection: &mut PgConnection,
    names: &Names,
    divided: Divided<'_>,
    partition: &Partition,
) -> Result<bool, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    schema::wait_shortly(&mut transaction).await?;
    if !schema::try_lock(&mut transaction, names).await? {
        return Ok(false);
    }
    let Some(physical) = physical(&mut transaction, names, divided).await? else {
        return Ok(false);
    };
    if !read(&mut transaction, names, &physical).await?.of_times.contains(partition) {
        return Ok(false);
    }
    let drop = format!("DROP TABLE {}", partition.quoted);
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Deletes a bounded number of rows of earlier times from the partition for the rest. Returns how
/// many there were.
pub(super) async fn delete_rest(
    connection: &mut PgConnection,
    divided: Divided<'_>,
    rest: &str,
    before: i64,
) -> Result<u64, sqlx::Error> {
    let by = quote(&divided.partitions.by);
    let delete = format!(
        "DELETE FROM {rest} WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM {rest} WHERE {by} < {} LIMIT {BATCH}))",
        literal(before)
    );
    let deleted = sqlx::raw_sql(AssertSqlSafe(delete)).execute(connection).await?;
    Ok(deleted.rows_affected())
}
