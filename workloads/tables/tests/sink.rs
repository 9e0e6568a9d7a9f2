//! The table sink from a real log into a real database.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod fixtures;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use millrace_core::DeadLetter;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Mark;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_log::Append;
use millrace_log::EmbeddedLog;
use millrace_log::EmbeddedLogOptions;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::ReadLimit;
use millrace_log::StreamConfig;
use millrace_observe::Observer;
use millrace_plan::model::Keep;
use millrace_plan::model::Retention;
use millrace_tables::Cell;
use millrace_tables::ClaimError;
use millrace_tables::CleanTableError;
use millrace_tables::Cleaned;
use millrace_tables::CommitError;
use millrace_tables::EnsureTableError;
use millrace_tables::LookUp;
use millrace_tables::LookUpError;
use millrace_tables::Page;
use millrace_tables::Row;
use millrace_tables::ServeError;
use millrace_tables::SinkClaim;
use millrace_tables::SinkPartition;
use millrace_tables::SinkTable;
use millrace_tables::TableSpec;
use millrace_tables::TableStore;
use millrace_tables::export;
use millrace_tables::sink::RowOrder;
use millrace_tables::sink::RunSinkError;
use millrace_tables::sink::SinkContext;
use millrace_tables::sink::SinkInput;
use millrace_tables::sink::TableSink;
use millrace_tables::sink::run_table_sink;
use millrace_tables::sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use fixtures::cars;

struct Bench {
    log: Arc<EmbeddedLog>,
    tables: Arc<SqliteStore>,
    observer: Arc<Observer>,
    shutdown: CancellationToken,
    _folder: TempDir,
}

fn name(text: &str) -> StreamName {
    text.parse().unwrap()
}

fn sink() -> TableSink {
    TableSink {
        name: "cars".into(),
        generation: 0,
        inputs: vec![SinkInput {
            stream: name("coordinates"),
            partitions: 2,
            order: RowOrder::EventTime,
        }],
        table: cars(Keep::Latest),
        dead_letter_partitions: 1,
    }
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(EmbeddedLogOptions::new(folder.path().join("log"))).unwrap();
        let stream = |text, partitions| StreamConfig {
            name: name(text),
            partitions,
            retention: Retention::default(),
        };
        log.ensure_streams(&[stream("coordinates", 2), stream("dead-letters", 1)]).await.unwrap();
        let tables =
            Arc::new(SqliteStore::open(&folder.path().join("tables.sqlite")).await.unwrap());
        tables.ensure_tables(&[sink().spec()]).await.unwrap();
        Self {
            log,
            tables,
            observer: Arc::default(),
            shutdown: CancellationToken::new(),
            _folder: folder,
        }
    }

    async fn append(&self, partition: i32, entries: Vec<Entry>) {
        let append = |entry| Append { stream: name("coordinates"), partition, entry };
        self.log.append(entries.into_iter().map(append).collect()).await.unwrap();
    }

    /// Starts the sink on a store; the second value tells it that upstream has finished.
    fn start(
        &self,
        tables: Arc<dyn TableStore>,
    ) -> (JoinHandle<Result<(), RunSinkError>>, watch::Sender<bool>) {
        let (finish, finished) = watch::channel(false);
        let context = SinkContext::new(
            Arc::clone(&self.log) as Arc<dyn Log>,
            tables,
            Arc::clone(&self.observer),
        );
        let running =
            tokio::spawn(run_table_sink(sink(), context, Some(finished), self.shutdown.clone()));
        (running, finish)
    }

    /// Runs the sink to the end of the log.
    async fn drain(&self, tables: Arc<dyn TableStore>) -> Result<(), RunSinkError> {
        let (running, finish) = self.start(tables);
        finish.send(true).unwrap();
        running.await.unwrap()
    }

    async fn content(&self) -> String {
        export(&*self.tables, &cars(Keep::Latest)).await.unwrap()
    }

    async fn dead_letters(&self) -> Vec<DeadLetter> {
        let batch =
            self.log.read(&StreamName::dead_letters(), 0, 0, ReadLimit::default()).await.unwrap();
        batch
            .entries
            .into_iter()
            .filter_map(|(_, entry)| match entry {
                Entry::Record(record) => Some(DeadLetter::from_record(record)),
                Entry::Mark(_) => None,
            })
            .collect()
    }

    async fn until(&self, condition: impl AsyncFn() -> bool) {
        let reached = async {
            while !condition().await {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reached).await.unwrap();
    }
}

