//! Records silence: after a stream's `idle` without input, a partition gets a mark that lets
//! event time go on without it.
//!
//! The mark is part of the log from then on, so that a replay needs no clock. None is written
//! while `--until-end` runs: there the end of input releases everything.
//!
//! Only what could have been heard is silence: not the time in which an input is on its way into the
//! log, nor that in which this process did not get to run, nor that of which the log does not know
//! yet what others have appended.
//!
//! Several processes may watch a stream. Each knows the marks of the others for what they are, so
//! that all see the same silence; a mark that two of them write says the same twice.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::select_all;
use millrace_core::Mark;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_log::Append;
use millrace_log::AppendError;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::PartitionInfo;
use millrace_log::ReadError;
use millrace_log::ReadLimit;
use millrace_plan::Plan;
use millrace_plan::model::StreamOrigin;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::acceptor::Acceptor;

/// How long after a start clients may take to come back before their silence counts.
pub const RECONNECT_GRACE: Duration = Duration::from_secs(10);

/// Silence is noticed at most this share of `idle` late.
const CHECKS_PER_IDLE: u32 = 10;

/// Shortest time between two checks.
const MIN_CHECK: Duration = Duration::from_millis(5);

/// So many new entries of a partition are looked at, whether all of them are marks. More are taken
/// for input.
const LOOKED_AT: Offset = 16;

/// So many entries before the end say how far a partition has come whose entries were not looked at.
const LAST_ENTRIES: Offset = 64;

/// Time between two looks whether the log accepts again.
const CHECK_WRITABLE: Duration = Duration::from_millis(100);

/// How long input that was held may take to come once the log accepts again: the longest wait
/// between two tries of an append.
const HELD_INPUT: Duration = Duration::from_secs(1);

/// Watches the ingested streams of a plan that declare `idle`.
pub struct IdleWatcher {
    streams: Vec<Watched>,
}

/// One stream and what is known of it.
struct Watched {
    log: Arc<dyn Log>,
    acceptor: Acceptor,
    stream: StreamName,
    disorder: i64,
    idle: Duration,
    heartbeat: bool,
    partitions: Vec<Silence>,
}

/// How long a partition has been silent.
#[derive(Debug, Clone, Copy)]
struct Silence {
    /// Everything below is known: input and marks.
    end: Offset,
    /// When the last input was seen, or the end of the reconnect grace if that is later.
    since: Instant,
    /// Whether entries below `end` were not looked at.
    has_gap: bool,
    /// Highest event time of the entries that were looked at.
    highest_event_time: Option<i64>,
    /// Highest watermark of the marks among them.
    highest_mark: Option<i64>,
}

impl Silence {
    /// Of a partition of which nothing is known.
    const fn unknown(since: Instant) -> Self {
        Self {
            end: Offset::MIN,
            since,
            has_gap: true,
            highest_event_time: None,
            highest_mark: None,
        }
    }

    /// Takes note of entries; whether there is input among them.
    fn look_at(&mut self, entries: &[(Offset, Entry)]) -> bool {
        let mut has_input = false;
        for (_, entry) in entries {
            match entry {
                Entry::Record(record) => {
                    has_input = true;
                    self.highest_event_time = self.highest_event_time.max(Some(record.event_time));
                }
                Entry::Mark(Mark::Idle { watermark } | Mark::Task { watermark, .. }) => {
                    self.highest_mark = self.highest_mark.max(Some(*watermark));
                }
            }
        }
        has_input
    }
}

/// A mark that could not be written.
#[derive(Debug, thiserror::Error)]
enum MarkIdleError {
    #[error("cannot look at stream `{stream}`")]
    Look { stream: StreamName, source: ReadError },
    #[error("cannot mark stream `{stream}` as idle")]
    Mark { stream: StreamName, source: AppendError },
}

impl IdleWatcher {
    /// A watcher of all streams of the plan that declare `idle`; `acceptor` is what their events
    /// come in by.
    #[must_use]
    pub fn new(plan: &Plan, log: &Arc<dyn Log>, acceptor: &Acceptor) -> Self {
        let streams = plan
            .streams
            .iter()
            .filter_map(|stream| {
                let StreamOrigin::Ingested(ingested) = &stream.origin else { return None };
                Some(Watched {
                    log: Arc::clone(log),
                    acceptor: acceptor.clone(),
                    stream: stream.name.clone(),
                    disorder: i64::try_from(ingested.disorder.as_millis()).unwrap_or(i64::MAX),
                    idle: ingested.idle?,
                    heartbeat: ingested.heartbeat,
                    partitions: vec![
                        Silence::unknown(Instant::now());
                        usize::try_from(stream.partitions).unwrap_or_default()
                    ],
                })
            })
            .collect();
        Self { streams }
    }

