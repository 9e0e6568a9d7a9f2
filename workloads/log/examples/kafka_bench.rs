//! Measures the log in a Kafka cluster and prints the figures as one line of JSON per case. The
//! brokers' addresses are the first argument, or `MILLRACE_KAFKA`. CPU time is that of this process
//! alone, with the making of the records.

mod process;

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_log::Append;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::ReadLimit;
use millrace_log::StreamConfig;
use millrace_log::kafka::KafkaLog;
use millrace_log::kafka::KafkaSettings;
use millrace_log::kafka::ReadAhead;
use millrace_plan::model::Retention;
use process::peak_resident_kib;
use process::process_cpu;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const PARTITIONS: Partition = 4;

/// What one case appends and reads.
struct Case {
    name: &'static str,
    producers: usize,
    records: usize,
    bytes: usize,
    appends: usize,
}

const CASES: [Case; 4] = [
    Case { name: "batches", producers: 1, records: 1000, bytes: 768, appends: 500 },
    Case { name: "batches-together", producers: 8, records: 1000, bytes: 768, appends: 100 },
    Case { name: "producers", producers: 200, records: 1, bytes: 200, appends: 500 },
    Case { name: "alone", producers: 1, records: 1, bytes: 200, appends: 500 },
];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let servers = std::env::args().nth(1).or_else(|| std::env::var("MILLRACE_KAFKA").ok());
    let servers = servers.ok_or("name the brokers: kafka_bench HOST:PORT")?;
    let prefix = format!("bench-{}.", now_ms());
    let settings = KafkaSettings {
        bootstrap_servers: servers.split(',').map(str::to_owned).collect(),
        prefix: Some(prefix),
        replication_factor: 1,
        tls: None,
        sasl: None,
        read_ahead: ReadAhead::default(),
    };
    let log = KafkaLog::connect(settings, "bench", "bench-0").await?;
    for case in &CASES {
        let stream: StreamName = case.name.parse()?;
        let config = StreamConfig {
            name: stream.clone(),
            partitions: PARTITIONS,
            retention: Retention::default(),
        };
        log.ensure_streams(&[config]).await?;
        append(&log, &stream, case).await?;
        read(&log, &stream, case).await?;
    }
    follow(&log).await?;
    let streams: Vec<StreamName> =
        CASES.iter().map(|case| case.name.parse()).collect::<Result<_, _>>()?;
    log.remove(&streams, &[]).await?;
    log.close().await;
    Ok(())
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[expect(clippy::print_stdout, reason = "this is the program's output")]
fn print(line: &Value) {
    println!("{line}");
}

/// Rate, CPU and memory since `began`.
fn figures(events: usize, began: Instant, cpu: f64) -> Result<Value, Failure> {
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), process_cpu()? - cpu);
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let count = events as f64;
    Ok(json!({
        "events": events,
        "perSecond": (count / seconds).round(),
        "cpuMicrosPerEvent": cpu / count * 1e6,
        "peakKib": peak_resident_kib()?,
    }))
}

fn quantiles(mut latencies: Vec<Duration>) -> Value {
    latencies.sort_unstable();
    let quantile = |part: usize| latencies[(latencies.len() - 1) * part / 1000].as_micros();
    json!({"p50": quantile(500), "p99": quantile(990), "p999": quantile(999)})
}

async fn append(log: &Arc<KafkaLog>, stream: &StreamName, case: &Case) -> Result<(), Failure> {
    let (cpu, began) = (process_cpu()?, Instant::now());
    let mut producers = JoinSet::new();
    for producer in 0..case.producers {
        let (appends, log) = (case.appends, log.clone());
        let batch = batch(stream, producer, case);
        producers.spawn(async move { produce(&log, &batch, appends).await });
    }
    let mut latencies = Vec::new();
    for produced in producers.join_all().await {
        latencies.extend(produced?);
    }
    let events = case.producers * case.records * case.appends;
    print(&json!({
        "what": format!("append, {}", case.name),
        "bytes": case.bytes,
        "batch": case.records,
        "micros": quantiles(latencies),
        "figures": figures(events, began, cpu)?,
    }));
    Ok(())
}

async fn read(log: &Arc<KafkaLog>, stream: &StreamName, case: &Case) -> Result<(), Failure> {
    let (cpu, began) = (process_cpu()?, Instant::now());
    let mut readers = JoinSet::new();
    for partition in 0..PARTITIONS {
        let (log, stream) = (log.clone(), stream.clone());
        readers.spawn(async move { read_partition(&log, &stream, partition).await });
    }
    let mut events = 0;
    for read in readers.join_all().await {
        events += read?;
    }
    print(&json!({
        "what": format!("read, {}", case.name),
        "bytes": case.bytes,
        "figures": figures(events, began, cpu)?,
    }));
    Ok(())
}

async fn read_partition(
    log: &Arc<KafkaLog>,
    stream: &StreamName,
    partition: Partition,
) -> Result<usize, Failure> {
    let end = log.partition_info(stream, partition)?.end;
    let (mut next, mut events) = (0, 0);
    while next < end {
        let batch = log.read(stream, partition, next, ReadLimit::default()).await?;
        (next, events) = (batch.next, events + batch.entries.len());
    }
    Ok(events)
}

/// How long it takes from the begin of an append until a follower has read it, through the
/// brokers.
async fn follow(log: &Arc<KafkaLog>) -> Result<(), Failure> {
    let case = Case { name: "alone", producers: 1, records: 1, bytes: 200, appends: 1 };
    let stream: StreamName = case.name.parse()?;
    let [one] = batch(&stream, 0, &case).try_into().map_err(|_| "one record")?;
    let mut end = log.follow(&stream, one.partition)?;
    let mut next = *end.borrow();
    let mut latencies = Vec::new();
    for _ in 0..500 {
        // The reader stands at the end, as a task does.
        log.read(&stream, one.partition, next, ReadLimit::default()).await?;
        let began = Instant::now();
        let (appender, append) = (log.clone(), one.clone());
        let confirmed = tokio::spawn(async move { appender.append(vec![append]).await });
        end.wait_for(|end| *end > next).await?;
        next = log.read(&stream, one.partition, next, ReadLimit::default()).await?.next;
        latencies.push(began.elapsed());
        confirmed.await??;
    }
    print(&json!({"what": "append until read by a follower", "micros": quantiles(latencies)}));
    Ok(())
}

/// Records of one producer, each of a key of its own, with values that compress as telemetry does.
fn batch(stream: &StreamName, producer: usize, case: &Case) -> Vec<Append> {
    (0..case.records)
        .map(|number| {
            let key = Bytes::from(format!("key-{producer}-{number}"));
            let id = EventId::of_content("bench", &key, b"");
            let mut value = format!("{{\"id\":\"{id}\",\"number\":{number},\"values\":[");
            let mut state = (producer * 100_003 + number) as u64 | 1;
            while value.len() < case.bytes - 10 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                value.push_str(&format!("{}.{:03},", state >> 57, (state >> 40) % 1000));
            }
            value.push_str("0]}");
            Append {
                stream: stream.clone(),
                partition: millrace_core::key::partition_of(&key, PARTITIONS),
                entry: Entry::Record(Record {
                    event_time: 1_700_000_000_000,
                    ingest_time: now_ms(),
                    id,
                    headers: Headers::default(),
                    value: Bytes::from(value),
                    key,
                }),
            }
        })
        .collect()
}

async fn produce(
    log: &Arc<KafkaLog>,
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
