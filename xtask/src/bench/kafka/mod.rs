//! Figures over Kafka and Postgres: real servers of their own, and the processes of a pipeline.

mod bed;
mod copied;
mod http;
mod idle;
mod load;
mod progress;
mod race;
mod restore;
mod role;
mod table;
mod window;

use std::error::Error;

use crate::bench::report::Figure;

/// What one target's measurement returns.
type Figures = Result<Vec<Figure>, Box<dyn Error>>;

/// A target: a name, and how it is measured.
pub(super) struct Target {
    /// Its name.
    pub(super) name: &'static str,
    measure: fn(&Extent) -> Figures,
}

/// How much is measured.
pub(super) struct Extent {
    /// How often; the middle counts.
    pub(super) repetitions: usize,
    /// Seconds of the race of which latencies are taken.
    pub(super) race_seconds: u64,
}

/// All targets.
pub(super) const ALL: [Target; 6] = [
    Target { name: "kafka-idle", measure: idle::measure },
    Target { name: "kafka-http", measure: http::measure },
    Target { name: "kafka-postgres", measure: table::measure },
    Target { name: "kafka-window", measure: window::measure },
    Target { name: "kafka-race", measure: race::measure },
    Target { name: "kafka-restore", measure: restore::measure },
];

impl Target {
    /// Measures it.
    pub(super) fn measure(&self, extent: &Extent) -> Figures {
        (self.measure)(extent)
    }
}
