//! Partitions of tables by time: which there are, and how they are made.
//!
//! Which there are is read from the database's own catalogue, so that partitions which somebody has
//! made, detached or dropped are seen as they are. They are made as tables of their own and attached
//! afterwards: that waits for nobody who reads or writes the table.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;
use millrace_plan::model::TablePartitions;
use sqlx::AssertSqlSafe;
use sqlx::Connection as _;
use sqlx::PgConnection;

use super::catalogue;
use super::names::Names;
use super::names::partition_name;
use super::names::rest_name;
use super::schema;
use crate::periods::Periods;
use crate::sql::quote;

/// Most partitions that are made in one transaction: it keeps locks on all of them.
const AT_ONCE: usize = 64;

/// A partition for a range of times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Partition {
    /// The times in it, without the last.
    pub(super) times: Range<i64>,
    /// Its name, quoted and with its schema.
    pub(super) quoted: String,
}

/// The partitions of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Partitions {
    /// Those for ranges of times, in order.
    pub(super) of_times: Vec<Partition>,
    /// The one for rows of all other times, quoted and with its schema.
    pub(super) rest: Option<String>,
}

/// What rows need and is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// A time in each missing partition.
    pub(super) times: Vec<i64>,
    /// Whether the one for the rest is needed.
    pub(super) rest: bool,
}

impl Partitions {
    /// What is missing for rows of these times.
    pub(super) fn missing(
        &self,
        times: impl Iterator<Item = i64>,
        periods: Periods,
        now: i64,
    ) -> Missing {
        let mut missing = BTreeMap::new();
        let mut rest = false;
        let mut last = 0..0;
        for time in times {
            if last.contains(&time) {
                continue;
            }
            if let Some(found) = self.find(time) {
                last = found.times.clone();
                continue;
            }
            let period = periods.of_time(time);
            if periods.is_near(&period, now) {
                last = self.room(&period, time);
                missing.insert(last.start, time);
            } else {
                rest |= self.rest.is_none();
            }
        }
        Missing { times: missing.into_values().collect(), rest }
    }

    fn find(&self, time: i64) -> Option<&Partition> {
        let after = self.of_times.partition_point(|partition| partition.times.start <= time);
        let found = self.of_times.get(after.checked_sub(1)?)?;
        found.times.contains(&time).then_some(found)
    }

    /// What of a period around a time is not covered by others: partitions may have been longer or
    /// shorter once.
    fn room(&self, period: &Range<i64>, time: i64) -> Range<i64> {
        let after = self.of_times.partition_point(|partition| partition.times.start <= time);
        let before = after.checked_sub(1).and_then(|index| self.of_times.get(index));
        let start = before.map_or(period.start, |before| before.times.end.max(period.start));
        let next = self.of_times.get(after);
        let end = next.map_or(period.end, |next| next.times.start.min(period.end));
        start..end
    }

    fn insert(&mut self, partition: Partition) {
        let at = self.of_times.partition_point(|other| other.times.start < partition.times.start);
        self.of_times.insert(at, partition);
    }
}

impl Missing {
    pub(super) fn is_empty(&self) -> bool {
        self.times.is_empty() && !self.rest
    }
}

/// A generation of a table whose partitions are looked at.
#[derive(Clone, Copy)]
pub(super) struct Divided<'a> {
    pub(super) table: &'a str,
    pub(super) generation: i32,
    pub(super) partitions: &'a TablePartitions,
}

