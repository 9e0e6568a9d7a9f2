//! The drill over Kafka and Postgres: the table emptied behind the processes' back, and rebuilt from
//! the topic alone, while clients go on writing; and tables whose Kafka is another one than before.
//!
//! `MILLRACE_ROWS` sets how many rows there are before (1001).

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]
#![allow(clippy::print_stdout, reason = "shown where a test fails, or is asked to tell")]

#[path = "../support/mod.rs"]
mod support;

mod another_log;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Record;
use millrace_core::key::partition_of;
use millrace_log::Append;
use millrace_log::Entry;
use millrace_log::Log as _;
use millrace_log::kafka::KafkaLog;
use support::cluster::Connections;
use support::cluster::Process;
use support::cluster::open_log;
use support::cluster::postgres_settings;
use support::cluster::provision;
use support::content;
use support::http::KeepAlive;
use support::process::pause;

const CORRELATION: &str = "0a3c1d1e-7b1c-4c0e-9c1e-0123456789ab";
const PARTITIONS: i32 = 12;

/// How long a table may take for each row that it gets, at most, beside what starting takes.
const PER_ROW: Duration = Duration::from_millis(1);
const STARTING: Duration = Duration::from_mins(2);

/// Runs a statement in the pipeline's database.
fn sql(connections: &Connections, statement: &str) -> String {
    let settings = postgres_settings(connections);
    let read = |file| std::fs::read_to_string(file).unwrap();
    let output = Command::new("psql")
        .args(["--no-psqlrc", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"])
        .args(["--host", &settings.host, "--port", &settings.port.to_string()])
        .args(["--username", &read(settings.username_file), "--dbname", &settings.database])
        .args(["--command", statement])
        .env("PGPASSWORD", read(settings.password_file.unwrap()))
        .output()
        .expect("psql is installed (Debian: postgresql)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn count(connections: &Connections) -> usize {
    sql(connections, "SELECT count(*) FROM timestamps.timestamp_records").parse().unwrap()
}

/// The command of a number, as ingest stores it.
fn command(number: usize) -> Append {
    let id = EventId::of_content("drill", &number.to_be_bytes(), b"");
    let key = Bytes::from(id.to_string());
    let value = format!(r#"{{"event_timestamp":"2026-01-01T00:00:00Z","id":"{id}"}}"#);
    let mut headers = Headers::default();
    headers.push("correlationId", CORRELATION.as_bytes().to_vec());
    let time = 1_767_225_600_000 + i64::try_from(number).unwrap();
    Append {
        stream: "commands".parse().unwrap(),
        partition: partition_of(&key, PARTITIONS),
        entry: Entry::Record(Record {
            key,
            event_time: time,
            ingest_time: time,
            id,
            headers,
            value: value.into(),
        }),
    }
}

async fn fill(log: &KafkaLog, mut commands: impl Iterator<Item = Append>) {
    loop {
        let appends: Vec<_> = commands.by_ref().take(2000).collect();
        if appends.is_empty() {
            return;
        }
        log.append(appends).await.unwrap();
    }
}

fn until_there_are(connections: &Connections, rows: usize) {
    let begun = Instant::now();
    let patience = STARTING + PER_ROW * u32::try_from(rows).unwrap();
    loop {
        let found = count(connections);
        if found == rows {
            return;
        }
        assert!(begun.elapsed() < patience, "{found} of {rows} rows");
        pause(Duration::from_millis(100));
    }
}

/// Sends commands until it is told to stop; how many were confirmed.
fn write(ingest: &str, stop: &AtomicBool) -> usize {
    let mut connection = KeepAlive::connect(ingest).unwrap();
    let headers = format!("correlationId: {CORRELATION}\r\n");
    let mut confirmed = 0;
    while !stop.load(Ordering::Relaxed) {
        let answer = connection.post("/app", &headers, "").unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        confirmed += 1;
        pause(Duration::from_millis(5));
    }
    confirmed
}

#[test]
fn an_emptied_table_comes_back_from_kafka_while_writes_go_on() {
    let rows = std::env::var("MILLRACE_ROWS").map_or(1001, |rows| rows.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let resource = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/timestamps.yaml");
    let connections = Connections::shared(folder);
    provision(&resource, &connections);
    let plan = content::plan(&resource);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let log = runtime.block_on(open_log(&connections, &plan));
    runtime.block_on(fill(&log, (0..rows).map(command)));
    runtime.block_on(log.close());
    let spawn = |role, name| Process::spawn(role, name, &resource, &connections, folder, &[]);
    let (mut first, mut second) = (spawn("worker", "worker-0"), spawn("worker", "worker-1"));
    let mut query = spawn("query", "query-0");
    let mut ingest = Process::spawn(
        "ingest",
        "ingest-0",
        &resource,
        &connections,
        folder,
        &["--mqtt-listen", "127.0.0.1:0"],
    );
    let (ingest_http, query_http) = (ingest.ready(), query.ready());
    first.ready();
    second.ready();
    until_there_are(&connections, rows);

    let stop = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&ingest_http, &stop));
        let begun = Instant::now();
        while count(&connections) < rows + 20 {
            assert!(begun.elapsed() < STARTING, "no rows of the writer");
            pause(Duration::from_millis(20));
        }
        sql(&connections, "DELETE FROM timestamps.timestamp_records");
        let begun = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_millrace"))
            .args(["rebuild", "timestamps", "--url", &format!("http://{query_http}")])
            .output()
            .unwrap();
        let told = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&told));
        println!("{rows} rows rebuilt in {:?}", begun.elapsed());
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    assert!(written > 20, "{written} were written");
    until_there_are(&connections, rows + written);
    let distinct = "SELECT count(DISTINCT id) FROM timestamps.timestamp_records";
    assert_eq!(sql(&connections, distinct), (rows + written).to_string());
}
