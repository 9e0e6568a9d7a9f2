//! How long a worker that starts needs until it has its tasks' state again.

use std::error::Error;
use std::time::Instant;

use crate::bench::kafka::Extent;
use crate::bench::kafka::Figures;
use crate::bench::kafka::bed::Bed;
use crate::bench::kafka::load;
use crate::bench::kafka::progress;
use crate::bench::kafka::role::Role;
use crate::bench::kafka::window;
use crate::bench::report;
use crate::bench::report::Figure;
use crate::bench::report::Measurement;
use crate::bench::usage::Meter;

const RESOURCE: &str = include_str!("restore.yaml");
/// As many devices, each with one event.
const KEYS: u64 = 1_000_000;
/// Tasks, which share the keys.
const TASKS: usize = 4;
/// All of one day.
const START: u64 = 1_700_006_400_000;
const DAY: u64 = 86_400_000;

/// Measures how one worker makes the state, and how the next one gets it.
pub(super) fn measure(extent: &Extent) -> Figures {
    let bed = Bed::start(RESOURCE)?;
    let ingest = Role::start_ready("ingest", &bed)?;
    let event = |number| window::of_device(number, START + number / 100, number);
    let bytes = load::fill(&ingest, "/measurements", KEYS, event)?;
    ingest.stop()?;
    let mut worker = Role::start("worker", &bed)?;
    let made = progress::follow(&mut worker, &bed, |metrics| window::done(metrics, KEYS))?;
    worker.stop()?;
    let mut restored = Vec::new();
    for _ in 0..extent.repetitions.max(1) {
        restored.push(once(&bed)?);
    }
    check(&bed)?;
    let made = Measurement {
        what: format!("{KEYS} keys of state made, each by one event, Kafka to changelog"),
        bytes: Some(bytes),
        acknowledged: Some("committed state and positions".to_owned()),
        ..made.measurement()
    };
    Ok(vec![
        Figure {
            target: "",
            method: "`millrace worker` from a filled topic".to_owned(),
            measurement: made,
        },
        Figure {
            target: "",
            method: format!(
                "from the start of the process until its {TASKS} tasks run, median of {}",
                extent.repetitions
            ),
            measurement: report::median(restored).unwrap_or_default(),
        },
    ])
}

fn once(bed: &Bed) -> Result<Measurement, Box<dyn Error>> {
    let servers = Meter::start(bed.watched());
    let begun = Instant::now();
    let mut worker = Role::start("worker", bed)?;
    // Of a process that has just started everything counts: its meter starts at once.
    let own = Meter::start(vec![worker.watched()]);
    worker.until_running(TASKS)?;
    let seconds = begun.elapsed().as_secs_f64();
    let mut processes = own.read()?;
    processes.extend(servers.read()?);
    worker.stop()?;
    let own = processes.first();
    Ok(Measurement {
        what: format!("restore of {KEYS} keys of state in {seconds:.2} s"),
        per_second: Some(KEYS as f64 / seconds),
        cpu_seconds: own.map(|own| own.cpu_seconds),
        resident_kib: own.map(|own| own.resident_kib),
        peak_kib: own.and_then(|own| own.peak_kib),
        events: Some(KEYS),
        processes,
        ..Measurement::default()
    })
}

/// Begins the next day: of each key there must be a report then, by a worker that has only restored it.
fn check(bed: &Bed) -> Result<(), Box<dyn Error>> {
    let ingest = Role::start_ready("ingest", bed)?;
    // So many that each partition has one.
    load::fill(&ingest, "/measurements", 1000, |number| {
        window::of_device(number, START + DAY + number, number)
    })?;
    ingest.stop()?;
    let mut worker = Role::start("worker", bed)?;
    worker.until("a report of each key", |worker| {
        let outputs = worker.metrics()?.sum("millrace_task_outputs_total").unwrap_or_default();
        Ok(if outputs >= KEYS as f64 { Ok(()) } else { Err(format!("{outputs} reports")) })
    })
}
