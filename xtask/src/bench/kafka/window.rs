//! Windows from Kafka to Kafka, in transactions.

use std::error::Error;

use crate::bench::kafka::Extent;
use crate::bench::kafka::Figures;
use crate::bench::kafka::bed::Bed;
use crate::bench::kafka::load;
use crate::bench::kafka::progress;
use crate::bench::kafka::role::Metrics;
use crate::bench::kafka::role::Role;
use crate::bench::report;
use crate::bench::report::Figure;
use crate::bench::report::Measurement;

const RESOURCE: &str = include_str!("window.yaml");
const TUMBLING: &str = "tumbling: 10s";
const HOPPING: &str = "hopping: {size: 1m, every: 1s}";

const EVENTS: u64 = 2_000_000;
const DEVICES: u64 = 10_000;
/// Events per second of event time.
const RATE: u64 = 100_000;
const START: u64 = 1_700_000_000_000;

/// Measures the worker, for windows that follow and for windows that overlap.
pub(super) fn measure(extent: &Extent) -> Figures {
    let mut figures = Vec::new();
    for span in [TUMBLING, HOPPING] {
        let mut measured = Vec::new();
        for _ in 0..extent.repetitions.max(1) {
            let bed = Bed::start(&RESOURCE.replace(TUMBLING, span))?;
            measured.push(once(&bed, span)?);
        }
        figures.push(Figure {
            target: "200,000/s per core on the embedded log",
            method: format!(
                "`millrace worker` from a filled topic, median of {}",
                extent.repetitions
            ),
            measurement: report::median(measured).unwrap_or_default(),
        });
    }
    Ok(figures)
}

fn once(bed: &Bed, span: &str) -> Result<Measurement, Box<dyn Error>> {
    let ingest = Role::start_ready("ingest", bed)?;
    let bytes = load::fill(&ingest, "/measurements", EVENTS, event)?;
    ingest.stop()?;
    let mut worker = Role::start("worker", bed)?;
    let progress = progress::follow(&mut worker, bed, |metrics| done(metrics, EVENTS))?;
    let outputs = worker.metrics()?.sum("millrace_task_outputs_total").unwrap_or_default();
    Ok(Measurement {
        what: format!(
            "Kafka to Kafka in transactions, {DEVICES} groups, {span}, {:.2} reports for an event",
            outputs / EVENTS as f64
        ),
        bytes: Some(bytes),
        acknowledged: Some("committed results, state and positions".to_owned()),
        ..progress.measurement()
    })
}

/// How much tasks have read, and whether that is everything.
pub(super) fn done(metrics: &Metrics, events: u64) -> (f64, bool) {
    let read = metrics.sum("millrace_task_records_read_total").unwrap_or_default();
    (read, read >= events as f64)
}

/// The event of a number: about 200 bytes. Devices take turns in an order that looks random.
pub(super) fn event(number: u64) -> String {
    let device = number.wrapping_mul(6_364_136_223_846_793_005) >> 33;
    of_device(device % DEVICES, START + number * 1000 / RATE, number)
}

/// The event of a device.
pub(super) fn of_device(device: u64, timestamp: u64, number: u64) -> String {
    format!(
        r#"{{"device":"device-{device:07}","timestamp":{timestamp},"value":{}.25,"unit":"celsius","site":"plant-{}","firmware":"4.12.{}","battery":{},"status":"ok","message":"all sensors within their limits"}}"#,
        number % 1000,
        device % 17,
        device % 10,
        number % 101,
    )
}
