//! The line that shows how a simulation goes.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use millrace_simulate::Snapshot;
use millrace_simulate::Statistics;
use tokio::time::Instant;

use crate::output;

/// Between two lines: on a terminal, where the line is written over, and elsewhere.
const WATCHED: Duration = Duration::from_secs(1);
const UNWATCHED: Duration = Duration::from_secs(30);

/// Shows how a simulation goes.
pub(super) struct Progress {
    statistics: Arc<Statistics>,
    /// What is sent, in the plural.
    what: &'static str,
    before: (Instant, u64),
    watched: bool,
}

impl Progress {
    pub(super) fn new(statistics: Arc<Statistics>, what: &'static str) -> Self {
        Self { statistics, what, before: (Instant::now(), 0), watched: output::is_watched() }
    }

    /// Shows how it goes until it is over.
    pub(super) async fn watch<T>(mut self, work: impl Future<Output = T>) -> T {
        let interval = if self.watched { WATCHED } else { UNWATCHED };
        tokio::pin!(work);
        let result = loop {
            match tokio::time::timeout(interval, &mut work).await {
                Ok(result) => break result,
                Err(_) => self.show(),
            }
        };
        if self.watched {
            output::rewrite("");
        }
        result
    }

    fn show(&mut self) {
        let snapshot = self.statistics.snapshot();
        let now = Instant::now();
        let seconds = (now - self.before.0).as_secs_f64();
        // Counts of messages are far below 2^53.
        #[expect(clippy::cast_precision_loss)]
        let rate = (snapshot.acknowledged - self.before.1) as f64 / seconds;
        self.before = (now, snapshot.acknowledged);
        let line = describe(&snapshot, self.what, rate);
        if self.watched { output::rewrite(&line) } else { output::note(&line) }
    }
}

fn describe(snapshot: &Snapshot, what: &str, rate: f64) -> String {
    let mut line = format!(
        "{rate:.0} {what}/s, {} confirmed, {} errors",
        snapshot.acknowledged, snapshot.errors
    );
    let refused = snapshot.statuses.iter().filter(|(status, _)| **status >= 300);
    for (status, count) in refused {
        line.push_str(&format!(", {count} × {status}"));
    }
    if let (Some(p50), Some(p99)) = (snapshot.latency_p50_millis, snapshot.latency_p99_millis) {
        line.push_str(&format!(", confirmed in {p50:.1} ms (p50) {p99:.1} ms (p99)"));
    }
    if let Some(error) = &snapshot.last_error {
        line.push_str(&format!("; waiting: {error}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_why_nothing_moves() {
        let snapshot = Snapshot {
            acknowledged: 10,
            errors: 1,
            last_error: Some("connection refused".into()),
            ..Snapshot::default()
        };
        assert_eq!(
            describe(&snapshot, "messages", 0.0),
            "0 messages/s, 10 confirmed, 1 errors; waiting: connection refused"
        );
    }
}
