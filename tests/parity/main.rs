//! What a pipeline makes of one input is the same, byte for byte, in one process with the embedded
//! log and over Kafka and Postgres, with one, two and five workers.
//!
//! Each example first runs in one process and takes what its clients send. What then lies in the
//! streams that clients write, marks of silence included, is copied into Kafka's topics, and workers
//! compute it there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]
#![allow(clippy::print_stdout, reason = "shown where a test fails, or is asked to tell")]

#[path = "../support/mod.rs"]
mod support;

mod inputs;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use inputs::Input;
use millrace_log::Append;
use millrace_log::Log;
use millrace_log::ReadLimit;
use millrace_log::embedded::EmbeddedLog;
use millrace_log::embedded::EmbeddedLogOptions;
use millrace_log::kafka::KafkaLog;
use millrace_plan::Plan;
use millrace_plan::model::StreamOrigin;
use millrace_tables::export;
use millrace_tables::postgres::PostgresStore;
use millrace_tables::sink::TableSink;
use support::cluster::Connections;
use support::cluster::Process;
use support::cluster::open_log;
use support::cluster::postgres_settings;
use support::cluster::provision;
use support::content;
use support::process::pause;

/// How long nothing may change before workers are taken to have done all they will.
const STANDSTILL: Duration = Duration::from_secs(20);

/// Entries of one append of the copy.
const COPIED: usize = 1000;

type Outputs = BTreeMap<String, Vec<String>>;

/// Runs an example in one process and with workers, and compares.
fn examine(input: &Input) {
    let folder = tempfile::tempdir().unwrap();
    let resource = input.run(folder.path());
    let expected = content::outputs(&resource, folder.path());
    for (name, at_least) in input.expects {
        let found = expected.get(*name).map_or(0, Vec::len);
        assert!(found >= *at_least, "{name} has {found} records");
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for workers in [1, 2, 5] {
        let folder_of_run = folder.path().join(format!("workers-{workers}"));
        std::fs::create_dir_all(&folder_of_run).unwrap();
        let connections = Connections::shared(&folder_of_run);
        provision(&resource, &connections);
        let plan = content::plan(&resource);
        let log = runtime.block_on(open_log(&connections, &plan));
        runtime.block_on(copy(folder.path(), &plan, &log));
        let archives = folder_of_run.display().to_string();
        let arguments = ["--archives", &archives];
        let names: Vec<_> = (0..workers).map(|number| format!("worker-{number}")).collect();
        let mut processes: Vec<_> = names
            .iter()
            .map(|name| {
                Process::spawn("worker", name, &resource, &connections, &folder_of_run, &arguments)
            })
            .collect();
        let outputs = settled(&runtime, &log, &connections, &plan, &expected);
        for process in &mut processes {
            process.ready();
        }
        if outputs != expected {
            for process in &processes {
                println!("{}", process.output());
            }
            content::assert_equal(&outputs, &expected);
        }
        runtime.block_on(log.close());
    }
}

/// Copies what clients wrote from the embedded log into Kafka's topics.
async fn copy(folder: &Path, plan: &Plan, to: &Arc<KafkaLog>) {
    let from = EmbeddedLog::open(EmbeddedLogOptions::new(folder.join("data/log"))).unwrap();
    for stream in &plan.streams {
        if !matches!(stream.origin, StreamOrigin::Ingested(_)) {
            continue;
        }
        for partition in 0..stream.partitions {
            let mut next = 0;
            loop {
                let limit = ReadLimit { entries: COPIED, ..ReadLimit::default() };
                let batch = from.read(&stream.name, partition, next, limit).await.unwrap();
                if batch.entries.is_empty() {
                    break;
                }
                next = batch.next;
                let appends = batch.entries.into_iter().map(|(_, entry)| Append {
                    stream: stream.name.clone(),
                    partition,
                    entry,
                });
                to.append(appends.collect()).await.unwrap();
            }
        }
    }
    from.close().await;
}

/// The outputs once they are as expected, or have not changed for a while.
fn settled(
    runtime: &tokio::runtime::Runtime,
    log: &Arc<KafkaLog>,
    connections: &Connections,
    plan: &Plan,
    expected: &Outputs,
) -> Outputs {
    let (mut last, mut since) = (Outputs::new(), Instant::now());
    loop {
        let outputs = runtime.block_on(outputs(log, connections, plan));
        if outputs == *expected || (outputs == last && since.elapsed() > STANDSTILL) {
            return outputs;
        }
        if outputs != last {
            (last, since) = (outputs, Instant::now());
        }
        pause(Duration::from_millis(200));
    }
}

async fn outputs(log: &Arc<KafkaLog>, connections: &Connections, plan: &Plan) -> Outputs {
    let mut outputs = Outputs::new();
    for stream in &plan.streams {
        if !matches!(stream.origin, StreamOrigin::Ingested(_)) {
            let lines = content::stream(log.as_ref(), &stream.name, stream.partitions).await;
            outputs.insert(format!("stream {}", stream.name), lines);
        }
    }
    let sinks = TableSink::all(plan);
    if !sinks.is_empty() {
        let settings = postgres_settings(connections);
        let store = PostgresStore::connect(&settings, &plan.pipeline).await.unwrap();
        for sink in sinks {
            let lines = export(&store, &sink.table).await.unwrap();
            let lines = lines.lines().map(str::to_owned).collect();
            outputs.insert(format!("table {}", sink.table.name), lines);
        }
    }
    outputs
}

#[test]
fn a_race_is_the_same_with_any_number_of_workers() {
    examine(&inputs::RACE);
}

#[test]
fn reports_are_the_same_with_any_number_of_workers() {
    examine(&inputs::CPU);
}

#[test]
fn hoverboards_are_the_same_with_any_number_of_workers() {
    examine(&inputs::HOVERBOARDS);
}

#[test]
fn the_first_data_is_the_same_with_any_number_of_workers() {
    examine(&inputs::MULTIVAC);
}

#[test]
fn timestamps_are_the_same_with_any_number_of_workers() {
    examine(&inputs::TIMESTAMPS);
}
