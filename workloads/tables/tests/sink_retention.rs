//! A table sink whose table forgets rows by their age.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod fixtures;

use std::sync::Arc;
use std::time::Duration;

use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_log::Append;
use millrace_log::EmbeddedLog;
use millrace_log::EmbeddedLogOptions;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::StreamConfig;
use millrace_observe::Observer;
use millrace_plan::model::Keep;
use millrace_plan::model::Retention;
use millrace_plan::model::TablePartitions;
use millrace_plan::model::TablePlan;
use millrace_tables::Cell;
use millrace_tables::Row;
use millrace_tables::SinkPartition;
use millrace_tables::TableStore;
use millrace_tables::export;
use millrace_tables::now_micros;
use millrace_tables::sink::RowOrder;
use millrace_tables::sink::SinkContext;
use millrace_tables::sink::SinkInput;
use millrace_tables::sink::TableSink;
use millrace_tables::sink::run_table_sink;
use millrace_tables::sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

fn stream() -> StreamName {
    "coordinates".parse().unwrap()
}

/// A sink whose rows are kept for two days.
fn sink() -> TableSink {
    let partitions = TablePartitions {
        by: "seen".into(),
        every: Duration::from_hours(24),
        retention: Some(Duration::from_hours(48)),
    };
    TableSink {
        name: "cars".into(),
        generation: 0,
        inputs: vec![SinkInput { stream: stream(), partitions: 1, order: RowOrder::EventTime }],
        table: TablePlan {
            primary_key: vec!["car".into(), "seen".into()],
            partitions: Some(partitions),
            ..fixtures::cars(Keep::Latest)
        },
        dead_letter_partitions: 1,
    }
}

struct Bench {
    log: Arc<EmbeddedLog>,
    tables: Arc<SqliteStore>,
    observer: Arc<Observer>,
    _folder: TempDir,
}

impl Bench {
    /// A log with a car of 1970 and one of now, and a table with a car of 1970.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(EmbeddedLogOptions::new(folder.path().join("log"))).unwrap();
        let config = |name| StreamConfig { name, partitions: 1, retention: Retention::default() };
        log.ensure_streams(&[config(stream()), config(StreamName::dead_letters())]).await.unwrap();
        let tables = SqliteStore::open(&folder.path().join("tables.sqlite")).await.unwrap();
        tables.ensure_tables(&[sink().spec()]).await.unwrap();
        let other =
            SinkPartition { sink: "other".into(), generation: 0, stream: stream(), partition: 0 };
        let (claim, _) = tables.claim(&other).await.unwrap();
        let old = Row {
            cells: vec![Cell::Integer(1), Cell::Null, Cell::Timestamp(0)],
            order: 0,
            event_id: EventId::from([1; 16]),
        };
        tables.commit(&claim, "cars", &[old], 0, 1).await.unwrap();
        let bench =
            Self { log, tables: Arc::new(tables), observer: Arc::default(), _folder: folder };
        bench.append(2, 86_400_000).await;
        bench.append(3, now_micros() / 1000).await;
        bench
    }

    async fn append(&self, car: i64, time: i64) {
        let record = Record {
            key: "race".into(),
            event_time: time,
            ingest_time: time,
            id: EventId::from([u8::try_from(car).unwrap(); 16]),
            headers: Headers::default(),
            value: format!(r#"{{"car":{car},"seen":{time}}}"#).into(),
        };
        let append = Append { stream: stream(), partition: 0, entry: Entry::Record(record) };
        self.log.append(vec![append]).await.unwrap();
    }

    fn context(&self) -> SinkContext {
        let log = Arc::clone(&self.log) as Arc<dyn Log>;
        SinkContext::new(log, self.tables.clone(), Arc::clone(&self.observer))
    }

    /// The numbers of the cars in the table.
    async fn cars(&self) -> Vec<String> {
        let content = export(&*self.tables, &sink().table).await.unwrap();
        content.lines().skip(1).map(|row| row[1..2].to_owned()).collect()
    }

    fn metric(&self, name: &str) -> bool {
        self.observer.encode().unwrap().lines().any(|line| line == name)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_older_than_the_retention_are_removed_and_not_written_and_counted() {
    let bench = Bench::new().await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(run_table_sink(sink(), bench.context(), None, stop.clone()));
    let settled = async {
        while bench.cars().await != ["3"]
            || !bench.metric("millrace_table_rows_expired_total{sink=\"cars\"} 1")
            || !bench.metric("millrace_table_rows_removed_total{sink=\"cars\"} 1")
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let settled = tokio::time::timeout(Duration::from_secs(30), settled).await;
    assert!(settled.is_ok(), "{:?} {}", bench.cars().await, bench.observer.encode().unwrap());
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_by_itself_keeps_rows_of_any_age() {
    let bench = Bench::new().await;
    let (_finish, finished) = watch::channel(true);
    let stop = CancellationToken::new();
    run_table_sink(sink(), bench.context(), Some(finished), stop).await.unwrap();
    assert_eq!(bench.cars().await, ["1", "2", "3"]);
}
