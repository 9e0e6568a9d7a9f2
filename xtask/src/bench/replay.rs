//! A recorded race from file to tables by `millrace run --until-end`.

use std::error::Error;
use std::time::Instant;

use serde_json::Value;

use crate::bench::process;
use crate::bench::report;
use crate::bench::report::Figure;
use crate::bench::report::Measurement;
use crate::command;
use crate::workspace;

/// How many cars drive how many laps: about 270,000 messages.
const CARS: &str = "100";
const LAPS: &str = "6";
/// When the race starts, in milliseconds since 1970.
const START: &str = "1700000000000";

/// Measures the whole command, the program's start and end included.
pub(super) fn measure(repetitions: usize) -> Result<Figure, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let recorded = folder.path().join("race.ndjson");
    let program = workspace::program(true).to_string_lossy().into_owned();
    let root = workspace::root();
    let to = format!("file:{}", recorded.display());
    let race = ["simulate", "race", "--cars", CARS, "--laps", LAPS, "--start", START, "--to", &to];
    command::output(&root, &program, &race)?;
    let input = format!("cars={}", recorded.display());
    let mut measured = Vec::new();
    for repetition in 0..repetitions.max(1) {
        let data = folder.path().join(repetition.to_string()).to_string_lossy().into_owned();
        let run = ["run", "examples/race.yaml", "--output", "json", "--data", &data];
        let end = ["--until-end", "--input", &input];
        let (cpu, begun) = (process::children_cpu_seconds(), Instant::now());
        let printed = command::output(&root, &program, &[&run[..], &end[..]].concat())?;
        let seconds = begun.elapsed().as_secs_f64();
        let summary: Value = serde_json::from_str(&printed)?;
        let events = summary["lines"].as_u64().unwrap_or_default();
        measured.push(Measurement {
            what: format!("recorded race of {CARS} cars, {events} messages, to tables"),
            bytes: Some(std::fs::metadata(&recorded)?.len() / events.max(1)),
            batch: Some(1000),
            acknowledged: Some("durable results and rows".to_owned()),
            per_second: Some(events as f64 / seconds),
            cpu_seconds: Some(process::children_cpu_seconds() - cpu),
            events: Some(events),
            ..Measurement::default()
        });
    }
    Ok(Figure {
        target: "",
        method: format!("release program, run --until-end, median of {repetitions}"),
        measurement: report::median(measured).unwrap_or_default(),
    })
}
