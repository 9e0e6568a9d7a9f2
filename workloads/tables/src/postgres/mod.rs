//! Tables in a Postgres schema, for any number of processes.
//!
//! A commit is one statement: it moves the position, if the claim holds, and writes the rows, all
//! or nothing. What tables look like and which generation is served is in the database alone, so
//! that every process sees what another one has changed.

mod catalogue;
mod clean;
mod commit;
mod connect;
mod error;
mod failure;
mod names;
mod partitions;
mod provision;
mod schema;
mod select;
mod serving;
mod settings;
mod table;
mod values;

pub use error::ConnectStoreError;
pub use error::ProvisionStoreError;
pub use provision::PostgresRole;
pub use provision::PostgresRoles;
pub use provision::PostgresUser;
pub use settings::PostgresSettings;
pub use settings::PostgresTls;
pub use settings::PostgresTlsMode;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use parking_lot::RwLock;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use tokio::time::timeout;

use crate::Cell;
use crate::ClaimError;
use crate::CleanTableError;
use crate::Cleaned;
use crate::CommitError;
use crate::EnsureTableError;
use crate::LookUp;
use crate::LookUpError;
use crate::Page;
use crate::Row;
use crate::ServeError;
use crate::SinkClaim;
use crate::SinkPartition;
use crate::SinkTable;
use crate::TableSpec;
use crate::TableStore;
use crate::periods::PartitionColumn;
use crate::periods::Periods;
use crate::periods::now_micros;
use clean::Expired;
use commit::Commit;
use commit::Outcome;
use connect::Connections;
use failure::Failure;
use names::Names;
use partitions::Divided;
use partitions::Missing;
use partitions::Partitions;
use table::ServedTable;
use table::Table;

/// How often something is tried with what was learned anew from the database.
const ATTEMPTS: usize = 3;

/// How often partitions are looked for and made for the rows of one commit.
const ROUNDS: usize = 12;

/// Tables in a Postgres schema.
pub struct PostgresStore {
    connections: Connections,
    place: String,
    names: Names,
    /// Generations that this process has ensured, by table and generation.
    filled: RwLock<HashMap<(String, i32), Arc<Table>>>,
    /// Tables that were looked up, as they were then.
    looked_up: RwLock<HashMap<String, Arc<ServedTable>>>,
    /// Microseconds since 1970: which times are near enough for partitions of their own.
    clock: fn() -> i64,
}

/// Runs a future on a connection, for as long as an answer is waited for.
macro_rules! on {
    ($store:expr, $connection:ident => $work:expr) => {
        async {
            let mut $connection: PoolConnection<Postgres> = $store.connections.acquire().await?;
            let done = timeout($store.connections.answer_limit(), $work).await;
            $store.connections.settle($connection, done)
        }
        .await
    };
}

impl PostgresStore {
    /// Connects to a database, and makes the pipeline's schema if it is not there.
    ///
    /// A worker's user needs the rights of the schema's owner, as [`Self::provision`] gives them
    /// to [`PostgresRoles::worker`]. Where the schema is there already, reading is enough for
    /// everything that changes nothing: look-ups, positions, and ensuring tables that are as
    /// declared; so a query process may use [`PostgresRoles::query`].
    ///
    /// The files of user and password are read anew for new connections, and connections live for
    /// half an hour at most. So a user is exchanged for another without a restart; both have to be
    /// members of [`PostgresSettings::role`].
    ///
    /// # Errors
    /// When the database cannot be reached or is of another kind, or the schema cannot be made.
    pub async fn connect(
        settings: &PostgresSettings,
        pipeline: &str,
    ) -> Result<Self, ConnectStoreError> {
        let schema = settings.schema_of(pipeline);
        let store = Self {
            connections: Connections::open(settings, pipeline).await?,
            place: settings.place(),
            names: Names::new(&schema),
            filled: RwLock::default(),
            looked_up: RwLock::default(),
            clock: now_micros,
        };
        let prepared: Result<i32, Failure> =
            on!(store, connection => schema::prepare(&mut connection, &store.names));
        let place = store.place.clone();
        let found = match prepared {
            Ok(found) => found,
            Err(failure) => {
                let reason = failure.reason();
                let source = reason.clone().into();
                return Err(ConnectStoreError::Prepare { place, schema, reason, source });
            }
        };
        if found > schema::FORMAT {
            let supported = schema::FORMAT;
            return Err(ConnectStoreError::Version { place, schema, found, supported });
        }
        Ok(store)
    }

