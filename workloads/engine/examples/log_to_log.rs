//! Measures stages from log to log, exactly once, and prints a line of JSON for each: events per
//! second of CPU, all threads of the process counted, the filling of the log not.
//!
//! `cargo run --release -p millrace-engine --example log_to_log [FOLDER] [EVENTS] [CASE]`

#[path = "../../log/examples/process/mod.rs"]
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
use millrace_core::key::partition_of;
use millrace_engine::Engine;
use millrace_engine::EngineOptions;
use millrace_log::Append;
use millrace_log::EmbeddedLog;
use millrace_log::EmbeddedLogOptions;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::ReadLimit;
use millrace_log::StreamConfig;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::Aggregate;
use millrace_plan::model::AggregateKind;
use millrace_plan::model::BufferLimits;
use millrace_plan::model::Deduplication;
use millrace_plan::model::ExposurePlan;
use millrace_plan::model::IngestedStream;
use millrace_plan::model::OnLate;
use millrace_plan::model::Operation;
use millrace_plan::model::OperatorInput;
use millrace_plan::model::OperatorPlan;
use millrace_plan::model::QueryPlan;
use millrace_plan::model::Retention;
use millrace_plan::model::StagePlan;
use millrace_plan::model::StreamOrigin;
use millrace_plan::model::StreamPlan;
use millrace_plan::model::WindowSettings;
use millrace_plan::model::WindowSpan;
use process::peak_resident_kib;
use process::process_cpu;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const PARTITIONS: i32 = 4;
const KEYS: u64 = 10_000;
const EVENTS: u64 = 2_000_000;
/// Events per second of event time.
const RATE: u64 = 100_000;
const BATCH: u64 = 10_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let temporary = tempfile::tempdir()?;
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or(temporary.path().to_owned(), PathBuf::from);
    let events = arguments.next().map_or(Ok(EVENTS), |text| text.parse())?;
    let only = arguments.next();
    for (name, operation) in cases()? {
        if only.as_ref().is_none_or(|only| only == name) {
            run(&folder.join(name), name, operation, events).await?;
        }
    }
    Ok(())
}

fn cases() -> Result<Vec<(&'static str, Operation)>, Failure> {
    let window = |size: i64, every: i64| -> Result<Operation, Failure> {
        Ok(Operation::Window(WindowSettings {
            span: WindowSpan::Aligned { size, every, offset: 0 },
            by: Vec::new(),
            compute: vec![
                Aggregate { name: "count".to_owned(), kind: AggregateKind::Count },
                Aggregate { name: "mean".to_owned(), kind: AggregateKind::Mean(".value".parse()?) },
            ],
            empty_windows: 0,
            max_groups: 1_000_000,
        }))
    };
    Ok(vec![
        ("rekey", Operation::Rekey),
        ("tumbling", window(10_000, 10_000)?),
        ("hopping", window(60_000, 1_000)?),
    ])
}

async fn run(folder: &Path, name: &str, operation: Operation, events: u64) -> Result<(), Failure> {
    let plan = Arc::new(plan(operation)?);
    let log = EmbeddedLog::open(EmbeddedLogOptions::new(folder))?;
    let configs = plan.streams.iter().map(|stream| StreamConfig {
        name: stream.name.clone(),
        partitions: stream.partitions,
        retention: stream.retention,
    });
    log.ensure_streams(&configs.collect::<Vec<_>>()).await?;
    fill(&log, events).await?;
    let log: Arc<dyn Log> = log;
    let observer = Arc::new(Observer::default());
    let options = EngineOptions {
        until_end: true,
        batch: ReadLimit::default(),
        input_finished: watch::channel(true).1,
        only: None,
    };
    let before = log.statistics();
    let (cpu, began) = (process_cpu()?, Instant::now());
    let stop = CancellationToken::new();
    Engine::start(&plan, &log, &observer, &options, &stop).join().await?;
    let (took, cpu) = (began.elapsed().as_secs_f64(), process_cpu()? - cpu);
    let after = log.statistics();
    log.close().await;
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let events_float = events as f64;
    let line = json!({
        "what": format!("log to log: {name}"),
        "events": events,
        "outputs": after.records - before.records,
        "perCpuSecond": events_float / cpu,
        "perSecond": events_float / took,
        "cpuSeconds": cpu,
        "seconds": took,
        "fsyncs": after.syncs - before.syncs,
        "peakKib": peak_resident_kib()?,
    });
    #[expect(clippy::print_stdout, reason = "this is the program's output")]
    {
        println!("{line}");
    }
    Ok(())
}

