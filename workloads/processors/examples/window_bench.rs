//! Measures `window` on one thread, without engine and log, and prints a line of JSON for each case.
//!
//! Events are parsed and put in order before the clock runs. What counts is the processor time of
//! the thread in everything that the engine would call the operator for: timers, events, ends of
//! event times, and the changes of state once a second of event time.
//!
//! `cargo run --release -p millrace-processors --example window_bench`

#![allow(clippy::print_stdout, reason = "printing is what this program is for")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use millrace_core::Event;
use millrace_core::EventId;
use millrace_core::FieldPath;
use millrace_core::Headers;
use millrace_plan::model::Aggregate;
use millrace_plan::model::AggregateKind;
use millrace_plan::model::Operation;
use millrace_plan::model::OperatorPlan;
use millrace_plan::model::WindowSettings;
use millrace_plan::model::WindowSpan;
use millrace_processors::Emitter;
use millrace_processors::Operator;
use millrace_processors::build;
use serde_json::json;

/// Events of one event time.
const FRAME: u32 = 1000;

/// A second in milliseconds.
const SECOND: i64 = 1000;

fn main() {
    let tumbling = WindowSpan::Aligned { size: 10_000, every: 10_000, offset: 0 };
    let hopping = WindowSpan::Aligned { size: 60_000, every: 1000, offset: 0 };
    let session =
        WindowSpan::Session { gap: Duration::from_secs(2), longest: Duration::from_hours(1) };
    for (groups, rate, seconds) in [(1000, 20_000, 100), (100_000, 500_000, 10)] {
        let mut events = events(groups, rate);
        for (what, span) in
            [("tumbling 10 s", tumbling), ("hopping 60 x 1 s", hopping), ("session 2 s", session)]
        {
            let operation = Operation::Window(settings(span));
            let (spent, reports) = measure(&operation, &mut events, seconds);
            let number = i64::from(rate) * seconds;
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let rate_found = number as f64 / spent.as_secs_f64();
            println!(
                "{}",
                json!({
                    "what": format!("window, {what}, {groups} groups, {rate} events a second of event time, one thread"),
                    "perSecond": rate_found.round(),
                    "cpuSeconds": spent.as_secs_f64(),
                    "events": number,
                    "reports": reports,
                })
            );
        }
    }
}

fn settings(span: WindowSpan) -> WindowSettings {
    let of = || path(".cpu");
    let compute = [
        ("count", AggregateKind::Count),
        ("sum", AggregateKind::Sum(of())),
        ("min", AggregateKind::Min(of())),
        ("max", AggregateKind::Max(of())),
        ("mean", AggregateKind::Mean(of())),
        ("p95", AggregateKind::Quantile { of: of(), q: 0.95 }),
    ];
    WindowSettings {
        span,
        by: vec![path(".deviceId")],
        compute: compute.map(|(name, kind)| Aggregate { name: name.into(), kind }).into(),
        empty_windows: 360,
        max_groups: 1_000_000,
    }
}

/// Time in the operator, and the number of its outputs. The events are those of one second, which
/// come again each second.
fn measure(operation: &Operation, events: &mut [Event], seconds: i64) -> (Duration, usize) {
    let mut operator = build(&OperatorPlan {
        name: "bench".into(),
        generation: 0,
        inputs: Vec::new(),
        operation: operation.clone(),
        key: Vec::new(),
        output: None,
        output_partitions: 1,
        fingerprint: String::new(),
    });
    let name: Arc<str> = "bench".into();
    let mut outputs = Vec::new();
    let mut reports = 0;
    let mut spent = Duration::ZERO;
    for second in 0..=seconds {
        let started = processor_time();
        // The last timer is that of the last second.
        let frames = if second < seconds { &*events } else { &[] };
        for frame in frames.chunk_by(|a, b| a.time == b.time) {
            let time = frame[0].time;
            while let Some(timer) = operator.next_timer().filter(|timer| *timer < time) {
                step(&mut *operator, &name, timer, &[], &mut outputs);
            }
            step(&mut *operator, &name, time, frame, &mut outputs);
        }
        if second == seconds {
            step(&mut *operator, &name, seconds * SECOND, &[], &mut outputs);
        }
        operator.take_changes(&mut |key, value| {
            black_box((key, value));
        });
        spent += processor_time().saturating_sub(started);
        reports += outputs.len();
        outputs.clear();
        for event in &mut *events {
            event.time += SECOND;
        }
    }
    for event in events {
        event.time -= (seconds + 1) * SECOND;
    }
    (spent, reports)
}

/// Time that this thread has run; where the system does not tell, the time of day.
fn processor_time() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanos.map_or_else(
        || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
        Duration::from_nanos,
    )
}

/// One event time, as the engine has it.
fn step(
    operator: &mut dyn Operator,
    name: &Arc<str>,
    time: i64,
    events: &[Event],
    outputs: &mut Vec<Event>,
) {
    let mut refusals = Vec::new();
    let mut count = |_, _| {};
    let mut out = Emitter::new(name, 0, &[], outputs, &mut refusals, &mut count);
    if operator.next_timer().is_some_and(|timer| timer <= time) {
        operator.on_timer(time, &mut out);
    }
    for event in events {
        operator.process(event, &mut out);
    }
    operator.end_of_time(time, &mut out);
    assert!(refusals.is_empty(), "no event is refused");
}

/// So many events of one second, of so many devices, in an order that is always the same.
fn events(groups: u32, rate: u32) -> Vec<Event> {
    let headers = Arc::new(Headers::default());
    let stream: Arc<str> = "cpu".into();
    (0..rate)
        .map(|number| {
            let mixed = number.wrapping_mul(2_654_435_761) >> 7;
            let device = format!("device-{:06}", mixed % groups);
            let time = i64::from(number / FRAME) * SECOND / i64::from(rate / FRAME);
            let value = json!({
                "timestamp": time, "deviceId": device, "clientVersion": "v1.2.3",
                "cpu": f64::from(mixed % 997 % 400) / 4.0,
            });
            Event {
                stream: Arc::clone(&stream),
                id: EventId::of_content("bench", &number.to_be_bytes(), b""),
                key: device.into(),
                time,
                ingest_time: time,
                headers: Arc::clone(&headers),
                value: value.into(),
            }
        })
        .collect()
}

fn path(text: &str) -> FieldPath {
    text.parse().expect("the paths above are valid")
}
