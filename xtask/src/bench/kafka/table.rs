//! From Kafka into a table of Postgres, beside what `psql` reaches with the same rows.

use std::error::Error;

use crate::bench::kafka::Extent;
use crate::bench::kafka::Figures;
use crate::bench::kafka::bed::Bed;
use crate::bench::kafka::copied;
use crate::bench::kafka::load;
use crate::bench::kafka::progress;
use crate::bench::kafka::role::Role;
use crate::bench::report;
use crate::bench::report::Figure;
use crate::bench::report::Measurement;

const RESOURCE: &str = include_str!("table.yaml");
/// Rows that are written, and of how many things: each is written anew once.
const ROWS: u64 = 1_000_000;
const IDS: u64 = 500_000;
/// 2023-11-15T00:00:00Z in milliseconds.
const START: u64 = 1_700_006_400_000;
const MESSAGE: &str = "all sensors within their limits; the last inspection found no wear at \
                       bearings, seals and belts; next one due in spring; contact: plant office";

/// Measures a worker, and before it `psql` on one connection and on two.
pub(super) fn measure(extent: &Extent) -> Figures {
    let mut columns: [Vec<Measurement>; 3] = Default::default();
    for _ in 0..extent.repetitions.max(1) {
        let bed = Bed::start(RESOURCE)?;
        let ingest = Role::start_ready("ingest", &bed)?;
        let bytes = load::fill(&ingest, "/readings", ROWS, |number| Row::of(number).event())?;
        ingest.stop()?;
        for (column, connections) in [1, 2].into_iter().enumerate() {
            columns[column].push(copied::measure(&bed, connections, ROWS, Row::of)?);
        }
        let alone =
            columns.iter().filter_map(|column| column.last()).filter_map(|one| one.per_second);
        let best = alone.fold(0.0, f64::max);
        columns[2].push(sink(&bed, bytes, best)?);
    }
    let figure = |target, measured| Figure {
        target,
        method: format!("the same rows on the same server, median of {}", extent.repetitions),
        measurement: report::median(measured).unwrap_or_default(),
    };
    let [one, two, sink] = columns;
    Ok(vec![
        figure("", one),
        figure("", two),
        figure("80 % of `psql`, 1.5 µs of the worker's CPU a row", sink),
    ])
}

fn sink(bed: &Bed, bytes: u64, best: f64) -> Result<Measurement, Box<dyn Error>> {
    bed.postgres.sql("CHECKPOINT")?;
    let mut worker = Role::start("worker", bed)?;
    let progress = progress::follow(&mut worker, bed, |metrics| {
        let rows = metrics.sum("millrace_table_rows_written_total").unwrap_or_default();
        (rows, rows >= ROWS as f64)
    })?;
    let metrics = worker.metrics()?;
    let commits = metrics.sum("millrace_table_commits_total").unwrap_or_default();
    Ok(Measurement {
        what: format!(
            "Kafka to table, rows of 200 B, {:.0} rows a transaction: {:.0} % of `psql`",
            ROWS as f64 / commits.max(1.0),
            progress.per_second() / best * 100.0
        ),
        bytes: Some(bytes),
        acknowledged: Some("committed rows and position".to_owned()),
        ..progress.measurement()
    })
}

/// A row.
pub(super) struct Row {
    /// What it is the latest state of.
    pub(super) id: u64,
    number: u64,
}

impl Row {
    fn of(number: u64) -> Self {
        Self { id: number % IDS, number }
    }

    /// As the event that it comes from.
    fn event(&self) -> String {
        let Self { id, number } = self;
        format!(
            r#"{{"id":{id},"at":{},"device":"device-{id:09}","value":{}.25,"message":"{MESSAGE}"}}"#,
            START + number,
            number % 1000
        )
    }

    /// As a line of the input of `COPY`.
    pub(super) fn line(&self) -> String {
        let Self { id, number } = self;
        let (seconds, millis) = (number / 1000, number % 1000);
        let (minutes, seconds) = (seconds / 60, seconds % 60);
        format!(
            "{id}\t2023-11-15 00:{minutes:02}:{seconds:02}.{millis:03}+00\tdevice-{id:09}\t{}.25\t{MESSAGE}",
            number % 1000
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_and_line_say_the_same() {
        let row = Row::of(561_002);
        assert!(row.event().starts_with(
            r#"{"id":61002,"at":1700006961002,"device":"device-000061002","value":2.25,"message":"all"#
        ));
        assert!(
            row.line().starts_with(
                "61002\t2023-11-15 00:09:21.002+00\tdevice-000061002\t2.25\tall sensors"
            )
        );
    }
}