    /// Watches until cancelled. The reconnect grace begins now.
    pub async fn run(self, cancel: CancellationToken) {
        let tasks = TaskTracker::new();
        for stream in self.streams {
            let cancel = cancel.clone();
            tasks.spawn(async move { cancel.run_until_cancelled(stream.watch()).await });
        }
        tasks.close();
        tasks.wait().await;
    }
}

impl Watched {
    async fn watch(mut self) {
        let counts_from = Instant::now() + RECONNECT_GRACE;
        for partition in &mut self.partitions {
            *partition = Silence::unknown(counts_from);
        }
        tokio::time::sleep_until(counts_from).await;
        let mut failing = false;
        loop {
            let checked = match self.log.check_writable().await {
                Ok(()) => self.check(counts_from).await,
                Err(source) => Err(self.cannot_mark(source)),
            };
            match checked {
                Ok(Quiet::Settled) => self.input().await,
                Ok(Quiet::Until(deadline)) => {
                    tokio::time::sleep_until(deadline).await;
                    // Who did not get to run has not listened.
                    let deaf = deadline.elapsed();
                    for partition in &mut self.partitions {
                        partition.since += deaf;
                    }
                }
                Err(error) => {
                    if !failing {
                        warn!(
                            message = "Failed to record the silence of a stream; trying again.",
                            error = &error as &dyn std::error::Error
                        );
                    }
                    failing = true;
                    tokio::time::sleep(CHECK_WRITABLE).await;
                    // What came meanwhile is held by those who confirm it and comes once the log
                    // accepts: a stream that could not take input was not silent.
                    let since = Instant::now() + HELD_INPUT;
                    for partition in &mut self.partitions {
                        partition.since = partition.since.max(since);
                    }
                    continue;
                }
            }
            failing = false;
        }
    }

    /// Looks at every partition once and marks those that are silent.
    async fn check(&mut self, counts_from: Instant) -> Result<Quiet, MarkIdleError> {
        let now = Instant::now();
        let cannot_look = |source| MarkIdleError::Look { stream: self.stream.clone(), source };
        let mut infos = Vec::with_capacity(self.partitions.len());
        let mut silent = Vec::with_capacity(self.partitions.len());
        for (partition, silence) in (0..).zip(&mut self.partitions) {
            // Asked before the log is: what was appended meanwhile is then found there.
            if self.acceptor.is_appending(&self.stream, partition) {
                silence.since = silence.since.max(now);
            }
            let age = self.log.end_age(&self.stream, partition).map_err(cannot_look)?;
            let looked = look(&*self.log, &self.stream, partition, silence, now.max(counts_from));
            let mut info = looked.await.map_err(cannot_look)?;
            let mut is_silent = info.end <= silence.end && now >= silence.since + self.idle + age;
            if is_silent && silence.has_gap {
                // Others may have written what this process has not seen.
                let from = silence.end.saturating_sub(LAST_ENTRIES).max(info.start);
                let looked = look_back(&*self.log, &self.stream, partition, silence, from);
                is_silent = looked.await.map_err(cannot_look)?;
            }
            info.highest_event_time = info.highest_event_time.max(silence.highest_event_time);
            info.highest_mark = info.highest_mark.max(silence.highest_mark);
            infos.push(info);
            silent.push(is_silent);
        }
        let marks = marks(&infos, &silent, self.disorder, self.heartbeat);
        if !marks.is_empty() {
            self.append(&marks).await?;
        }
        if silent.iter().all(|silent| *silent) {
            return Ok(Quiet::Settled);
        }
        // Input is seen when it is looked for, so that looking seldom would stretch `idle`.
        let next = now + (self.idle / CHECKS_PER_IDLE).max(MIN_CHECK);
        let deadlines = self.partitions.iter().map(|p| p.since + self.idle).filter(|d| *d > now);
        Ok(Quiet::Until(deadlines.fold(next, Instant::min)))
    }

