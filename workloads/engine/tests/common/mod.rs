//! A race for the engine: plans, input and the content of streams after a run.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]
#![allow(clippy::cast_precision_loss, reason = "the numbers of the tests are small")]
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

pub mod timers;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_core::key::partition_of;
use millrace_engine::BuildOperator;
use millrace_engine::Engine;
use millrace_engine::EngineOptions;
use millrace_engine::TaskError;
use millrace_log::Append;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::ReadLimit;
use millrace_log::StreamConfig;
use millrace_log::embedded::EmbeddedLog;
use millrace_log::embedded::EmbeddedLogOptions;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::*;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub fn name(text: &str) -> StreamName {
    text.parse().unwrap()
}

/// A stream of coordinates, with repetitions recognised within two minutes.
pub fn coordinates(key: &str, partitions: i32) -> StreamPlan {
    StreamPlan {
        name: name("coordinates"),
        generation: 0,
        partitions,
        retention: Retention::default(),
        origin: StreamOrigin::Ingested(IngestedStream {
            schema: None,
            key: vec![key.parse().unwrap()],
            event_id: None,
            event_time: None,
            disorder: Duration::from_millis(500),
            idle: None,
            heartbeat: false,
            max_ahead: Duration::from_mins(5),
            max_behind: None,
            on_late: OnLate::DeadLetter,
            deduplicate: Some(Deduplication { within: Duration::from_mins(2), max_ids: 1_000_000 }),
        }),
    }
}

pub fn derived(stream: &str, stage: usize, partitions: i32) -> StreamPlan {
    StreamPlan {
        name: name(stream),
        generation: 0,
        partitions,
        retention: Retention::default(),
        origin: StreamOrigin::Derived { processor: stream.to_owned(), stage },
    }
}

pub fn dead_letters() -> StreamPlan {
    StreamPlan {
        name: StreamName::dead_letters(),
        generation: 0,
        partitions: 1,
        retention: Retention::default(),
        origin: StreamOrigin::DeadLetters,
    }
}

pub fn operator(
    name_: &str,
    input: OperatorInput,
    operation: Operation,
    key: Option<&str>,
    output: Option<&str>,
) -> OperatorPlan {
    OperatorPlan {
        name: name_.to_owned(),
        generation: 0,
        inputs: vec![input],
        operation,
        key: key.into_iter().map(|path| path.parse().unwrap()).collect(),
        output: output.map(name),
        output_partitions: 1,
        fingerprint: "1".to_owned(),
    }
}

pub fn motion() -> Operation {
    Operation::Motion(MotionSettings {
        entity: ".car".parse().unwrap(),
        latitude: ".lat".parse().unwrap(),
        longitude: ".long".parse().unwrap(),
        speed_unit: SpeedUnit::MilesPerHour,
        max_speed: Some(400.0),
        distance: DistanceModel::Haversine,
        max_entities: 1000,
    })
}

pub fn rank() -> Operation {
    Operation::Rank(RankSettings {
        group: ".race".parse().unwrap(),
        entity: ".car".parse().unwrap(),
        by: ".totalDistance".parse().unwrap(),
        hold: Duration::from_millis(400),
        max_entities: 1000,
    })
}

/// Everything of a race in one stage, keyed by the race.
pub fn race_plan(partitions: i32) -> Plan {
    let stream = OperatorInput::Stream(name("coordinates"));
    Plan {
        pipeline: "race".to_owned(),
        streams: vec![
            coordinates(".race", partitions),
            derived("motion", 0, partitions),
            derived("positions", 0, partitions),
            dead_letters(),
        ],
        ingest: Vec::new(),
        stages: vec![StagePlan {
            name: "motion".to_owned(),
            inputs: vec![name("coordinates")],
            partitions,
            operators: vec![
                operator("motion", stream, motion(), None, Some("motion")),
                operator("positions", OperatorInput::Operator(0), rank(), None, Some("positions")),
            ],
            buffer: BufferLimits::default(),
        }],
        sinks: Vec::new(),
        query: QueryPlan::default(),
        exposure: millrace_plan::model::ExposurePlan::default(),
    }
}

/// Motion per car in one stage, keyed by the car; ranks per race in the next.
pub fn two_stage_plan(partitions: i32) -> Plan {
    let stage = |name_: &str, input: &str, operator_: OperatorPlan| StagePlan {
        name: name_.to_owned(),
        inputs: vec![name(input)],
        partitions,
        operators: vec![operator_],
        buffer: BufferLimits::default(),
    };
    let stream = |text| OperatorInput::Stream(name(text));
    Plan {
        pipeline: "race".to_owned(),
        streams: vec![
            coordinates(".car", partitions),
            derived("motion", 0, partitions),
            derived("positions", 1, partitions),
            dead_letters(),
        ],
        ingest: Vec::new(),
        stages: vec![
            stage(
                "motion",
                "coordinates",
                operator("motion", stream("coordinates"), motion(), Some(".race"), Some("motion")),
            ),
            stage(
                "positions",
                "motion",
                operator("positions", stream("motion"), rank(), None, Some("positions")),
            ),
        ],
        sinks: Vec::new(),
        query: QueryPlan::default(),
        exposure: millrace_plan::model::ExposurePlan::default(),
    }
}

