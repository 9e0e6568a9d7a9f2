//! Figures and their table. Every measurement says the same of itself, whoever made it.

use serde::Deserialize;
use serde::Serialize;

/// One measured figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figure {
    /// What the project wants to reach; empty where it has set nothing.
    pub(super) target: &'static str,
    /// How it was measured.
    pub(super) method: String,
    /// What was measured.
    #[serde(flatten)]
    pub(super) measurement: Measurement,
}

/// What a measurement says of itself; examples print it as a line of JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Measurement {
    /// What was measured.
    pub(super) what: String,
    /// Bytes of one event.
    pub(super) bytes: Option<u64>,
    /// Events that are handed over at once.
    pub(super) batch: Option<u64>,
    /// When an event counts as done.
    pub(super) acknowledged: Option<String>,
    /// Events per second.
    pub(super) per_second: Option<f64>,
    /// Time until an event is acknowledged.
    pub(super) micros: Option<Percentiles>,
    /// CPU time of the measured process, all threads; with the load's, where that runs in it.
    pub(super) cpu_seconds: Option<f64>,
    /// Events that this CPU time was for.
    pub(super) events: Option<u64>,
    /// Memory resident after the measurement.
    pub(super) resident_kib: Option<u64>,
    /// Most memory that was resident at once.
    pub(super) peak_kib: Option<u64>,
    /// What each process used, where there are several; servers too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) processes: Vec<ProcessUse>,
}

/// What a process used while something was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProcessUse {
    /// Its name.
    pub(super) name: String,
    /// CPU time, all threads and children.
    pub(super) cpu_seconds: f64,
    /// Memory resident at the end; of processes that share memory their shares.
    pub(super) resident_kib: u64,
    /// Most memory that was resident at once, where it is known.
    pub(super) peak_kib: Option<u64>,
}

/// Percentiles of a time, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Percentiles {
    pub(super) p50: u64,
    pub(super) p99: u64,
}

impl Percentiles {
    /// Of some times, in any order; 0 without any.
    pub(super) fn of(mut micros: Vec<u64>) -> Self {
        micros.sort_unstable();
        let percentile = |percent: usize| {
            let index = micros.len().saturating_sub(1) * percent / 100;
            micros.get(index).copied().unwrap_or_default()
        };
        Self { p50: percentile(50), p99: percentile(99) }
    }
}

/// The repetition whose rate (or p99, where there is no rate) is in the middle.
pub(super) fn median(mut repetitions: Vec<Measurement>) -> Option<Measurement> {
    let rank = |one: &Measurement| {
        one.per_second.or_else(|| one.micros.map(|m| m.p99 as f64)).unwrap_or_default()
    };
    repetitions.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
    let middle = repetitions.len() / 2;
    repetitions.into_iter().nth(middle)
}

/// The figures as a table in Markdown.
pub(super) fn table(figures: &[Figure]) -> Vec<String> {
    let mut lines = vec![
        "| what | events/s | p50 / p99 | CPU per event | memory now / most | event × batch | acknowledged | to reach |"
            .to_owned(),
        "|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    lines.extend(figures.iter().map(row));
    lines
}

/// What each process used, as a table in Markdown; nothing if no figure says it.
pub(super) fn processes(figures: &[Figure]) -> Vec<String> {
    let rows = figures.iter().flat_map(|figure| {
        let Measurement { what, events, processes, .. } = &figure.measurement;
        processes.iter().map(move |one| {
            let cpu = one.cpu_seconds;
            let per_event =
                events.map(|events| format!("{:.2} µs", cpu * 1e6 / events.max(1) as f64));
            let cells = [
                what.clone(),
                one.name.clone(),
                format!("{cpu:.2} s"),
                per_event.unwrap_or_else(|| "–".to_owned()),
                memory(one.resident_kib),
                one.peak_kib.map_or_else(|| "–".to_owned(), memory),
            ];
            format!("| {} |", cells.join(" | "))
        })
    });
    let rows: Vec<String> = rows.collect();
    if rows.is_empty() {
        return rows;
    }
    let head = "| what | process | CPU | CPU per event | memory now | memory most |";
    [head.to_owned(), "|---|---|---|---|---|---|".to_owned()].into_iter().chain(rows).collect()
}

fn row(figure: &Figure) -> String {
    let Measurement { what, bytes, batch, acknowledged, .. } = &figure.measurement;
    let one = &figure.measurement;
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let cells = [
        what.clone(),
        or_none(one.per_second.map(|rate| format!("{rate:.0}"))),
        or_none(one.micros.map(|m| format!("{} / {}", time(m.p50), time(m.p99)))),
        or_none(
            one.cpu_seconds
                .zip(one.events)
                .map(|(cpu, events)| format!("{:.2} µs", cpu * 1e6 / events.max(1) as f64)),
        ),
        match (one.resident_kib, one.peak_kib) {
            (None, None) => "–".to_owned(),
            (resident, peak) => {
                format!("{} / {}", or_none(resident.map(memory)), or_none(peak.map(memory)))
            }
        },
        or_none(bytes.map(|bytes| format!("{bytes} B × {}", batch.unwrap_or(1)))),
        or_none(acknowledged.clone()),
        figure.target.to_owned(),
    ];
    format!("| {} |", cells.join(" | "))
}

fn time(micros: u64) -> String {
    if micros < 1000 {
        format!("{micros} µs")
    } else {
        format!("{:.1} ms", micros as f64 / 1000.0)
    }
}

fn memory(kibibytes: u64) -> String {
    format!("{:.1} MiB", kibibytes as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: f64) -> Measurement {
        Measurement { per_second: Some(per_second), ..Measurement::default() }
    }

    #[test]
    fn the_repetition_in_the_middle_counts() {
        assert_eq!(median(vec![rate(3.0), rate(1.0), rate(2.0)]), Some(rate(2.0)));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let micros = (1..=200).rev().collect();
        assert_eq!(Percentiles::of(micros), Percentiles { p50: 100, p99: 198 });
        assert_eq!(Percentiles::of(Vec::new()), Percentiles { p50: 0, p99: 0 });
    }

    #[test]
    fn each_process_has_a_row_of_its_own() {
        let kafka = ProcessUse {
            name: "Kafka".into(),
            cpu_seconds: 3.0,
            resident_kib: 2048,
            peak_kib: None,
        };
        let measurement = Measurement {
            what: "restore".into(),
            events: Some(1_000_000),
            processes: vec![kafka],
            ..Measurement::default()
        };
        let figure = Figure { target: "", method: String::new(), measurement };
        let rows = processes(&[figure]);
        assert_eq!(rows[2..], ["| restore | Kafka | 3.00 s | 3.00 µs | 2.0 MiB | – |"]);
        assert!(processes(&[]).is_empty());
    }

    #[test]
    fn a_row_names_all_that_a_figure_depends_on() {
        let measurement = Measurement {
            what: "MQTT".into(),
            bytes: Some(107),
            acknowledged: Some("PUBACK".into()),
            per_second: Some(61_234.4),
            micros: Some(Percentiles { p50: 900, p99: 8400 }),
            cpu_seconds: Some(2.0),
            events: Some(100_000),
            peak_kib: Some(2048),
            ..Measurement::default()
        };
        let figure = Figure { target: "60,000/s", method: String::new(), measurement };
        assert_eq!(
            row(&figure),
            "| MQTT | 61234 | 900 µs / 8.4 ms | 20.00 µs | – / 2.0 MiB | 107 B × 1 | PUBACK | 60,000/s |"
        );
    }
}
