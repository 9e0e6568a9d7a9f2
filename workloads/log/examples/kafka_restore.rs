//! Measures tasks in a Kafka cluster: how long a commit takes, how long a task's state takes to be
//! restored, and how long tasks stand still whose process is killed, with and without standbys.
//! Prints the figures as one line of JSON per case. The brokers' addresses are the
//! first argument, or `MILLRACE_KAFKA`; the number of keys is the second one, 1,000,000 by default, and
//! that of the tasks that share them, which are restored side by side, the third one, 4 by default.

#![allow(clippy::cast_precision_loss, reason = "figures are for people")]

mod moving;
mod process;

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_log::Append;
use millrace_log::Entry;
use millrace_log::InputPosition;
use millrace_log::Log;
use millrace_log::StageConfig;
use millrace_log::StateChange;
use millrace_log::StreamConfig;
use millrace_log::TaskCommit;
use millrace_log::TaskName;
use millrace_log::kafka::KafkaLog;
use millrace_log::kafka::KafkaSettings;
use millrace_plan::model::Retention;
use process::peak_resident_kib;
use process::process_cpu;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Commits that are measured one after the other.
const COMMITS: usize = 300;
/// Keys that one commit writes when state is made.
const KEYS_PER_COMMIT: usize = 20_000;
const VALUE_BYTES: usize = 100;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some(moving::CHILD)
        && let (Some(settings), Some(leaving)) = (arguments.next(), arguments.next())
    {
        return moving::work(&settings, &leaving).await;
    }
    let servers = first.or_else(|| std::env::var("MILLRACE_KAFKA").ok());
    let servers = servers.ok_or("name the brokers: kafka_restore HOST:PORT [KEYS [TASKS]]")?;
    let keys: usize = arguments.next().map_or(Ok(1_000_000), |keys| keys.parse())?;
    let tasks: i32 = arguments.next().map_or(Ok(4), |tasks| tasks.parse())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let settings = json!({
        "bootstrapServers": servers.split(',').collect::<Vec<_>>(),
        "prefix": format!("restore-{now}."),
    });
    let reached_by = settings.clone();
    let settings: KafkaSettings = serde_json::from_value(settings)?;
    let log = KafkaLog::connect(settings.clone(), "bench", "first").await?;
    let stream = StreamConfig {
        name: "stream".parse()?,
        partitions: tasks,
        retention: Retention::default(),
    };
    log.ensure_streams(&[stream]).await?;
    let busy = TaskName { stage: "tasks".to_owned(), partition: 0 };
    let state = |partition| TaskName { stage: "state".to_owned(), partition };
    let state: Vec<_> = (0..tasks).map(state).collect();
    let config = |name: &str, partitions| StageConfig { name: name.to_owned(), partitions };
    log.ensure_tasks(&[config("tasks", 1), config("state", tasks)]).await?;
    for records in [1, 1000] {
        print(&commits(&log, &busy, records).await?);
    }
    print(&fill(&log, &state, keys).await?);
    log.close().await;

    let other = KafkaLog::connect(settings, "bench", "second").await?;
    for _ in 0..3 {
        print(&restore(&other, &state, keys).await?);
    }
    for leaving in [0, 1, 0, 1] {
        print(&moving::measure(&reached_by, state.len(), leaving).await?);
    }
    let all = state.into_iter().chain([busy]).collect::<Vec<_>>();
    other.remove(&["stream".parse()?], &all).await?;
    other.close().await;
    Ok(())
}

#[allow(clippy::print_stdout, reason = "it is what the program is for")]
fn print(figures: &Value) {
    println!("{figures}");
}

fn output(number: usize) -> Result<Append, Failure> {
    let time = i64::try_from(number)?;
    let record = Record {
        key: Bytes::from(format!("key-{}", number % 1000)),
        event_time: time,
        ingest_time: 1_700_000_000_000 + time,
        id: EventId::from((number as u128).to_be_bytes()),
        headers: Headers::default(),
        value: Bytes::from(vec![b'x'; VALUE_BYTES]),
    };
    let stream: StreamName = "stream".parse()?;
    Ok(Append { stream, partition: 0, entry: Entry::Record(record) })
}

