//! The archive of one stream: all its partitions into the same files.
//!
//! One task reads a stream, however many partitions it has, so that a stream of a hundred
//! partitions does not become a hundred small files. A range ends `every` after its first event was
//! seen, at `maxEvents`, or at [`MAX_RANGE_BYTES`]; nothing is held in memory before that. Late
//! events go to the file of their hour like all others.

use std::sync::Arc;
use std::time::Duration;

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_core::with_causes;
use millrace_log::Log;
use millrace_observe::Component;
use millrace_observe::State;
use millrace_plan::model::ArchiveSink;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::error;
use tracing::warn;

use crate::error::ArchiveError;
use crate::error::RunArchiveError;
use crate::files::Before;
use crate::files::Files;
use crate::layout::FileNames;
use crate::metrics::ArchiveMetrics;
use crate::parquet::Shape;
use crate::progress::Intent;
use crate::progress::Progress;
use crate::range;
use crate::range::RangeLimit;
use crate::store::OpenStore;
use crate::store::OpenStores;

/// Memory that the events of a range take at most.
const MAX_RANGE_BYTES: usize = 128 << 20;

/// How often a stream's ends are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Pauses between attempts that fail.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Attempts that may fail one after another where the archive is to come to an end.
const ATTEMPTS_UNTIL_END: u32 = 8;

/// How long an archive that was taken over waits to be told that it is elsewhere.
const FENCED_PAUSE: Duration = Duration::from_secs(1);

/// How long the end of a log that several processes write may take to be known here.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// The stage, as the log names tasks, that keeps how far the archive of a stream is.
pub(crate) fn stage_of(sink: &str, generation: i32, stream: &StreamName) -> String {
    format!("sink.{sink}.{generation}.{stream}")
}

/// The archive of one stream.
#[derive(Clone)]
pub(crate) struct Archiver {
    pub(crate) sink: Arc<ArchiveSink>,
    pub(crate) name: String,
    pub(crate) generation: i32,
    pub(crate) stream: StreamName,
    pub(crate) partitions: Partition,
    pub(crate) shape: Arc<Shape>,
    pub(crate) log: Arc<dyn Log>,
    /// Whether nobody else can ever have the archive.
    pub(crate) is_ours_alone: bool,
    pub(crate) stores: Arc<dyn OpenStores>,
    /// One range of a sink is in memory at a time.
    pub(crate) memory: Arc<Semaphore>,
    pub(crate) component: Arc<Component>,
    pub(crate) metrics: ArchiveMetrics,
    /// Becomes true when nothing more will be appended; none: that never happens.
    pub(crate) upstream_finished: Option<watch::Receiver<bool>>,
}

/// Attempts that have failed one after another.
#[derive(Default)]
struct Failures {
    count: u32,
}

impl Archiver {
    /// Archives until cancelled, or to the end of what comes from upstream.
    pub(crate) async fn run(self, cancel: CancellationToken) -> Result<(), RunArchiveError> {
        // Whatever is broken off here is an attempt that the intent repeats.
        match cancel.run_until_cancelled(self.archive()).await {
            None | Some(Ok(())) => {
                self.component.set(State::Finished);
                Ok(())
            }
            Some(Err(source)) => {
                let (sink, stream) = (self.name.clone(), self.stream.to_string());
                let failure = RunArchiveError { sink, stream, source };
                let reason = with_causes(&failure);
                error!(message = "An archive has stopped.", error = reason);
                self.component.set(State::Failed(reason));
                Err(failure)
            }
        }
    }

    async fn archive(&self) -> Result<(), ArchiveError> {
        let mut failures = Failures::default();
        let mut progress = self.claimed(&mut failures).await?;
        let mut ends = Vec::new();
        for partition in 0..self.partitions {
            ends.push(self.log.follow(&self.stream, partition)?);
        }
        let mut store = None;
        let mut target = progress.next.clone();
        loop {
            match self.step(&mut store, &mut progress, &target).await {
                Ok(true) => {
                    failures = Failures::default();
                    self.component.set(State::Running);
                    match self.due(&ends, &progress.next).await {
                        Some(ends) => target = ends,
                        None => return Ok(()),
                    }
                }
                Ok(false) => {
                    failures = Failures::default();
                    self.component.set(State::Running);
                    self.component.set_lag(behind(&current(&ends), &progress.next));
                }
                Err(error) => {
                    // With the next attempt credentials are read again.
                    store = None;
                    let is_fenced = error.is_fenced();
                    self.failed(error, &mut failures).await?;
                    if is_fenced {
                        progress = self.claimed(&mut failures).await?;
                        target.clone_from(&progress.next);
                    }
                }
            }
        }
    }

    /// Takes the archive over, as soon as that is possible.
    async fn claimed(&self, failures: &mut Failures) -> Result<Progress, ArchiveError> {
        loop {
            match self.claim().await {
                Ok(progress) => return Ok(progress),
                Err(error) => self.failed(error, failures).await?,
            }
        }
    }

    async fn claim(&self) -> Result<Progress, ArchiveError> {
        let stage = stage_of(&self.name, self.generation, &self.stream);
        let partitions = usize::try_from(self.partitions).unwrap_or_default();
        let progress = Progress::claim(&self.log, stage, &self.stream, partitions).await?;
        for (partition, position) in (0..).zip(&progress.next) {
            if !self.is_ours_alone {
                // Others may have written what is not known here yet. What comes of it is seen below.
                let mut end = self.log.follow(&self.stream, partition)?;
                let reached = end.wait_for(|end| end >= position);
                let _ = tokio::time::timeout(END_PATIENCE, reached).await;
            }
            let end = self.log.partition_info(&self.stream, partition)?.end;
            if *position > end {
                return Err(ArchiveError::AnotherLog { partition, position: *position, end });
            }
        }
        Ok(progress)
    }