fn plan(operation: Operation) -> Result<Plan, Failure> {
    let input: StreamName = "measurements".parse()?;
    let output: StreamName = "results".parse()?;
    let stream = |name: &StreamName, partitions, origin| StreamPlan {
        name: name.clone(),
        generation: 0,
        partitions,
        retention: Retention::default(),
        origin,
    };
    let ingested = IngestedStream {
        schema: None,
        key: vec![".device".parse()?],
        event_id: None,
        event_time: None,
        disorder: Duration::from_millis(500),
        idle: None,
        heartbeat: false,
        max_ahead: Duration::from_mins(5),
        max_behind: None,
        on_late: OnLate::DeadLetter,
        deduplicate: Some(Deduplication { within: Duration::from_mins(2), max_ids: 1_000_000 }),
    };
    let derived = StreamOrigin::Derived { processor: "results".to_owned(), stage: 0 };
    Ok(Plan {
        pipeline: "bench".to_owned(),
        streams: vec![
            stream(&input, PARTITIONS, StreamOrigin::Ingested(ingested)),
            stream(&output, PARTITIONS, derived),
            stream(&StreamName::dead_letters(), 1, StreamOrigin::DeadLetters),
        ],
        ingest: Vec::new(),
        stages: vec![StagePlan {
            name: "results".to_owned(),
            inputs: vec![input.clone()],
            partitions: PARTITIONS,
            operators: vec![OperatorPlan {
                name: "results".to_owned(),
                generation: 0,
                inputs: vec![OperatorInput::Stream(input)],
                operation,
                key: Vec::new(),
                output: Some(output),
                output_partitions: PARTITIONS,
                fingerprint: "1".to_owned(),
            }],
            buffer: BufferLimits::default(),
        }],
        sinks: Vec::new(),
        query: QueryPlan::default(),
        exposure: ExposurePlan::default(),
    })
}

/// Appends events of 10,000 keys with ids as they are made at ingest, some 20 ms out of order.
async fn fill(log: &Arc<EmbeddedLog>, events: u64) -> Result<(), Failure> {
    let stream: StreamName = "measurements".parse()?;
    let mut random = 1_u64;
    for batch in 0..events.div_ceil(BATCH) {
        let numbers = batch * BATCH..events.min((batch + 1) * BATCH);
        let entries = numbers.map(|number| {
            // The generator of Knuth's MMIX: reproducible, and random enough for keys.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            let device = (random >> 33) % KEYS;
            let jitter = (random >> 40) % 20;
            let key = Bytes::from(format!("device-{device:05}"));
            let time = 1_700_000_000_000 + i64::try_from(number * 1000 / RATE + jitter)?;
            let value = value(device, time, (random >> 20) % 100_000);
            let partition = partition_of(&key, PARTITIONS);
            let id = generated_id(time, random);
            let record = Record {
                key,
                event_time: time,
                ingest_time: time,
                id,
                headers: Headers::default(),
                value: Bytes::from(value),
            };
            Ok(Append { stream: stream.clone(), partition, entry: Entry::Record(record) })
        });
        log.append(entries.collect::<Result<Vec<_>, Failure>>()?).await?;
    }
    Ok(())
}

/// A UUID of version 7.
fn generated_id(time: i64, random: u64) -> EventId {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&time.to_be_bytes()[2..]);
    bytes[6] = 0x70;
    bytes[8] = 0x80;
    bytes[9..16].copy_from_slice(&random.to_be_bytes()[..7]);
    EventId::from(bytes)
}

/// About 200 bytes of JSON.
fn value(device: u64, time: i64, number: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "below 100,000")]
    let value = number as f64 / 100.0;
    format!(
        r#"{{"device":"device-{device:05}","timestamp":{time},"value":{value},"unit":"celsius","site":"plant-{}","firmware":"4.12.{}","battery":{},"status":"ok","message":"all sensors within their limits","line":{}}}"#,
        device % 17,
        device % 10,
        number % 101,
        device % 8
    )
}