fn event(value: &str, time: i64, id: u8) -> Entry {
    Entry::Record(Record {
        key: "race".into(),
        event_time: time,
        ingest_time: time + 1,
        id: EventId::from([id; 16]),
        headers: Headers::default(),
        value: value.to_owned().into(),
    })
}

fn seen(car: i64, time: i64) -> Entry {
    event(&format!(r#"{{"car":{car},"seen":{time}}}"#), time, 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_reads_all_partitions_to_the_end_and_finishes() {
    let bench = Bench::new().await;
    bench
        .append(0, vec![seen(1, 10), Entry::Mark(Mark::Idle { watermark: 11 }), seen(2, 12)])
        .await;
    bench.append(1, vec![seen(3, 9)]).await;
    bench.drain(bench.tables.clone()).await.unwrap();
    assert_eq!(
        bench.content().await,
        "[\"car\",\"driver\",\"seen\"]\n\
         [1,null,\"1970-01-01T00:00:00.01Z\"]\n\
         [2,null,\"1970-01-01T00:00:00.012Z\"]\n\
         [3,null,\"1970-01-01T00:00:00.009Z\"]\n"
    );
    assert!(bench.observer.not_ready().is_empty());
    let metrics = bench.observer.encode().unwrap();
    assert!(metrics.contains("millrace_table_rows_written_total{sink=\"cars\"} 3"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_follows_what_is_appended_and_stops_when_told() {
    let bench = Bench::new().await;
    let (running, _finish) = bench.start(bench.tables.clone());
    for car in 1..=3 {
        bench.append(0, vec![seen(car, 10)]).await;
        bench.until(async || bench.content().await.contains(&format!("\n[{car},"))).await;
    }
    bench.shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_row_becomes_one_dead_letter_and_holds_nothing_up() {
    let bench = Bench::new().await;
    bench.append(1, vec![seen(1, 10), event(r#"{"car":"x","seen":1}"#, 11, 7), seen(2, 12)]).await;
    bench.drain(bench.tables.clone()).await.unwrap();
    assert_eq!(bench.content().await.lines().count(), 3);
    let letters = bench.dead_letters().await;
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!(letter.stage, "sink/cars");
    assert_eq!(letter.reason, "column `car`: the field `.car` is a text, not an integer");
    assert_eq!(&letter.original[..], br#"{"car":"x","seen":1}"#);
    let source = letter.source.as_ref().unwrap();
    assert_eq!((&*source.stream, source.partition, source.offset), ("coordinates", 1, 1));

    // The position in the database is lost, so everything is read again: rows stay the same and
    // the dead letter is not repeated.
    let folder = tempfile::tempdir().unwrap();
    let rebuilt = Arc::new(SqliteStore::open(&folder.path().join("tables.sqlite")).await.unwrap());
    rebuilt.ensure_tables(&[sink().spec()]).await.unwrap();
    bench.drain(rebuilt.clone()).await.unwrap();
    assert_eq!(export(&*rebuilt, &cars(Keep::Latest)).await.unwrap(), bench.content().await);
    assert_eq!(bench.dead_letters().await.len(), 1);
}

/// A store that fails as told before it lets a commit through, and counts commits.
struct Failing {
    tables: Arc<SqliteStore>,
    /// Commits that fail as if the disk were full.
    full: AtomicUsize,
    /// Commits that are made but seem to fail.
    unconfirmed: AtomicUsize,
    /// The car whose rows are refused.
    refused: Option<i64>,
    /// Commits of other rows from this position on fail.
    full_from: Option<Offset>,
}

impl Failing {
    fn new(bench: &Bench) -> Self {
        Self {
            tables: Arc::clone(&bench.tables),
            full: AtomicUsize::new(0),
            unconfirmed: AtomicUsize::new(0),
            refused: None,
            full_from: None,
        }
    }
}

fn take(counter: &AtomicUsize) -> bool {
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[async_trait]
impl TableStore for Failing {
    fn system(&self) -> &'static str {
        self.tables.system()
    }

    async fn ensure_tables(&self, tables: &[TableSpec]) -> Result<(), EnsureTableError> {
        self.tables.ensure_tables(tables).await
    }

    async fn check_table(&self, table: &TableSpec) -> Result<(), EnsureTableError> {
        self.tables.check_table(table).await
    }

    async fn clean(&self, table: &TableSpec, now: i64) -> Result<Cleaned, CleanTableError> {
        self.tables.clean(table, now).await
    }

    async fn served(&self, table: &str) -> Result<Option<i32>, ServeError> {
        self.tables.served(table).await
    }

    async fn serve(&self, tables: &[SinkTable]) -> Result<(), ServeError> {
        self.tables.serve(tables).await
    }

    async fn discard(&self, tables: &[SinkTable]) -> Result<(), ServeError> {
        self.tables.discard(tables).await
    }

    async fn positions(
        &self,
        sink: &str,
        generation: i32,
    ) -> Result<Vec<(StreamName, Partition, Offset)>, ServeError> {
        self.tables.positions(sink, generation).await
    }

    async fn begin_anew(&self, arrived: &[SinkTable]) -> Result<bool, ServeError> {
        self.tables.begin_anew(arrived).await
    }

    async fn claim(&self, partition: &SinkPartition) -> Result<(SinkClaim, Offset), ClaimError> {
        self.tables.claim(partition).await
    }

    async fn commit(
        &self,
        claim: &SinkClaim,
        table: &str,
        rows: &[Row],
        from: Offset,
        next: Offset,
    ) -> Result<u64, CommitError> {
        if take(&self.full) {
            return Err(CommitError::Unavailable("disk full".into()));
        }
        let refused = |row: &Row| self.refused.map(Cell::Integer).as_ref() == Some(&row.cells[0]);
        if rows.iter().any(refused) {
            return Err(CommitError::Refused("unlucky number".into()));
        }
        if self.full_from.is_some_and(|position| from >= position) {
            return Err(CommitError::Unavailable("disk full".into()));
        }
        let written = self.tables.commit(claim, table, rows, from, next).await?;
        if take(&self.unconfirmed) {
            return Err(CommitError::Unavailable("connection lost".into()));
        }
        Ok(written)
    }

    async fn look_up(&self, table: &str, query: &LookUp) -> Result<Page, LookUpError> {
        self.tables.look_up(table, query).await
    }

    async fn close(&self) {
        self.tables.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_waits_while_the_database_is_full_and_goes_on_by_itself() {
    let bench = Bench::new().await;
    let store = Arc::new(Failing::new(&bench));
    store.full.store(usize::MAX, Ordering::SeqCst);
    let (running, finish) = bench.start(store.clone());
    bench.append(0, vec![seen(1, 10)]).await;
    bench
        .until(async || {
            bench.observer.not_ready()
                == ["sink cars on coordinates partition 0 is waiting: disk full"]
        })
        .await;
    assert_eq!(bench.content().await.lines().count(), 1);
    store.full.store(0, Ordering::SeqCst);
    bench.until(async || bench.observer.not_ready().is_empty()).await;
    finish.send(true).unwrap();
    running.await.unwrap().unwrap();
    assert_eq!(bench.content().await.lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_confirmation_was_lost_is_not_made_twice() {
    let bench = Bench::new().await;
    let store = Arc::new(Failing::new(&bench));
    store.unconfirmed.store(1, Ordering::SeqCst);
    bench.append(0, vec![seen(1, 10), seen(2, 11)]).await;
    bench.drain(store).await.unwrap();
    assert_eq!(bench.content().await.lines().count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_database_refuses_becomes_a_dead_letter_and_the_others_are_written() {
    let bench = Bench::new().await;
    let store = Arc::new(Failing { refused: Some(13), ..Failing::new(&bench) });
    bench.append(0, (0..20).map(|car| seen(car, 10)).collect()).await;
    bench.drain(store).await.unwrap();
    assert_eq!(bench.content().await.lines().count(), 20);
    let letters = bench.dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].reason, "unlucky number");
    assert_eq!(letters[0].source.as_ref().unwrap().offset, 13);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_row_is_one_dead_letter_though_the_sink_ends_before_its_position_moves() {
    let bench = Bench::new().await;
    bench.append(0, vec![event("[]", 9, 200)]).await;
    bench.append(0, (0..20).map(|car| seen(car, 10)).collect()).await;
    let failing = Failing { refused: Some(13), full_from: Some(14), ..Failing::new(&bench) };
    let (running, _finish) = bench.start(Arc::new(failing));
    bench.until(async || bench.dead_letters().await.len() == 2).await;
    running.abort();
    let _ = running.await;
    bench.append(0, vec![event("[]", 11, 201)]).await;
    let store = Failing { refused: Some(13), ..Failing::new(&bench) };
    bench.drain(Arc::new(store)).await.unwrap();
    let offsets: Vec<_> = bench
        .dead_letters()
        .await
        .into_iter()
        .map(|letter| letter.source.unwrap().offset)
        .collect();
    assert_eq!(offsets, [0, 14, 21]);
    assert_eq!(bench.content().await.lines().count(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_was_taken_over_stops_and_writes_nothing_more() {
    let bench = Bench::new().await;
    let (running, _finish) = bench.start(bench.tables.clone());
    bench.append(0, vec![seen(1, 10)]).await;
    bench.append(1, vec![seen(1, 10)]).await;
    bench.until(async || bench.observer.not_ready().is_empty()).await;
    bench.until(async || bench.content().await.contains("\n[1,")).await;
    for partition in [0, 1] {
        let partition = SinkPartition {
            sink: "cars".into(),
            generation: 0,
            stream: name("coordinates"),
            partition,
        };
        bench.tables.claim(&partition).await.unwrap();
    }
    bench.append(0, vec![seen(2, 11)]).await;
    bench.append(1, vec![seen(3, 11)]).await;
    let stopped = running.await.unwrap().unwrap_err();
    assert!(matches!(stopped, RunSinkError::Commit { source: CommitError::Fenced { .. }, .. }));
    assert_eq!(bench.content().await.lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_beyond_the_end_of_the_log_is_refused() {
    let bench = Bench::new().await;
    let partition = SinkPartition {
        sink: "cars".into(),
        generation: 0,
        stream: name("coordinates"),
        partition: 1,
    };
    let (claim, _) = bench.tables.claim(&partition).await.unwrap();
    bench.tables.commit(&claim, "cars", &[], 0, 500).await.unwrap();
    let stopped = bench.drain(bench.tables.clone()).await.unwrap_err();
    assert!(matches!(stopped, RunSinkError::AnotherLog { position: 500, end: 0, .. }));
    let reasons = bench.observer.not_ready();
    assert_eq!(reasons.len(), 1);
    assert!(reasons[0].starts_with("sink cars on coordinates partition 1 has failed: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_at_any_moment_and_starting_again_writes_every_row_once() {
    let bench = Bench::new().await;
    for chunk in 0..10 {
        bench.append(0, (0..500).map(|i| seen(chunk * 500 + i, 10)).collect()).await;
    }
    let undisturbed = {
        let folder = tempfile::tempdir().unwrap();
        let store =
            Arc::new(SqliteStore::open(&folder.path().join("tables.sqlite")).await.unwrap());
        store.ensure_tables(&[sink().spec()]).await.unwrap();
        bench.drain(store.clone()).await.unwrap();
        export(&*store, &cars(Keep::Latest)).await.unwrap()
    };
    // Aborting a task is what a kill is: it ends between any two steps.
    for pause in 0..20 {
        let (running, _finish) = bench.start(bench.tables.clone());
        for _ in 0..pause * 50 {
            tokio::task::yield_now().await;
        }
        running.abort();
        let _ = running.await;
    }
    bench.drain(bench.tables.clone()).await.unwrap();
    assert_eq!(bench.content().await, undisturbed);
}
