//! Archives from outside: what DuckDB reads, and a store that speaks S3.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

mod copies;
mod duckdb;
mod s3;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use millrace_archive::ArchiveSinks;
use millrace_archive::Folders;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Record;
use millrace_log::Append;
use millrace_log::EmbeddedLog;
use millrace_log::EmbeddedLogOptions;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::StreamConfig;
use millrace_observe::Observer;
use millrace_observe::State;
use millrace_plan::Plan;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const PIPELINE: &str = "
apiVersion: millrace.dev/v1alpha1
kind: TelemetryPipeline
metadata: {name: fleet}
spec:
  streams:
    - name: trip
      schema:
        inline:
          type: object
          properties:
            id: {type: integer}
            speed: {type: number}
            isdocked: {type: boolean}
            name: {type: string}
            location: {type: object}
            started: {type: string, format: date-time}
      key: [.id]
      partitions: 3
  ingest:
    - {name: trips, http: {path: /trips}, to: trip}
  sinks:
    - name: archive
      from: [trip]
      archive: ARCHIVE
";

/// 2026-01-01T00:00:00Z.
const NEW_YEAR: i64 = 1_767_225_600_000;

fn plan(archive: &str) -> Plan {
    let resource = serde_yaml_ng::from_str(&PIPELINE.replace("ARCHIVE", archive)).unwrap();
    millrace_plan::plan(&resource).unwrap()
}

async fn log(folder: &Path, plan: &Plan) -> Arc<dyn Log> {
    let log: Arc<dyn Log> = EmbeddedLog::open(EmbeddedLogOptions::new(folder.join("log"))).unwrap();
    let streams: Vec<_> = plan
        .streams
        .iter()
        .map(|stream| StreamConfig {
            name: stream.name.clone(),
            partitions: stream.partitions,
            retention: stream.retention,
        })
        .collect();
    log.ensure_streams(&streams).await.unwrap();
    log
}

async fn append(log: &Arc<dyn Log>, stream: &str, partition: i32, time: i64, value: &[u8]) {
    let mut headers = Headers::default();
    headers.push("correlationId", "c1");
    let record = Record {
        key: "k".into(),
        event_time: time,
        ingest_time: NEW_YEAR,
        id: EventId::from([7; 16]),
        headers,
        value: value.to_vec().into(),
    };
    let entry = Entry::Record(record);
    log.append(vec![Append { stream: stream.parse().unwrap(), partition, entry }]).await.unwrap();
}

fn folders(folder: &Path) -> Folders {
    Folders { data: folder.to_owned(), secrets: Some(folder.join("secrets")) }
}

