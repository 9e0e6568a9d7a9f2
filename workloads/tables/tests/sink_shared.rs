//! A table sink in several processes that share a log and a database.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

#[path = "../../engine/tests/common/assigned.rs"]
mod assigned;
mod fixtures;

use std::sync::Arc;
use std::time::Duration;

use assigned::AssignedLog;
use async_trait::async_trait;
use fixtures::cars;
use millrace_core::EventId;
use millrace_core::Headers;
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
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PARTITIONS: Partition = 3;

fn name(text: &str) -> StreamName {
    text.parse().unwrap()
}

fn sink() -> TableSink {
    TableSink {
        name: "cars".into(),
        generation: 0,
        inputs: vec![SinkInput {
            stream: name("coordinates"),
            partitions: PARTITIONS,
            order: RowOrder::EventTime,
        }],
        table: cars(Keep::Latest),
        dead_letter_partitions: 1,
    }
}

fn partition(partition: Partition) -> SinkPartition {
    let (sink, stream) = ("cars".to_owned(), name("coordinates"));
    SinkPartition { sink, generation: 0, stream, partition }
}

struct Bench {
    log: Arc<dyn Log>,
    tables: Arc<Held>,
    _folder: TempDir,
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
        let streams = [stream("coordinates", PARTITIONS), stream("dead-letters", 1)];
        log.ensure_streams(&streams).await.unwrap();
        let tables = SqliteStore::open(&folder.path().join("tables.sqlite")).await.unwrap();
        tables.ensure_tables(&[sink().spec()]).await.unwrap();
        let tables = Arc::new(Held { tables, holds: watch::Sender::default() });
        Self { log, tables, _folder: folder }
    }

    fn process(&self) -> Process {
        let log = AssignedLog::over(&self.log);
        let (observer, stop) = (Arc::new(Observer::default()), CancellationToken::new());
        let context = SinkContext::new(log.clone(), self.tables.clone(), Arc::clone(&observer));
        let running = tokio::spawn(run_table_sink(sink(), context, None, stop.clone()));
        Process { log, observer, stop, running }
    }

    async fn append(&self, partition: Partition, values: impl Iterator<Item = String>) {
        let append = |value: String| Append {
            stream: name("coordinates"),
            partition,
            entry: Entry::Record(Record {
                key: "race".into(),
                event_time: 10,
                ingest_time: 11,
                id: EventId::of_content("coordinates", b"race", value.as_bytes()),
                headers: Headers::default(),
                value: value.into(),
            }),
        };
        self.log.append(values.map(append).collect()).await.unwrap();
    }

    async fn rows(&self) -> usize {
        export(&*self.tables, &cars(Keep::Latest)).await.unwrap().lines().count() - 1
    }

    async fn dead_letters(&self) -> usize {
        let stream = StreamName::dead_letters();
        let letters = self.log.read(&stream, 0, 0, ReadLimit::default());
        letters.await.unwrap().entries.len()
    }
}

/// A process with the sink.
struct Process {
    log: Arc<AssignedLog>,
    observer: Arc<Observer>,
    stop: CancellationToken,
    running: JoinHandle<Result<(), RunSinkError>>,
}

impl Process {
    async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }
}

/// A store whose commits can be held up.
struct Held {
    tables: SqliteStore,
    holds: watch::Sender<bool>,
}

#[async_trait]
impl TableStore for Held {
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
        // The sender is here.
        let _ = self.holds.subscribe().wait_for(|holds| !holds).await;
        self.tables.commit(claim, table, rows, from, next).await
    }

    async fn look_up(&self, table: &str, query: &LookUp) -> Result<Page, LookUpError> {
        self.tables.look_up(table, query).await
    }

    async fn close(&self) {
        self.tables.close().await;
    }
}