    /// The same store with another clock, in microseconds since 1970. It decides which times are
    /// near enough for partitions of their own, and nothing else.
    #[must_use]
    pub fn with_clock(self, clock: fn() -> i64) -> Self {
        Self { clock, ..self }
    }

    /// The schema that the tables are in.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.names.schema
    }

    fn filled(&self, table: &str, generation: i32) -> Option<Arc<Table>> {
        self.filled.read().get(&(table.to_owned(), generation)).cloned()
    }

    /// Learns anew which name a generation has in the database. One that is gone was removed by
    /// whoever serves another one: no claim of it can commit any more.
    async fn relearn(
        &self,
        table: &Table,
        SinkPartition { sink, generation, .. }: &SinkPartition,
    ) -> Result<Arc<Table>, CommitError> {
        let name = &table.plan.name;
        let physical: Result<Option<String>, Failure> = on!(self, connection =>
            catalogue::physical(&mut connection, &self.names, name, *generation));
        let physical = physical.map_err(refused)?;
        let physical = physical.ok_or_else(|| CommitError::Fenced { sink: sink.clone() })?;
        let table = Arc::new(Table::new(&self.names, &table.plan, &physical));
        self.filled.write().insert((name.clone(), *generation), Arc::clone(&table));
        Ok(table)
    }

    /// Makes the partitions that rows need and that are not there.
    async fn make_room(
        &self,
        table: &Table,
        generation: i32,
        rows: &[Row],
    ) -> Result<(), CommitError> {
        let (Some(partitions), Some(column)) =
            (&table.plan.partitions, PartitionColumn::of(&table.plan))
        else {
            return Ok(());
        };
        if rows.iter().any(|row| row.cells.get(column.index()) == Some(&Cell::Null)) {
            let by = &partitions.by;
            return Err(CommitError::Refused(format!("column `{by}` must have a time")));
        }
        let divided = Divided { table: &table.plan.name, generation, partitions };
        let periods = Periods::of(partitions);
        let times = || rows.iter().filter_map(|row| column.time(row));
        for _ in 0..ROUNDS {
            let known = table.partitions.read().clone();
            let missing = match &known {
                // Whatever it is, what is there is learned on the way.
                None => Missing::default(),
                Some(known) => known.missing(times(), periods, (self.clock)()),
            };
            if known.is_some() && missing.is_empty() {
                return Ok(());
            }
            let made: Result<Option<Partitions>, Failure> = on!(self, connection => async {
                if known.is_some() {
                    partitions::make(&mut connection, &self.names, divided, &missing).await
                } else {
                    partitions::read(&mut connection, &self.names, &table.physical).await.map(Some)
                }
            });
            match made {
                Ok(Some(found)) => *table.partitions.write() = Some(Arc::new(found)),
                // The commit finds out what has become of the table.
                Ok(None) | Err(Failure::Table(_)) => return Ok(()),
                // The partition for the rest takes the rows until they can be moved.
                Err(Failure::Moment(_)) if known.is_some_and(|known| known.rest.is_some()) => {
                    return Ok(());
                }
                Err(failure) => return Err(CommitError::Unavailable(failure.reason())),
            }
        }
        Ok(())
    }

    /// The table that is served under a name.
    async fn served_table(&self, name: &str) -> Result<Option<Arc<ServedTable>>, Failure> {
        let known = self.looked_up.read().get(name).cloned();
        let found: Result<Option<Arc<ServedTable>>, Failure> = on!(self, connection => async {
            let revision = catalogue::revision(&mut connection, &self.names, name).await?;
            match (known, revision) {
                (_, None) => Ok(None),
                (Some(known), Some(revision)) if known.revision == revision => Ok(Some(known)),
                _ => Ok(catalogue::served(&mut connection, &self.names, name).await?.map(Arc::new)),
            }
        });
        let found = found?;
        let mut looked_up = self.looked_up.write();
        match &found {
            Some(table) => looked_up.insert(name.to_owned(), Arc::clone(table)),
            None => looked_up.remove(name),
        };
        Ok(found)
    }
}