    /// One range towards the target, a begun one first; true when the target is reached.
    async fn step(
        &self,
        open: &mut Option<OpenStore>,
        progress: &mut Progress,
        target: &[Offset],
    ) -> Result<bool, ArchiveError> {
        let store = match open {
            Some(store) => store,
            None => open.insert(self.stores.open().await?),
        };
        if progress.intent.is_none() && behind(target, &progress.next) == 0 {
            return Ok(true);
        }
        // A closed semaphore would only mean that memory is not counted.
        let _memory = self.memory.acquire().await.ok();
        let started = Instant::now();
        let mut before = Before::Nothing;
        let range = if let Some(intent) = &progress.intent {
            let all = RangeLimit { events: usize::MAX, bytes: usize::MAX };
            let mut range =
                range::read(&self.log, &self.stream, &progress.next, &intent.to, all).await?;
            before = if range.lost > 0 { Before::AttemptedFromMore } else { Before::Attempted };
            range.to.clone_from(&intent.to);
            range
        } else {
            let limit = RangeLimit { events: self.sink.max_events, bytes: MAX_RANGE_BYTES };
            range::read(&self.log, &self.stream, &progress.next, target, limit).await?
        };
        if range.lost > 0 {
            self.metrics.lost.inc_by(range.lost);
            warn!(
                message = "The stream's retention has removed entries before they were archived.",
                sink = self.name,
                stream = %self.stream,
                offsets = range.lost
            );
        }
        if progress.intent.is_none() {
            if range.rows.is_empty() {
                progress.skip(range.to).await?;
                return Ok(behind(target, &progress.next) == 0);
            }
            let intent = Intent { to: range.to.clone(), format: self.sink.format };
            progress.intend(intent).await?;
        }
        let events = range.rows.len() as u64;
        let names = FileNames {
            prefix: store.prefix.clone(),
            sink: self.name.clone(),
            generation: self.generation,
            stream: self.stream.to_string(),
            log: progress.log,
        };
        let format = progress.intent.as_ref().map_or(self.sink.format, |intent| intent.format);
        let files = Files {
            address: &self.sink.store,
            store,
            names: &names,
            shape: &self.shape,
            range: progress.range,
            format,
            before,
        };
        let written = files.write(range.rows).await?;
        progress.finish(range.to).await?;
        self.metrics.files.inc_by(written.files);
        self.metrics.bytes.inc_by(written.bytes);
        self.metrics.events.inc_by(events);
        self.metrics.seconds.inc_by(started.elapsed().as_secs_f64());
        Ok(behind(target, &progress.next) <= 0)
    }

    /// Waits until a range is due and says where it ends; none at the end of everything.
    async fn due(&self, ends: &[watch::Receiver<Offset>], next: &[Offset]) -> Option<Vec<Offset>> {
        let max_events = i64::try_from(self.sink.max_events).unwrap_or(i64::MAX);
        let mut finished = self.upstream_finished.clone();
        let mut first_seen = None;
        loop {
            // Asked before the ends: what was appended before upstream finished is then seen.
            let is_finished = finished.as_ref().is_some_and(|finished| *finished.borrow());
            let ends = current(ends);
            let pending = behind(&ends, next);
            self.component.set_lag(pending);
            let mut wait = LOOK_EVERY;
            if pending > 0 {
                let age = first_seen.get_or_insert_with(Instant::now).elapsed();
                if is_finished || age >= self.sink.every || pending >= max_events {
                    return Some(ends);
                }
                wait = wait.min(self.sink.every.saturating_sub(age));
            } else if is_finished {
                return None;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = finishing(&mut finished) => {}
            }
        }
    }

    /// Says what has failed and pauses, or gives up.
    async fn failed(
        &self,
        error: ArchiveError,
        failures: &mut Failures,
    ) -> Result<(), ArchiveError> {
        failures.count += 1;
        let is_over = self.upstream_finished.is_some() && failures.count >= ATTEMPTS_UNTIL_END;
        let is_over = is_over || error.is_fenced() && self.is_ours_alone;
        if error.is_final() || is_over {
            return Err(error);
        }
        let is_fenced = error.is_fenced();
        self.metrics.errors.inc();
        let reason = with_causes(&error);
        let state = State::Waiting(reason);
        if self.component.state() != state {
            warn!(
                message = "An archive is failing; trying again.",
                ?state,
                sink = self.name,
                stream = %self.stream
            );
            self.component.set(state);
        }
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(failures.count.min(10) - 1);
        let pause = if is_fenced { pause.max(FENCED_PAUSE) } else { pause };
        tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
        Ok(())
    }
}

fn current(ends: &[watch::Receiver<Offset>]) -> Vec<Offset> {
    ends.iter().map(|end| *end.borrow()).collect()
}

/// Offsets from `next` to `ends`, over all partitions.
fn behind(ends: &[Offset], next: &[Offset]) -> i64 {
    ends.iter().zip(next).map(|(end, next)| (end - next).max(0)).sum()
}

/// Waits until upstream has finished; forever if it never will, or has already.
async fn finishing(finished: &mut Option<watch::Receiver<bool>>) {
    if let Some(finished) = finished
        && finished.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}
