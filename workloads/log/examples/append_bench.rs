//! Measures durable appends of the embedded log and prints the figures as one line of JSON per
//! case. The folder is the first argument, or a temporary one. CPU time includes the making of the
//! records.

mod process;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
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
use millrace_plan::model::Retention;
use process::peak_resident_kib;
use process::process_cpu;
use serde_json::json;
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What one case appends.
struct Case {
    name: &'static str,
    producers: usize,
    records: usize,
    bytes: usize,
    appends: usize,
}

const CASES: [Case; 3] = [
    Case { name: "batches", producers: 1, records: 1000, bytes: 768, appends: 1000 },
    Case { name: "producers", producers: 200, records: 1, bytes: 200, appends: 2000 },
    Case { name: "alone", producers: 1, records: 1, bytes: 200, appends: 3000 },
];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let temporary = tempfile::tempdir()?;
    let folder = std::env::args_os().nth(1).map_or(temporary.path().to_owned(), PathBuf::from);
    for case in &CASES {
        run(&folder.join(case.name), case).await?;
    }
    Ok(())
}

async fn run(folder: &Path, case: &Case) -> Result<(), Failure> {
    let log = EmbeddedLog::open(EmbeddedLogOptions::new(folder))?;
    let stream: StreamName = "bench".parse()?;
    let config =
        StreamConfig { name: stream.clone(), partitions: 4, retention: Retention::default() };
    log.ensure_streams(&[config]).await?;
    let before = log.statistics();
    let (cpu, began) = (process_cpu()?, Instant::now());
    let mut producers = JoinSet::new();
    for producer in 0..case.producers {
        let (appends, log) = (case.appends, log.clone());
        let batch = batch(&stream, producer, case);
        producers.spawn(async move { produce(&log, &batch, appends).await });
    }
    let mut latencies = Vec::new();
    for produced in producers.join_all().await {
        latencies.extend(produced?);
    }
    let (took, cpu) = (began.elapsed().as_secs_f64(), process_cpu()? - cpu);
    let after = log.statistics();
    log.close().await;
    latencies.sort_unstable();
    let quantile = |part: usize| latencies[(latencies.len() - 1) * part / 1000].as_micros();
    let records = after.records - before.records;
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let records_float = records as f64;
    let line = json!({
        "what": format!("log, {}: {} appending at once", case.name, case.producers),
        "bytes": case.bytes,
        "batch": case.records,
        "acknowledged": "fdatasync",
        "perSecond": records_float / took,
        "micros": {"p50": quantile(500), "p99": quantile(990), "p999": quantile(999)},
        "cpuSeconds": cpu,
        "events": records,
        "peakKib": peak_resident_kib()?,
        "fsyncs": after.syncs - before.syncs,
        "seconds": took,
    });
    #[expect(clippy::print_stdout, reason = "this is the program's output")]
    {
        println!("{line}");
    }
    Ok(())
}

/// Records of one producer, each of a key of its own.
fn batch(stream: &StreamName, producer: usize, case: &Case) -> Vec<Append> {
    (0..case.records)
        .map(|number| {
            let key = Bytes::from(format!("key-{producer}-{number}"));
            Append {
                stream: stream.clone(),
                partition: millrace_core::key::partition_of(&key, 4),
                entry: Entry::Record(Record {
                    event_time: 0,
                    ingest_time: 0,
                    id: EventId::of_content("bench", &key, b""),
                    headers: Headers::default(),
                    value: Bytes::from(vec![b'x'; case.bytes]),
                    key,
                }),
            }
        })
        .collect()
}

async fn produce(
    log: &Arc<EmbeddedLog>,
    batch: &[Append],
    appends: usize,
) -> Result<Vec<Duration>, Failure> {
    let mut latencies = Vec::with_capacity(appends);
    for _ in 0..appends {
        let batch = batch.to_vec();
        let began = Instant::now();
        log.append(batch).await?;
        latencies.push(began.elapsed());
    }
    Ok(latencies)
}
