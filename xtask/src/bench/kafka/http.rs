//! Batches over HTTP into Kafka.

use std::error::Error;
use std::thread;
use std::time::Duration;

use crate::bench::kafka::Extent;
use crate::bench::kafka::Figures;
use crate::bench::kafka::bed::Bed;
use crate::bench::kafka::load;
use crate::bench::kafka::role::Role;
use crate::bench::report;
use crate::bench::report::Figure;
use crate::bench::report::Measurement;
use crate::bench::report::Percentiles;
use crate::bench::usage::Meter;

const RESOURCE: &str = include_str!("http.yaml");
/// Connections of the client, and the time of a measurement.
const CONNECTIONS: u64 = 4;
const TIME: Duration = Duration::from_secs(10);
/// Bytes of an event.
const BYTES: usize = 768;

/// Measures the ingest process; the client is this one.
pub(super) fn measure(extent: &Extent) -> Figures {
    let mut measured = Vec::new();
    for _ in 0..extent.repetitions.max(1) {
        let bed = Bed::start(RESOURCE)?;
        measured.push(once(&bed)?);
    }
    Ok(vec![Figure {
        target: "",
        method: format!(
            "`millrace ingest`, {CONNECTIONS} connections, {} s, median of {}",
            TIME.as_secs(),
            extent.repetitions
        ),
        measurement: report::median(measured).unwrap_or_default(),
    }])
}

fn once(bed: &Bed) -> Result<Measurement, Box<dyn Error>> {
    let ingest = Role::start_ready("ingest", bed)?;
    let mut watched = vec![ingest.watched()];
    watched.extend(bed.watched());
    let bodies: Vec<String> = (0..CONNECTIONS)
        .map(|client| (0..load::BATCH).map(|event| event_of(client, event) + "\n").collect())
        .collect();
    let accepted = load::press(&ingest, "/cpu", &bodies, TIME, |time| {
        let meter = Meter::start(watched);
        thread::sleep(time);
        meter.read()
    })?;
    let processes = accepted.looked;
    let own = processes.first();
    let events = accepted.batches * load::BATCH;
    Ok(Measurement {
        what: "HTTP batches of NDJSON, validated, `millrace ingest` into Kafka, 16 partitions"
            .to_owned(),
        bytes: Some(BYTES as u64),
        batch: Some(load::BATCH),
        acknowledged: Some("answer after Kafka's confirmation (acks=all, one broker)".to_owned()),
        per_second: Some(events as f64 / accepted.seconds),
        micros: Some(Percentiles::of(accepted.micros)),
        cpu_seconds: own.map(|own| own.cpu_seconds),
        events: Some(events),
        resident_kib: own.map(|own| own.resident_kib),
        peak_kib: own.and_then(|own| own.peak_kib),
        processes,
    })
}

/// An event of [`BYTES`] bytes: a device's measurements with a dozen fields and labels.
fn event_of(client: u64, event: u64) -> String {
    let start = format!(
        r#"{{"timestamp":"2026-01-01T00:00:{:02}.{:03}Z","deviceId":"device-{client:04}-{event:05}","clientVersion":"v1.22.3","cpu":{}.5,"memory":{{"used":{},"free":1234567890,"cached":987654321}},"load":[0.71,1.25,1.5],"disk":{{"read":123456,"written":654321,"busy":12.75}},"network":{{"in":1234567,"out":7654321,"errors":0}},"temperature":51.25,"up":true,"labels":{{"site":"fra-1","rack":"r17","team":"payments","environment":"production"}},"note":""#,
        event % 60,
        event % 1000,
        event % 100,
        event * 1000 + 1_000_000,
    );
    let padding = BYTES - start.len() - 2;
    format!("{start}{}\"}}", "x".repeat(padding))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_of_one_length() {
        assert_eq!([event_of(0, 0).len(), event_of(3, 999).len()], [BYTES; 2]);
    }
}
