//! The race end to end over ingest, worker and query: from the arrival of the record that releases
//! an event to the delivery of that event by MQTT.

use crate::bench::kafka::Extent;
use crate::bench::kafka::Figures;
use crate::bench::kafka::bed;
use crate::bench::kafka::bed::Bed;
use crate::bench::kafka::role::Role;
use crate::bench::race;
use crate::bench::report::Figure;
use crate::bench::report::Measurement;
use crate::bench::report::Percentiles;
use crate::bench::usage::Meter;

/// Measures for so many seconds at 30 messages a second.
pub(super) fn measure(extent: &Extent) -> Figures {
    let seconds = extent.race_seconds;
    let bed = Bed::start(&bed::example("race.yaml")?)?;
    let mut roles = Vec::new();
    for role in ["ingest", "worker", "query"] {
        roles.push(Role::start_ready(role, &bed)?);
    }
    let address = roles[0].url("mqtt").parse()?;
    let mut watched: Vec<_> = roles.iter().map(Role::watched).collect();
    watched.extend(bed.watched());
    let meter = Meter::start(watched);
    let latencies = race::latencies_at(&address, seconds)?;
    let processes = meter.read()?;
    let own = processes.iter().take(roles.len());
    Ok(vec![Figure {
        target: "p99 < 100 ms",
        method: format!("release program, QoS 1, {seconds} s; the client is part of the times"),
        measurement: Measurement {
            what: format!(
                "race end to end over Kafka, 30 messages/s, {} deliveries: from the releasing \
                 record's sending to delivery by MQTT; CPU of ingest, worker and query together",
                latencies.len()
            ),
            bytes: Some(race::MESSAGE_BYTES),
            batch: Some(1),
            acknowledged: Some("delivery of the result".to_owned()),
            micros: Some(Percentiles::of(latencies)),
            cpu_seconds: Some(own.map(|one| one.cpu_seconds).sum()),
            events: Some(seconds * 30),
            processes,
            ..Measurement::default()
        },
    }])
}