/// Six cars of each race, five times a second, on paces that cross; sorted by time.
pub fn race_records(races: usize, ticks: i64, key: &str) -> Vec<Record> {
    let mut records = Vec::new();
    for tick in 0..ticks {
        for race in 0..races {
            for car in 0..6_i64 {
                let seconds = tick as f64 * 0.2;
                let pace = 0.000_2 + 0.000_03 * (seconds / (5.0 + car as f64)).sin();
                let value = serde_json::json!({
                    "race": format!("race{race}"),
                    "car": car,
                    "lat": 52.0 + pace * seconds,
                    "long": -1.0 + car as f64 * 0.000_01,
                });
                let bytes = Bytes::from(value.to_string());
                let key = match key {
                    ".race" => format!("race{race}"),
                    _ => car.to_string(),
                };
                records.push(Record {
                    id: EventId::of_content(
                        "coordinates",
                        key.as_bytes(),
                        &bytes_with(tick, &bytes),
                    ),
                    key: Bytes::from(key),
                    event_time: 1_700_000_000_000 + tick * 200,
                    ingest_time: 0,
                    headers: Headers::default(),
                    value: bytes,
                });
            }
        }
    }
    records
}

fn bytes_with(tick: i64, bytes: &[u8]) -> Vec<u8> {
    [&tick.to_be_bytes()[..], bytes].concat()
}

pub async fn open(folder: &Path, plan: &Plan) -> Arc<dyn Log> {
    let log = EmbeddedLog::open(EmbeddedLogOptions::new(folder)).unwrap();
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

pub async fn append(log: &Arc<dyn Log>, plan: &Plan, records: &[Record]) {
    let stream = plan.streams[0].clone();
    for chunk in records.chunks(500) {
        let entries = chunk
            .iter()
            .map(|record| Append {
                stream: stream.name.clone(),
                partition: partition_of(&record.key, stream.partitions),
                entry: Entry::Record(record.clone()),
            })
            .collect();
        log.append(entries).await.unwrap();
    }
}

pub fn options(batch: usize, until_end: bool) -> EngineOptions {
    EngineOptions {
        until_end,
        batch: ReadLimit { entries: batch, bytes: 4 << 20 },
        input_finished: watch::channel(true).1,
        only: None,
    }
}

/// Runs the engine to the end of what the log holds.
pub async fn run_to_end(log: &Arc<dyn Log>, plan: &Plan, batch: usize) -> Result<(), TaskError> {
    start(log, plan, &options(batch, true), &CancellationToken::new()).join().await
}

pub fn start(
    log: &Arc<dyn Log>,
    plan: &Plan,
    options: &EngineOptions,
    shutdown: &CancellationToken,
) -> Engine {
    start_with(&timers::build(), log, plan, options, shutdown)
}

pub fn start_with(
    build: &BuildOperator,
    log: &Arc<dyn Log>,
    plan: &Plan,
    options: &EngineOptions,
    shutdown: &CancellationToken,
) -> Engine {
    let (plan, observer) = (Arc::new(plan.clone()), Arc::new(Observer::default()));
    Engine::start_with(build, &plan, log, &observer, options, shutdown)
}

/// Key, event time, id and value of a record.
pub type Content = (Bytes, i64, EventId, Bytes);

/// The content of a stream, sorted, as two runs are compared.
pub async fn content(log: &Arc<dyn Log>, plan: &Plan, stream: &str) -> Vec<Content> {
    let partitions = plan.stream(&name(stream)).unwrap().partitions;
    let mut content = Vec::new();
    for partition in 0..partitions {
        let mut from = 0;
        loop {
            let batch =
                log.read(&name(stream), partition, from, ReadLimit::default()).await.unwrap();
            if batch.entries.is_empty() {
                break;
            }
            from = batch.next;
            content.extend(batch.entries.into_iter().filter_map(|(_, entry)| match entry {
                Entry::Record(r) => Some((r.key, r.event_time, r.id, r.value)),
                Entry::Mark(_) => None,
            }));
        }
    }
    content.sort();
    content
}

/// The contents of all derived streams and of the dead letters.
pub async fn outputs(log: &Arc<dyn Log>, plan: &Plan) -> HashMap<String, Vec<Content>> {
    let mut outputs = HashMap::new();
    for stream in &plan.streams[1..] {
        let stream = stream.name.to_string();
        outputs.insert(stream.clone(), content(log, plan, &stream).await);
    }
    outputs
}