fn entry(key: usize) -> StateChange {
    StateChange {
        store: "window".to_owned(),
        key: Bytes::from(format!("entity-{key:010}")),
        value: Some(Bytes::from(vec![b'x'; VALUE_BYTES])),
    }
}

/// Commits of outputs, state and a position, one after the other.
async fn commits(log: &Arc<KafkaLog>, task: &TaskName, records: usize) -> Result<Value, Failure> {
    let (claim, _) = log.claim_task(task).await?;
    let cpu = process_cpu()?;
    let began = Instant::now();
    let mut times = Vec::new();
    for commit in 0..COMMITS {
        let outputs = (0..records).map(output).collect::<Result<Vec<_>, _>>()?;
        let position = InputPosition {
            stream: "stream".parse()?,
            partition: 0,
            next: i64::try_from(commit * records)?,
            metadata: Bytes::new(),
        };
        let state = (0..records.min(100)).map(entry).collect();
        let commit = TaskCommit { outputs, state, positions: vec![position] };
        let one = Instant::now();
        log.commit_task(&claim, commit).await?;
        times.push(one.elapsed());
    }
    let seconds = began.elapsed().as_secs_f64();
    times.sort_unstable();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    Ok(json!({
        "case": "commits",
        "outputs": records,
        "commits": COMMITS,
        "outputs_per_second": (COMMITS * records) as f64 / seconds,
        "cpu_microseconds_per_output": (process_cpu()? - cpu) * 1e6 / (COMMITS * records) as f64,
        "p50_ms": milliseconds(times[COMMITS / 2]),
        "p99_ms": milliseconds(times[COMMITS * 99 / 100]),
        "max_ms": milliseconds(times[COMMITS - 1]),
    }))
}

async fn fill(log: &Arc<KafkaLog>, tasks: &[TaskName], keys: usize) -> Result<Value, Failure> {
    let mut claims = Vec::new();
    for task in tasks {
        claims.push(log.claim_task(task).await?.0);
    }
    let cpu = process_cpu()?;
    let began = Instant::now();
    for (first, claim) in (0..keys).step_by(KEYS_PER_COMMIT).zip(claims.iter().cycle()) {
        let state = (first..keys.min(first + KEYS_PER_COMMIT)).map(entry).collect();
        log.commit_task(claim, TaskCommit { state, ..TaskCommit::default() }).await?;
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(json!({
        "case": "fill",
        "keys": keys,
        "value_bytes": VALUE_BYTES,
        "seconds": seconds,
        "cpu_seconds": process_cpu()? - cpu,
    }))
}

async fn restore(log: &Arc<KafkaLog>, tasks: &[TaskName], keys: usize) -> Result<Value, Failure> {
    let cpu = process_cpu()?;
    let began = Instant::now();
    let mut claims = JoinSet::new();
    for task in tasks {
        let (log, task) = (Arc::clone(log), task.clone());
        claims.spawn(async move { log.claim_task(&task).await });
    }
    let mut restored = Vec::new();
    for claim in claims.join_all().await {
        restored.push(claim?.1);
    }
    let seconds = began.elapsed().as_secs_f64();
    let found: usize = restored.iter().map(|snapshot| snapshot.state.len()).sum();
    if found != keys {
        return Err(format!("{found} keys came back").into());
    }
    Ok(json!({
        "case": "restore",
        "keys": keys,
        "tasks": tasks.len(),
        "seconds": seconds,
        "keys_per_second": keys as f64 / seconds,
        "cpu_seconds": process_cpu()? - cpu,
        "peak_resident_mib": peak_resident_kib()? / 1024,
    }))
}