fn seen(car: i64) -> String {
    format!(r#"{{"car":{car},"seen":10}}"#)
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let reached = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_secs(30), reached).await;
    assert!(reached.is_ok(), "in vain: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_go_from_one_process_to_another_lose_and_repeat_nothing() {
    let bench = Bench::new().await;
    let mut random = StdRng::seed_from_u64(5);
    let processes = [bench.process(), bench.process()];
    for (piece, epoch) in (0..40).zip(1..) {
        for partition in 0..PARTITIONS {
            let first = i64::from(partition) * 100_000 + piece * 50;
            let cars = (first..first + 50).map(seen);
            bench.append(partition, cars.chain([format!("[{first}]")])).await;
        }
        let owners: Vec<usize> = (0..PARTITIONS).map(|_| random.random_range(0..3)).collect();
        for (index, process) in processes.iter().enumerate() {
            let here = (0..).zip(&owners).filter(|(_, owner)| **owner == index);
            let here: Vec<_> = here.map(|(partition, _)| (partition, epoch)).collect();
            process.log.assign(&here);
            tokio::time::sleep(Duration::from_micros(random.random_range(0..5000))).await;
        }
    }
    for process in processes {
        process.stop().await;
    }
    let last = bench.process();
    last.log.assign(&[(0, 1), (1, 1), (2, 1)]);
    until("everything is written", async || bench.rows().await == 6000).await;
    last.stop().await;
    assert_eq!((bench.rows().await, bench.dead_letters().await), (6000, 120));
}

#[tokio::test]
async fn a_partition_that_was_taken_over_and_is_still_ours_is_claimed_again() {
    let bench = Bench::new().await;
    let process = bench.process();
    process.log.assign(&[(0, 1)]);
    bench.append(0, [seen(1)].into_iter()).await;
    until("it is written", async || bench.rows().await == 1).await;
    bench.tables.claim(&partition(0)).await.unwrap();
    bench.append(0, [seen(2)].into_iter()).await;
    let waits = "sink cars on coordinates partition 0 is waiting: sink `cars` cannot write its \
                 table: sink `cars` was taken over by someone else";
    until(waits, async || process.observer.not_ready() == [waits]).await;
    until("it is written", async || bench.rows().await == 2).await;
    process.log.assign(&[]);
    until("it is elsewhere", async || process.observer.components().is_empty()).await;
    process.stop().await;
}

#[tokio::test]
async fn an_end_that_is_not_known_yet_is_waited_for() {
    let bench = Bench::new().await;
    let (claim, _) = bench.tables.claim(&partition(0)).await.unwrap();
    bench.tables.commit(&claim, "cars", &[], 0, 2).await.unwrap();
    let process = bench.process();
    process.log.assign(&[(0, 1)]);
    until("it has begun", async || process.log.claims() == 1).await;
    bench.append(0, (1..=3).map(seen)).await;
    until("it is written", async || bench.rows().await == 1).await;
    process.stop().await;
}

#[tokio::test]
async fn the_next_batch_is_read_while_the_last_one_is_written_and_no_more() {
    let bench = Bench::new().await;
    bench.tables.holds.send_replace(true);
    for piece in 0..5 {
        bench.append(0, (piece * 1000..(piece + 1) * 1000).map(seen)).await;
    }
    let process = bench.process();
    process.log.assign(&[(0, 1)]);
    // 1000 entries, and twice as many where there are more.
    let read_to = || process.log.read_to(&name("coordinates"), 0);
    until("the next batch is read", async || read_to() == 3000).await;
    tokio::task::yield_now().await;
    assert_eq!((bench.rows().await, read_to()), (0, 3000));
    bench.tables.holds.send_replace(false);
    until("everything is written", async || bench.rows().await == 5000).await;
    process.stop().await;
}

#[tokio::test]
async fn a_position_of_another_log_is_refused_until_tables_begin_anew() {
    let bench = Bench::new().await;
    let (claim, _) = bench.tables.claim(&partition(0)).await.unwrap();
    bench.tables.commit(&claim, "cars", &[], 0, 500).await.unwrap();
    bench.append(0, (1..=3).map(seen)).await;
    let process = bench.process();
    process.log.assign(&[(0, 1)]);
    let waits = "sink cars on coordinates partition 0 is waiting: sink `cars` has read up to 500, \
                 and its stream ends at 3: the log is another one. Restore the log, or raise the \
                 sink's `generation` to fill a new table";
    until(waits, async || process.observer.not_ready() == [waits]).await;
    assert!(bench.tables.begin_anew(&[]).await.unwrap());
    until("it is written", async || bench.rows().await == 3).await;
    process.stop().await;
}
