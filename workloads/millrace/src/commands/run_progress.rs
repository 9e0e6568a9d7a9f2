//! What `millrace run --until-end` shows: how far it has come, and what came out.

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_ingest::FeedProgress;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::output;
use crate::process::storage::Storage;
use crate::process::until_end::EndProgress;

/// Between two lines: on a terminal, where the line is written over, and elsewhere.
const WATCHED: Duration = Duration::from_millis(500);
const UNWATCHED: Duration = Duration::from_secs(10);

/// Shows progress until its sender is gone.
pub(super) async fn show(progress: watch::Receiver<EndProgress>) {
    let watched = output::is_watched();
    let interval = if watched { WATCHED } else { UNWATCHED };
    let begin = Instant::now();
    let mut before = (begin, EndProgress::default());
    loop {
        let closed = {
            let mut progress = progress.clone();
            async move { while progress.changed().await.is_ok() {} }
        };
        if tokio::time::timeout(interval, closed).await.is_ok() {
            break;
        }
        let now = Instant::now();
        let current = *progress.borrow();
        let line = describe(&current, &before.1, now - before.0, now - begin);
        before = (now, current);
        if watched { output::rewrite(&line) } else { output::note(&line) }
    }
    if watched {
        output::rewrite("");
    }
}

// Counts of records and bytes are far below 2^53.
#[expect(clippy::cast_precision_loss)]
fn describe(now: &EndProgress, before: &EndProgress, between: Duration, since: Duration) -> String {
    let records = now.fed.lines.saturating_sub(before.fed.lines) as f64;
    let mut line = format!("{:.0} records/s", records / between.as_secs_f64());
    if now.input_bytes > 0 {
        let part = now.fed.bytes as f64 / now.input_bytes as f64;
        line.push_str(&format!(", {:.0} % of the input", part * 100.0));
        if part > 0.0 && part < 1.0 {
            let left = since.as_secs_f64() * (1.0 - part) / part;
            line.push_str(&format!(", about {left:.0} s left"));
        }
    }
    if now.lag > 0 {
        line.push_str(&format!(", {} records to compute", now.lag));
    }
    line
}

/// What came out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    pipeline: String,
    seconds: f64,
    lines: u64,
    refused: u64,
    streams: BTreeMap<String, i64>,
}

impl Summary {
    /// What a storage holds now.
    pub(super) fn of(storage: &Storage, fed: FeedProgress, elapsed: Duration) -> Self {
        let streams = storage.plan.streams.iter().map(|stream| {
            let ends = (0..stream.partitions)
                .filter_map(|partition| storage.log.partition_info(&stream.name, partition).ok());
            (stream.name.to_string(), ends.map(|info| info.end - info.start).sum())
        });
        Self {
            pipeline: storage.plan.pipeline.clone(),
            seconds: elapsed.as_secs_f64(),
            lines: fed.lines,
            refused: fed.refused,
            streams: streams.collect(),
        }
    }

    /// A few lines for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{} is computed to the end of its input in {:.1} s: {} messages in, {} of them refused.",
            self.pipeline, self.seconds, self.lines, self.refused
        )];
        let rows: Vec<_> = self
            .streams
            .iter()
            .map(|(name, entries)| vec![format!("  {name}"), entries.to_string()])
            .collect();
        lines.extend(output::columns(&rows));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_rate_share_and_time_left() {
        let before = EndProgress { input_bytes: 1000, ..EndProgress::default() };
        let fed = FeedProgress { lines: 500, bytes: 250, refused: 0 };
        let now = EndProgress { fed, input_bytes: 1000, lag: 7 };
        assert_eq!(
            describe(&now, &before, Duration::from_secs(5), Duration::from_secs(5)),
            "100 records/s, 25 % of the input, about 15 s left, 7 records to compute"
        );
    }
}
