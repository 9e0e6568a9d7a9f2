//! Batches over HTTP into Kafka.

use std::error::Error;
use std::io::BufRead as _;
use std::io::BufReader;
use std::process::Command;
use std::process::Stdio;

use crate::bench::kafka::Extent;
use crate::bench::kafka::Figures;
use crate::bench::kafka::bed::Bed;
use crate::bench::kafka::role::Role;
use crate::bench::report;
use crate::bench::report::Figure;
use crate::bench::report::Measurement;
use crate::bench::usage::Meter;
use crate::workspace;

const RESOURCE: &str = include_str!("http.yaml");
/// Connections of the client, and seconds of a measurement.
const CONNECTIONS: &str = "4";
const SECONDS: &str = "10";

/// Measures the ingest process; the client is another one, the example `http_bench`.
pub(super) fn measure(extent: &Extent) -> Figures {
    let mut measured = Vec::new();
    for _ in 0..extent.repetitions.max(1) {
        let bed = Bed::start(RESOURCE)?;
        measured.push(once(&bed)?);
    }
    Ok(vec![Figure {
        target: "",
        method: format!(
            "`millrace ingest`, {CONNECTIONS} connections of example http_bench, median of {}",
            extent.repetitions
        ),
        measurement: report::median(measured).unwrap_or_default(),
    }])
}

fn once(bed: &Bed) -> Result<Measurement, Box<dyn Error>> {
    let ingest = Role::start_ready("ingest", bed)?;
    let mut client = Command::new(workspace::example("http_bench"))
        .args(["client", "batches", ingest.address("url"), CONNECTIONS, SECONDS])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut watched = vec![ingest.watched(), ("client".to_owned(), client.id())];
    watched.extend(bed.watched());
    let output = client.stdout.take().ok_or("the client has no output")?;
    let mut lines = BufReader::new(output).lines();
    let mut line =
        || -> Result<String, Box<dyn Error>> { Ok(lines.next().ok_or("the client ended early")??) };
    // The client writes a line when it begins to measure and one when it ends.
    line()?;
    let meter = Meter::start(watched);
    let result = line()?;
    let processes = meter.read();
    client.wait()?;
    let processes = processes?;
    let result: Measurement = serde_json::from_str(&result)?;
    let own = processes.first();
    Ok(Measurement {
        what: "HTTP batches of NDJSON, validated, `millrace ingest` into Kafka, 16 partitions"
            .to_owned(),
        acknowledged: Some("answer after Kafka's confirmation (acks=all, one broker)".to_owned()),
        cpu_seconds: own.map(|own| own.cpu_seconds),
        resident_kib: own.map(|own| own.resident_kib),
        peak_kib: own.and_then(|own| own.peak_kib),
        processes,
        ..result
    })
}
