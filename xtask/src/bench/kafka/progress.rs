//! How fast a worker does what waits for it.

use std::error::Error;
use std::time::Instant;

use crate::bench::kafka::bed::Bed;
use crate::bench::kafka::role::Metrics;
use crate::bench::kafka::role::Role;
use crate::bench::report::Measurement;
use crate::bench::report::ProcessUse;
use crate::bench::usage::Meter;

/// What a worker did between its first result and its last.
pub(super) struct Progress {
    events: f64,
    seconds: f64,
    processes: Vec<ProcessUse>,
}

/// Follows a worker until it has done everything. `done` says how much it has done and whether that
/// is all. The time until its first result, in which it starts, does not count.
pub(super) fn follow(
    worker: &mut Role,
    bed: &Bed,
    done: impl Fn(&Metrics) -> (f64, bool),
) -> Result<Progress, Box<dyn Error>> {
    let (first, begun) = worker.until("the first result", |worker| {
        let (first, _) = done(&worker.metrics()?);
        Ok(if first > 0.0 { Ok((first, Instant::now())) } else { Err("nothing is done".into()) })
    })?;
    let mut watched = vec![worker.watched()];
    watched.extend(bed.watched());
    let meter = Meter::start(watched);
    worker.until("the last result", |worker| {
        let (last, is_all) = done(&worker.metrics()?);
        if !is_all {
            return Ok(Err(format!("{last} are done")));
        }
        let seconds = begun.elapsed().as_secs_f64();
        Ok(Ok(Progress { events: last - first, seconds, processes: meter.read()? }))
    })
}

impl Progress {
    /// Events per second.
    pub(super) fn per_second(&self) -> f64 {
        self.events / self.seconds
    }

    /// The same as a measurement, of which the rest is to be said.
    pub(super) fn measurement(self) -> Measurement {
        let worker = self.processes.first();
        Measurement {
            per_second: Some(self.per_second()),
            cpu_seconds: worker.map(|worker| worker.cpu_seconds),
            resident_kib: worker.map(|worker| worker.resident_kib),
            peak_kib: worker.and_then(|worker| worker.peak_kib),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            events: Some(self.events as u64),
            processes: self.processes,
            ..Measurement::default()
        }
    }
}