impl PostgresStore {
    async fn clean_divided(
        &self,
        divided: Divided<'_>,
        now: i64,
        cleaned: &mut Cleaned,
    ) -> Result<(), Failure> {
        let expired: Result<Option<Expired>, Failure> = on!(self, connection =>
            clean::prepare(&mut connection, &self.names, divided, now));
        let Some(expired) = expired? else { return Ok(()) };
        for partition in &expired.partitions {
            let dropped: Result<bool, Failure> = on!(self, connection =>
                clean::drop_partition(&mut connection, &self.names, divided, partition));
            cleaned.partitions += u64::from(dropped?);
        }
        let Some(rest) = &expired.rest else { return Ok(()) };
        loop {
            let deleted: Result<u64, Failure> = on!(self, connection =>
                clean::delete_rest(&mut connection, divided, rest, expired.before));
            let deleted = deleted?;
            cleaned.rows += deleted;
            if deleted < clean::BATCH {
                return Ok(());
            }
        }
    }
}

/// What a failure means for a commit.
fn refused(failure: Failure) -> CommitError {
    match failure {
        Failure::Rows(reason) => CommitError::Refused(reason),
        other => CommitError::Unavailable(other.reason()),
    }
}

#[async_trait]
impl TableStore for PostgresStore {
    fn system(&self) -> &'static str {
        "postgresql"
    }

    async fn ensure_tables(&self, tables: &[TableSpec]) -> Result<(), EnsureTableError> {
        for spec in tables {
            let table = || spec.plan.name.clone();
            let ensured: Result<Result<String, String>, Failure> = on!(self, connection =>
                catalogue::ensure(&mut connection, &self.names, spec));
            let ensured = ensured.map_err(|failure| EnsureTableError::Create {
                table: table(),
                source: failure.reason().into(),
            })?;
            let physical = ensured
                .map_err(|reason| EnsureTableError::Incompatible { table: table(), reason })?;
            let filled = Arc::new(Table::new(&self.names, &spec.plan, &physical));
            self.filled.write().insert((table(), spec.generation), filled);
        }
        Ok(())
    }

    async fn check_table(&self, table: &TableSpec) -> Result<(), EnsureTableError> {
        let name = || table.plan.name.clone();
        let checked: Result<Result<(), String>, Failure> = on!(self, connection =>
            catalogue::check(&mut connection, &self.names, table));
        let checked = checked.map_err(|failure| EnsureTableError::Create {
            table: name(),
            source: failure.reason().into(),
        })?;
        checked.map_err(|reason| EnsureTableError::Incompatible { table: name(), reason })
    }

    async fn clean(&self, table: &TableSpec, now: i64) -> Result<Cleaned, CleanTableError> {
        let Some(partitions) = &table.plan.partitions else { return Ok(Cleaned::default()) };
        let divided = Divided { table: &table.plan.name, generation: table.generation, partitions };
        let mut cleaned = Cleaned::default();
        match self.clean_divided(divided, now, &mut cleaned).await {
            // The table is not there, or another generation has its name.
            Ok(()) | Err(Failure::Table(_)) => Ok(cleaned),
            Err(failure) => {
                let table = table.plan.name.clone();
                Err(CleanTableError { table, reason: failure.reason() })
            }
        }
    }

    async fn served(&self, table: &str) -> Result<Option<i32>, ServeError> {
        let served: Result<Option<i32>, Failure> =
            on!(self, connection => serving::served(&mut connection, &self.names, table));
        served.map_err(|failure| not_served(table, failure))
    }

    async fn serve(&self, tables: &[SinkTable]) -> Result<(), ServeError> {
        let Some(first) = tables.first() else { return Ok(()) };
        let served: Result<Result<(), ServeError>, Failure> =
            on!(self, connection => serving::serve(&mut connection, &self.names, tables));
        served.map_err(|failure| not_served(&first.table, failure))?
    }

    async fn discard(&self, tables: &[SinkTable]) -> Result<(), ServeError> {
        let Some(first) = tables.first() else { return Ok(()) };
        let discarded: Result<Result<(), ServeError>, Failure> =
            on!(self, connection => serving::discard(&mut connection, &self.names, tables));
        discarded.map_err(|failure| not_served(&first.table, failure))??;
        for SinkTable { table, generation, .. } in tables {
            self.filled.write().remove(&(table.clone(), *generation));
        }
        Ok(())
    }

    async fn positions(
        &self,
        sink: &str,
        generation: i32,
    ) -> Result<Vec<(StreamName, Partition, Offset)>, ServeError> {
        let positions: Result<Vec<_>, Failure> = on!(self, connection =>
            serving::positions(&mut connection, &self.names, sink, generation));
        positions.map_err(|failure| not_served(sink, failure))
    }

    async fn begin_anew(&self, arrived: &[SinkTable]) -> Result<bool, ServeError> {
        let begun: Result<bool, Failure> = on!(self, connection =>
            serving::begin_anew(&mut connection, &self.names, arrived));
        begun.map_err(|failure| not_served("all tables", failure))
    }

    async fn claim(&self, partition: &SinkPartition) -> Result<(SinkClaim, Offset), ClaimError> {
        let claimed: Result<(i64, Offset), Failure> =
            on!(self, connection => commit::claim(&mut connection, &self.names, partition));
        let (epoch, next) = claimed.map_err(|failure| ClaimError {
            sink: partition.sink.clone(),
            reason: failure.reason(),
        })?;
        Ok((SinkClaim { partition: partition.clone(), epoch }, next))
    }

    async fn commit(
        &self,
        claim: &SinkClaim,
        table: &str,
        rows: &[Row],
        from: Offset,
        next: Offset,
    ) -> Result<u64, CommitError> {
        let generation = claim.partition.generation;
        let filled = self.filled(table, generation);
        let mut table = filled.ok_or_else(|| CommitError::UnknownTable(table.to_owned()))?;
        let commit = Commit { claim, rows, from, next };
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            self.make_room(&table, generation, rows).await?;
            let done: Result<Outcome, Failure> = on!(self, connection =>
                commit::commit(&mut connection, &self.names, &table, &commit));
            match done {
                Ok(Outcome::Written(written)) => return Ok(written),
                Ok(Outcome::Refused(error)) => return Err(error),
                Ok(Outcome::Elsewhere) => "the table was renamed".clone_into(&mut last),
                Err(Failure::Table(reason)) => last = reason,
                Err(failure) => return Err(refused(failure)),
            }
            table = self.relearn(&table, &claim.partition).await?;
        }
        Err(CommitError::Unavailable(last))
    }

    async fn look_up(&self, table: &str, query: &LookUp) -> Result<Page, LookUpError> {
        let failed = |failure: Failure| LookUpError::Read {
            table: table.to_owned(),
            source: failure.reason().into(),
        };
        let mut attempts = 0;
        loop {
            attempts += 1;
            let served = self.served_table(table).await.map_err(failed)?;
            let served = served.ok_or_else(|| LookUpError::UnknownTable(table.to_owned()))?;
            let selection = select::selection(&served, query)?;
            let found: Result<Page, Failure> =
                on!(self, connection => select::look_up(&mut connection, &selection));
            match found {
                // It may have changed between the two statements.
                Err(Failure::Table(_)) if attempts < ATTEMPTS => {}
                found => return found.map_err(failed),
            }
        }
    }

    async fn close(&self) {
        self.connections.close().await;
    }
}

fn not_served(name: &str, failure: Failure) -> ServeError {
    ServeError::Database { name: name.to_owned(), source: failure.reason().into() }
}
