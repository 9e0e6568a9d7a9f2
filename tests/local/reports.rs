//! The reports of `cpu.yaml` over 1, 4 and 16 partitions, killed in between: they are equal, byte for
//! byte, and count what a few plain lines count.
//!
//! `MILLRACE_EVENTS` sets how many events there are (60,000), `MILLRACE_KILLS` how often each run is
//! killed (5), `MILLRACE_SEED` when, and what the events are.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::time::Instant;

use jiff::Timestamp;
use rand::Rng as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde_json::Value;
use support::content;
use support::http::KeepAlive;
use support::process::PATIENCE;
use support::process::Pipeline;
use support::process::pause;
use support::process::run_to_end;

const START: i64 = 1_767_225_600_000;
const DEVICES: usize = 10_000;
const DISORDER: i64 = 2_000;
const BATCH: usize = 500;
const PERIOD: i64 = 10_000;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

#[derive(Debug, Clone)]
struct Measurement {
    time: i64,
    device: usize,
    version: usize,
    /// Tenths of a percent.
    cpu: i64,
}

impl Measurement {
    fn json(&self) -> String {
        format!(
            r#"{{"timestamp":"{:.3}","deviceId":"d{}","clientVersion":"v1.{}.0","cpu":{}.{}}}"#,
            Timestamp::from_millisecond(self.time).unwrap(),
            self.device,
            self.version,
            self.cpu / 10,
            self.cpu % 10
        )
    }
}

/// Measurements of five minutes, each as far out of order as the stream allows.
fn measurements(count: usize, random: &mut StdRng) -> Vec<Measurement> {
    let span = 300_000;
    let mut measurements: Vec<_> = (0..count)
        .map(|number| {
            let device = random.random_range(0..DEVICES);
            let time =
                START + i64::try_from(number).unwrap() * span / i64::try_from(count).unwrap();
            let cpu = random.random_range(0..=1000);
            (
                time + random.random_range(0..DISORDER),
                Measurement { time, device, version: device % 5, cpu },
            )
        })
        .collect();
    measurements.shuffle(random);
    measurements.sort_by_key(|(sent, _)| *sent);
    // The same device at the same time with the same value twice would be one event.
    let mut seen = std::collections::HashSet::new();
    measurements.retain(|(_, m)| seen.insert((m.time, m.device, m.cpu)));
    measurements.into_iter().map(|(_, measurement)| measurement).collect()
}