/// Archives all that is in the log.
async fn archive(plan: &Plan, log: &Arc<dyn Log>, folder: &Path) -> Result<(), String> {
    let (_finished, upstream) = watch::channel(true);
    let (observer, cancel) = (Arc::new(Observer::default()), CancellationToken::new());
    let folders = folders(folder);
    let sinks = ArchiveSinks::start(plan, log, &observer, &folders, Some(&upstream), &cancel)
        .map_err(|error| millrace_core::with_causes(&error))?;
    sinks.join().await.map_err(|error| millrace_core::with_causes(&error))
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(30), "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn duckdb_reads_typed_columns_of_hive_folders() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan("{url: lake}");
    let log = log(folder.path(), &plan).await;
    let whole = br#"{"id":9007199254740993,"speed":21.105000000800004,"isdocked":true,
"name":"a\"b","location":{"lat":1.50},"started":"2026-01-01T01:00:00.000001+01:00","more":[1]}"#;
    append(&log, "trip", 2, NEW_YEAR + 1, whole).await;
    append(&log, "trip", 0, NEW_YEAR + 3_600_000, br#"{"id":"x","speed":null}"#).await;
    archive(&plan, &log, folder.path()).await.unwrap();

    let files = folder.path().join("lake/**/*.parquet");
    let from = format!("read_parquet('{}', hive_partitioning = true)", files.display());
    let columns = "id, speed, isdocked, name, location, started::VARCHAR, _value";
    assert_eq!(
        duckdb::query(&format!("SELECT {columns} FROM {from} ORDER BY _event_time")),
        json!([
            [
                9_007_199_254_740_993_i64,
                21.105_000_000_800_004,
                true,
                "a\"b",
                r#"{"lat":1.50}"#,
                "2026-01-01 00:00:00.000001+00",
                String::from_utf8_lossy(whole)
            ],
            [null, null, null, null, null, null, r#"{"id":"x","speed":null}"#],
        ])
    );
    let columns =
        "stream, date, hour, _id, _key, _event_time::VARCHAR, _partition, _offset, _headers";
    assert_eq!(
        duckdb::query(&format!("SELECT {columns} FROM {from} ORDER BY _event_time LIMIT 1")),
        json!([[
            "trip",
            "2026-01-01",
            "00",
            "07070707-0707-0707-0707-070707070707",
            "k",
            "2026-01-01 00:00:00.001+00",
            2,
            0,
            r#"{"correlationId":"c1"}"#
        ]])
    );
    let types = duckdb::query(&format!(
        "SELECT column_name, column_type FROM (DESCRIBE SELECT started, _event_time, id, speed FROM {from})"
    ));
    assert_eq!(
        types,
        json!([
            ["started", "TIMESTAMP WITH TIME ZONE"],
            ["_event_time", "TIMESTAMP WITH TIME ZONE"],
            ["id", "BIGINT"],
            ["speed", "DOUBLE"]
        ])
    );
    log.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_archived_as_the_bytes_that_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = plan("{url: lake}");
    plan.sinks[0].from = vec!["dead-letters".parse().unwrap()];
    let log = log(folder.path(), &plan).await;
    append(&log, "dead-letters", 0, NEW_YEAR, b"\xff{").await;
    archive(&plan, &log, folder.path()).await.unwrap();
    let files = folder.path().join("lake/stream=dead-letters/**/*.parquet");
    let sql = format!("SELECT hex(_value), _headers FROM '{}'", files.display());
    assert_eq!(duckdb::query(&sql), json!([["FF7B", r#"{"correlationId":"c1"}"#]]));
    log.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_lines_are_read_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan("{url: lake, format: ndjson}");
    let log = log(folder.path(), &plan).await;
    append(&log, "trip", 1, NEW_YEAR, b"{\"id\":\n5}").await;
    archive(&plan, &log, folder.path()).await.unwrap();
    let files = folder.path().join("lake/**/*.ndjson.gz");
    let sql = format!("SELECT key, partition, value.id FROM '{}'", files.display());
    assert_eq!(duckdb::query(&sql), json!([["k", 1, 5]]));
    log.close().await;
}

/// A log with one event, a server of S3, and a Secret with the user's keys.
async fn with_s3(folder: &Path, bucket: &str, key: &str) -> (Plan, Arc<dyn Log>) {
    let root = folder.join("s3");
    std::fs::create_dir_all(root.join("lake")).unwrap();
    let secret = folder.join("secrets/store");
    std::fs::create_dir_all(&secret).unwrap();
    std::fs::write(secret.join("access_key_id"), s3::USER.0).unwrap();
    std::fs::write(secret.join("secret_access_key"), format!("{key}\n")).unwrap();
    let address = s3::serve(&root).await;
    let plan = plan(&format!(
        "{{url: 's3://{bucket}/raw', endpoint: 'http://{address}', credentials: {{name: store}}}}"
    ));
    let log = log(folder, &plan).await;
    append(&log, "trip", 0, NEW_YEAR, br#"{"id":5}"#).await;
    (plan, log)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_takes_the_files_from_who_has_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, log) = with_s3(folder.path(), "lake", s3::USER.1).await;
    archive(&plan, &log, folder.path()).await.unwrap();
    let files = folder.path().join("s3/lake/raw/**/*.parquet");
    assert_eq!(duckdb::query(&format!("SELECT id FROM '{}'", files.display())), json!([[5]]));
    log.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_is_told_with_what_to_do_and_served_when_it_lets_us_in() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, log) = with_s3(folder.path(), "lake", "wrong").await;
    let (observer, cancel) = (Arc::new(Observer::default()), CancellationToken::new());
    let folders = folders(folder.path());
    let sinks = ArchiveSinks::start(&plan, &log, &observer, &folders, None, &cancel).unwrap();
    let component = observer.components().remove(0);
    until("it is refused", || matches!(component.state(), State::Waiting(_))).await;
    let State::Waiting(reason) = component.state() else { panic!("it waits no longer") };
    let words = "s3://lake/raw refuses the Secret `store`: check its keys";
    assert!(reason.starts_with(words), "{reason}");

    std::fs::write(folder.path().join("secrets/store/secret_access_key"), s3::USER.1).unwrap();
    until("it is let in", || component.state() == State::Running).await;
    cancel.cancel();
    sinks.join().await.unwrap();
    log.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, log) = with_s3(folder.path(), "other", s3::USER.1).await;
    let (observer, cancel) = (Arc::new(Observer::default()), CancellationToken::new());
    let folders = folders(folder.path());
    let sinks = ArchiveSinks::start(&plan, &log, &observer, &folders, None, &cancel).unwrap();
    let component = observer.components().remove(0);
    until("it is refused", || matches!(component.state(), State::Waiting(_))).await;
    let State::Waiting(reason) = component.state() else { panic!("it waits no longer") };
    assert!(reason.starts_with("s3://other/raw is not there: make the bucket"), "{reason}");
    cancel.cancel();
    sinks.join().await.unwrap();
    log.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_resource_is_told_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan("{url: 's3://lake', credentials: {name: store}}");
    let log = log(folder.path(), &plan).await;
    let file = folder.path().join("secrets/store/access_key_id");
    assert_eq!(
        archive(&plan, &log, folder.path()).await.unwrap_err(),
        format!(
            "sink `archive` cannot start: cannot read {}: put the value of the Secret's key there: No such file or directory (os error 2)",
            file.display()
        )
    );
    log.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_ends_at_its_time_without_an_end_of_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan("{url: lake, every: 50ms}");
    let log = log(folder.path(), &plan).await;
    let (observer, cancel) = (Arc::new(Observer::default()), CancellationToken::new());
    let folders = folders(folder.path());
    let sinks = ArchiveSinks::start(&plan, &log, &observer, &folders, None, &cancel).unwrap();
    for files in [1, 2] {
        append(&log, "trip", 0, NEW_YEAR, br#"{"id":5}"#).await;
        let figure =
            format!("millrace_archive_files_total{{sink=\"archive\",stream=\"trip\"}} {files}\n");
        until(&figure, || observer.encode().unwrap().contains(&figure)).await;
    }
    cancel.cancel();
    sinks.join().await.unwrap();
    let hour = folder.path().join("lake/stream=trip/date=2026-01-01/hour=00");
    assert_eq!(std::fs::read_dir(hour).unwrap().count(), 2);
    log.close().await;
}