/// The partitions of a table of this name in the database. Their bounds are texts in the
/// session's form of times.
pub(super) async fn read(
    connection: &mut PgConnection,
    names: &Names,
    physical: &str,
) -> Result<Partitions, sqlx::Error> {
    let found: Vec<(String, bool, Option<i64>, Option<i64>)> = sqlx::query_as(
        r"SELECT quoted, bounds IS NULL,
                 CASE WHEN isfinite(low) THEN (extract(epoch FROM low) * 1000000)::bigint END,
                 CASE WHEN isfinite(high) THEN (extract(epoch FROM high) * 1000000)::bigint END
          FROM (SELECT quoted, bounds, bounds[1]::timestamptz AS low, bounds[2]::timestamptz AS high
                FROM (SELECT format('%I.%I', m.nspname, c.relname) AS quoted, bound,
                             regexp_match(bound, $r$FROM \((?:'([^']*)'|MINVALUE)\) TO \((?:'([^']*)'|MAXVALUE)\)$r$) AS bounds
                      FROM pg_catalog.pg_class p
                           JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
                           JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid
                           JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
                           JOIN pg_catalog.pg_namespace m ON m.oid = c.relnamespace,
                           LATERAL pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound
                      WHERE n.nspname = $1 AND p.relname = $2) AS named
                WHERE bound = 'DEFAULT' OR bounds IS NOT NULL) AS bounded
          ORDER BY 3 NULLS FIRST",
    )
    .bind(&names.schema)
    .bind(physical)
    .fetch_all(connection)
    .await?;
    let mut partitions = Partitions::default();
    for (quoted, is_rest, low, high) in found {
        if is_rest {
            partitions.rest = Some(quoted);
        } else {
            let times = low.unwrap_or(i64::MIN)..high.unwrap_or(i64::MAX);
            partitions.of_times.push(Partition { times, quoted });
        }
    }
    Ok(partitions)
}

/// Makes what is missing, and returns what there is then; none if the generation is gone. Of
/// several who make the same at once, one does, and the others find it.
pub(super) async fn make(
    connection: &mut PgConnection,
    names: &Names,
    divided: Divided<'_>,
    missing: &Missing,
) -> Result<Option<Partitions>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    schema::wait_shortly(&mut transaction).await?;
    schema::lock(&mut transaction, names).await?;
    let Some(physical) = physical(&mut transaction, names, divided).await? else {
        return Ok(None);
    };
    let mut found = read(&mut transaction, names, &physical).await?;
    make_within(&mut transaction, names, divided, &physical, &mut found, missing).await?;
    transaction.commit().await?;
    Ok(Some(found))
}

pub(super) async fn physical(
    connection: &mut PgConnection,
    names: &Names,
    Divided { table, generation, .. }: Divided<'_>,
) -> Result<Option<String>, sqlx::Error> {
    catalogue::physical(connection, names, table, generation).await
}

/// Makes what is missing, within a transaction that holds the schema's lock.
pub(super) async fn make_within(
    connection: &mut PgConnection,
    names: &Names,
    divided: Divided<'_>,
    physical: &str,
    found: &mut Partitions,
    missing: &Missing,
) -> Result<(), sqlx::Error> {
    let periods = Periods::of(divided.partitions);
    for time in missing.times.iter().take(AT_ONCE) {
        if found.find(*time).is_some() {
            continue;
        }
        let times = found.room(&periods.of_time(*time), *time);
        let name = partition_name(divided.table, divided.generation, times.start);
        let quoted = create(connection, names, physical, name).await?;
        let (low, high) = (literal(times.start), literal(times.end));
        if let Some(rest) = &found.rest {
            let by = quote(&divided.partitions.by);
            let take = format!(
                "LOCK TABLE {rest} IN ACCESS EXCLUSIVE MODE;
                 WITH moved AS (DELETE FROM {rest} WHERE {by} >= {low} AND {by} < {high} RETURNING *)
                 INSERT INTO {quoted} SELECT * FROM moved"
            );
            sqlx::raw_sql(AssertSqlSafe(take)).execute(&mut *connection).await?;
        }
        let bounds = format!("FOR VALUES FROM ({low}) TO ({high})");
        attach(connection, names, physical, &quoted, &bounds).await?;
        found.insert(Partition { times, quoted });
    }
    if missing.rest && found.rest.is_none() {
        let name = rest_name(divided.table, divided.generation);
        let quoted = create(connection, names, physical, name).await?;
        attach(connection, names, physical, &quoted, "DEFAULT").await?;
        found.rest = Some(quoted);
    }
    Ok(())
}