/// The example with another number of partitions, and batches of content-identified events.
fn resource(folder: &Path, partitions: usize, on_late: &str) -> PathBuf {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cpu.yaml");
    let mut text = std::fs::read_to_string(example).unwrap();
    for (from, to) in [
        ("partitions: 16", format!("partitions: {partitions}\n      onLate: {on_late}")),
        ("accept: [json]", "accept: [ndjson]\n        identity: content".to_owned()),
        ("idle: 5s", "idle: 1h".to_owned()),
        (
            "    - name: alerts\n      from: [busy]\n      webhook: {url: \"http://127.0.0.1:9000/alerts\"}\n",
            String::new(),
        ),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, &to, 1);
    }
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join("cpu.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

/// Sends all batches; each is sent again until it is confirmed. Kills the program now and then.
fn send(resource: &Path, folder: &Path, lines: &[String], kills: u64, random: &mut StdRng) {
    let batches: Vec<String> = lines.chunks(BATCH).map(|chunk| chunk.join("\n")).collect();
    let mut moments: Vec<usize> =
        (0..kills).map(|_| random.random_range(0..batches.len())).collect();
    moments.sort_unstable();
    let mut pipeline = Pipeline::start(resource, folder, &[]);
    let mut connection = None;
    for (number, batch) in batches.iter().enumerate() {
        while moments.first() == Some(&number) {
            moments.remove(0);
            // Often in the middle of a request: its answer is never seen.
            if random.random_bool(0.5) {
                let mut half = KeepAlive::connect(&pipeline.http()).unwrap();
                half.begin_post("/telemetry/cpu", "Content-Type: application/x-ndjson\r\n", batch)
                    .unwrap();
            }
            pipeline.kill();
            pipeline = Pipeline::start(resource, folder, &[]);
            connection = None;
        }
        let started = Instant::now();
        loop {
            let open = connection
                .take()
                .map_or_else(|| KeepAlive::connect(&pipeline.http()), Ok)
                .and_then(|mut open| {
                    let headers = "Content-Type: application/x-ndjson\r\n";
                    open.post("/telemetry/cpu", headers, batch).map(|answer| (open, answer))
                });
            match open {
                Ok((open, answer)) if answer.status == 202 => {
                    connection = Some(open);
                    break;
                }
                Ok((_, answer)) if answer.status != 503 => panic!("{answer:?}"),
                _ => assert!(started.elapsed() < PATIENCE, "batch {number} is never taken"),
            }
            pause(std::time::Duration::from_millis(5));
        }
    }
    pipeline.kill();
    run_to_end(resource, folder, &[]);
}

/// The reports of a finished run, by the end of their window.
fn reports(outputs: &BTreeMap<String, Vec<String>>) -> BTreeMap<i64, Value> {
    outputs["stream report"]
        .iter()
        .map(|line| {
            let value: Value = serde_json::from_str(line.splitn(4, ' ').nth(3).unwrap()).unwrap();
            (value["timestamp"].as_i64().unwrap(), value)
        })
        .collect()
}

/// What a few plain lines count: by window end and version, all values.
fn counted(measurements: &[Measurement]) -> BTreeMap<i64, BTreeMap<String, Vec<i64>>> {
    let mut windows: BTreeMap<i64, BTreeMap<String, Vec<i64>>> = BTreeMap::new();
    for measurement in measurements {
        let end = measurement.time.div_euclid(PERIOD) * PERIOD + PERIOD;
        let version = format!("v1.{}.0", measurement.version);
        windows.entry(end).or_default().entry(version).or_default().push(measurement.cpu);
    }
    windows
}

fn assert_counts(report: &Value, expected: &BTreeMap<String, Vec<i64>>) {
    let counters = report["counters"].as_array().unwrap();
    assert_eq!(counters.len(), expected.len(), "{report}");
    for (counter, (version, values)) in counters.iter().zip(expected) {
        assert_eq!(counter["clientVersion"], version.as_str());
        assert_eq!(counter["count"], values.len());
        let mut divisions: BTreeMap<String, usize> = BTreeMap::new();
        for value in values {
            *divisions.entry((value / 100).min(9).to_string() + "0").or_default() += 1;
        }
        let divisions: BTreeMap<String, usize> = divisions
            .into_iter()
            .map(|(division, count)| (division.trim_start_matches('0').to_owned(), count))
            .map(|(division, count)| {
                (if division.is_empty() { "0".into() } else { division }, count)
            })
            .collect();
        assert_eq!(counter["countPerDivision"], serde_json::json!(divisions));
        let mut sorted = values.clone();
        sorted.sort_unstable();
        for (name, percent) in [("p50", 50), ("p95", 95), ("p99", 99)] {
            // The estimate must be within 1 % of a value at the rank or beside it.
            let rank = (sorted.len() - 1) * percent / 100;
            let around = [rank.saturating_sub(1), rank, (rank + 1).min(sorted.len() - 1)];
            let found = counter[name].as_f64().unwrap();
            let near = around.iter().any(|rank| {
                let value = f64::from(i32::try_from(sorted[*rank]).unwrap()) / 10.0;
                (found - value).abs() <= value * 0.0101 + 1e-9
            });
            assert!(near, "{name} {found} of {} values", sorted.len());
        }
    }
}

#[test]
fn reports_are_equal_over_any_number_of_partitions_and_kills() {
    let mut random = StdRng::seed_from_u64(setting("MILLRACE_SEED", 5));
    let count = usize::try_from(setting("MILLRACE_EVENTS", 60_000)).unwrap();
    let kills = setting("MILLRACE_KILLS", 5);
    let measurements = measurements(count, &mut random);
    let lines: Vec<_> = measurements.iter().map(Measurement::json).collect();
    let expected = counted(&measurements);
    let folder = tempfile::tempdir().unwrap();
    let mut first: Option<BTreeMap<String, Vec<String>>> = None;
    for partitions in [1, 4, 16] {
        let folder = folder.path().join(partitions.to_string());
        let resource = resource(&folder, partitions, "deadLetter");
        send(&resource, &folder, &lines, kills, &mut random);
        let outputs = content::outputs(&resource, &folder);
        assert_eq!(outputs["stream dead-letters"], Vec::<String>::new());
        let reports = reports(&outputs);
        assert_eq!(reports.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (end, expected) in &expected {
            assert_counts(&reports[end], expected);
        }
        let compared: BTreeMap<_, _> = outputs
            .into_iter()
            .filter(|(name, _)| name == "stream report" || name == "table reports")
            .collect();
        assert_eq!(compared.len(), 2);
        match &first {
            None => first = Some(compared),
            Some(first) => content::assert_equal(&compared, first),
        }
    }
}

#[test]
fn what_is_late_is_counted_and_nothing_else_is_missing() {
    let mut random = StdRng::seed_from_u64(setting("MILLRACE_SEED", 5));
    let mut measurements = measurements(20_000, &mut random);
    // One in fifty comes far too late.
    for place in (0..measurements.len() - 3000).step_by(50) {
        let late = measurements.remove(place);
        measurements.insert(place + 2500, late);
    }
    let lines: Vec<_> = measurements.iter().map(Measurement::json).collect();
    let folder = tempfile::tempdir().unwrap();
    let resource = resource(folder.path(), 4, "deadLetter");
    send(&resource, folder.path(), &lines, 1, &mut random);
    let outputs = content::outputs(&resource, folder.path());
    let late = outputs["stream dead-letters"].len();
    assert!(late > 100, "{late}");
    let reported: i64 = reports(&outputs)
        .values()
        .flat_map(|report| report["counters"].as_array().unwrap().clone())
        .map(|counter| counter["count"].as_i64().unwrap())
        .sum();
    assert_eq!(usize::try_from(reported).unwrap() + late, lines.len());
}