    async fn append(&mut self, marks: &[(usize, i64)]) -> Result<(), MarkIdleError> {
        let entries = marks.iter().map(|(partition, watermark)| Append {
            stream: self.stream.clone(),
            partition: Partition::try_from(*partition).unwrap_or_default(),
            entry: Entry::Mark(Mark::Idle { watermark: *watermark }),
        });
        let offsets =
            self.log.append(entries.collect()).await.map_err(|source| self.cannot_mark(source))?;
        for ((partition, _), offset) in marks.iter().zip(offsets) {
            let silence = &mut self.partitions[*partition];
            // What came before the mark is looked at by the next check.
            if offset == silence.end {
                silence.end += 1;
            }
        }
        Ok(())
    }

    fn cannot_mark(&self, source: AppendError) -> MarkIdleError {
        MarkIdleError::Mark { stream: self.stream.clone(), source }
    }

    /// Waits for an entry that is not known yet.
    async fn input(&self) {
        let followed = (0..).zip(&self.partitions).filter_map(|(partition, silence)| {
            let mut end = self.log.follow(&self.stream, partition).ok()?;
            let known = silence.end;
            Some(async move { end.wait_for(|end| *end > known).await.map(drop) }.boxed())
        });
        let followed: Vec<_> = followed.collect();
        // A closed log ends the followers; the next check reports it.
        if !followed.is_empty() {
            let _ = select_all(followed).await;
        }
    }
}

/// Looks at what is new in a partition: whether it is input.
async fn look(
    log: &dyn Log,
    stream: &StreamName,
    partition: Partition,
    silence: &mut Silence,
    now: Instant,
) -> Result<PartitionInfo, ReadError> {
    let info = log.partition_info(stream, partition)?;
    if silence.end == Offset::MIN {
        silence.end = info.end;
    }
    let new = info.end - silence.end;
    if new > LOOKED_AT {
        silence.since = silence.since.max(now);
        silence.end = info.end;
        silence.has_gap = true;
    } else if new > 0 {
        let entries = usize::try_from(new).unwrap_or_default();
        let limit = ReadLimit { entries, ..ReadLimit::default() };
        let batch = log.read(stream, partition, silence.end, limit).await?;
        if silence.look_at(&batch.entries) {
            silence.since = silence.since.max(now);
        }
        // What the log does not give yet is looked at by the next check.
        silence.end = silence.end.max(batch.next);
    }
    Ok(info)
}

/// Looks at the last entries of a partition of which some were not looked at; whether all of these
/// could be read.
async fn look_back(
    log: &dyn Log,
    stream: &StreamName,
    partition: Partition,
    silence: &mut Silence,
    mut from: Offset,
) -> Result<bool, ReadError> {
    while from < silence.end {
        let batch = log.read(stream, partition, from, ReadLimit::default()).await?;
        if batch.next <= from {
            return Ok(false);
        }
        silence.look_at(&batch.entries);
        from = batch.next;
    }
    silence.has_gap = false;
    Ok(true)
}

/// When to look again.
enum Quiet {
    /// Everything is silent and marked: at the next input.
    Settled,
    /// At this time.
    Until(Instant),
}

/// The watermark that each silent partition gets: the highest event time of the others less
/// `disorder`, or one more than the highest of all if all are silent and the stream has a
/// heartbeat. A mark never takes a partition back.
fn marks(
    infos: &[PartitionInfo],
    silent: &[bool],
    disorder: i64,
    heartbeat: bool,
) -> Vec<(usize, i64)> {
    let highest = |except: Option<usize>| {
        let others = infos.iter().enumerate().filter(|(i, _)| Some(*i) != except);
        others.filter_map(|(_, info)| info.highest_event_time).max()
    };
    let all_silent = silent.iter().all(|silent| *silent);
    let mut marks = Vec::new();
    for (partition, info) in infos.iter().enumerate().filter(|(i, _)| silent[*i]) {
        let watermark = if all_silent && heartbeat {
            highest(None).map(|time| time.saturating_add(1))
        } else {
            highest(Some(partition)).map(|time| time.saturating_sub(disorder))
        };
        let current = info
            .highest_event_time
            .map(|time| time.saturating_sub(disorder))
            .max(info.highest_mark);
        if let Some(watermark) = watermark
            && Some(watermark) > current
        {
            marks.push((partition, watermark));
        }
    }
    marks
}