/// Makes a table like another one, and returns its name, quoted and with its schema. Where a table
/// of the name is there already, such as a partition that was detached, a number follows it.
async fn create(
    connection: &mut PgConnection,
    names: &Names,
    physical: &str,
    name: String,
) -> Result<String, sqlx::Error> {
    let mut free = name.clone();
    let mut number = 2;
    while schema::exists(connection, &names.schema, &free).await? {
        free = format!("{name}~{number}");
        number += 1;
    }
    let quoted = names.of(&free);
    let create = format!(
        "CREATE TABLE {quoted} (LIKE {} INCLUDING ALL EXCLUDING IDENTITY)",
        names.of(physical)
    );
    sqlx::raw_sql(AssertSqlSafe(create)).execute(connection).await?;
    Ok(quoted)
}

async fn attach(
    connection: &mut PgConnection,
    names: &Names,
    physical: &str,
    quoted: &str,
    bounds: &str,
) -> Result<(), sqlx::Error> {
    let attach = format!("ALTER TABLE {} ATTACH PARTITION {quoted} {bounds}", names.of(physical));
    sqlx::raw_sql(AssertSqlSafe(attach)).execute(connection).await.map(|_| ())
}

/// A time in SQL. What no time can be is as good as the end of time.
pub(super) fn literal(micros: i64) -> String {
    match Timestamp::from_microsecond(micros) {
        Ok(time) => format!("'{}+00'", time.strftime("%Y-%m-%d %H:%M:%S%.6f")),
        Err(_) if micros < 0 => "'-infinity'".to_owned(),
        Err(_) => "'infinity'".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn partitions(ranges: &[Range<i64>]) -> Partitions {
        let of_times = ranges
            .iter()
            .map(|times| Partition {
                times: times.start * HOUR..times.end * HOUR,
                quoted: String::new(),
            })
            .collect();
        Partitions { of_times, rest: None }
    }

    fn periods(hours: u64) -> Periods {
        let every = Duration::from_hours(hours);
        Periods::of(&TablePartitions { by: "at".into(), every, retention: None })
    }

    #[test]
    fn each_period_without_a_partition_is_missing_once_and_far_off_ones_need_the_rest() {
        let there = partitions(&[0..24, 48..72]);
        let hours = [1, 25, 26, 47, 50, 30, 73];
        let times = || hours.iter().map(|hour| hour * HOUR);
        let missing = there.missing(times(), periods(24), 50 * HOUR);
        assert_eq!(missing, Missing { times: vec![30 * HOUR, 73 * HOUR], rest: false });
        let far = there.missing([HOUR, 9_000_000 * HOUR].into_iter(), periods(24), 50 * HOUR);
        assert_eq!(far, Missing { times: vec![], rest: true });
        let with_rest = Partitions { rest: Some(String::new()), ..there };
        assert!(with_rest.missing([9_000_000 * HOUR].into_iter(), periods(24), 0).is_empty());
    }

    #[test]
    fn a_period_of_another_length_takes_what_others_leave() {
        let there = partitions(&[0..24, 24..48, 60..72]);
        let room = |time: i64| {
            let room = there.room(&periods(168).of_time(time * HOUR), time * HOUR);
            room.start / HOUR..room.end / HOUR
        };
        assert_eq!(room(50), 48..60);
        assert_eq!(room(80), 72..168);
        assert_eq!(room(-1), -168..0);
    }

    #[test]
    fn a_time_in_sql_is_in_utc_to_the_microsecond() {
        assert_eq!(literal(0), "'1970-01-01 00:00:00.000000+00'");
        assert_eq!(literal(1_767_225_600_000_001), "'2026-01-01 00:00:00.000001+00'");
        assert_eq!(literal(i64::MAX), "'infinity'");
    }
}
