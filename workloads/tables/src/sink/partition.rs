//! One reader: a partition of a stream, into a table.

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use millrace_core::DeadLetter;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::dead_letter::SourcePosition;
use millrace_core::with_causes;
use millrace_log::ClaimTaskError;
use millrace_log::CommitTaskError;
use millrace_log::Entry;
use millrace_log::InputPosition;
use millrace_log::ReadBatch;
use millrace_log::ReadError;
use millrace_log::ReadLimit;
use millrace_log::TaskClaim;
use millrace_log::TaskCommit;
use millrace_log::TaskName;
use millrace_observe::Component;
use millrace_observe::ComponentKind;
use millrace_observe::State;
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::error;
use tracing::info;
use tracing::warn;

use super::RowOrder;
use super::RunSinkError;
use super::SinkContext;
use super::SinkInput;
use super::TableSink;
use super::committed::note_latency;
use super::dead_letters::appends;
use super::dead_letters::dead_letter;
use super::metrics::SinkLabels;
use crate::CommitError;
use crate::Row;
use crate::SinkClaim;
use crate::SinkPartition;

/// Entries of a read while the reader keeps up, and while it is far behind.
const BATCH_ENTRIES: usize = 1000;
const MAX_BATCH_ENTRIES: usize = 8000;

/// Offsets that a reader passes without a row before it commits its position all the same.
const MAX_UNCOMMITTED: Offset = 1000;

/// Pauses between attempts while the log or the database is unavailable.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Why a reader stops before its end.
enum Stop {
    Shutdown,
    Failed(RunSinkError),
}

/// What the reader may do once it has claimed its partition.
struct Claims {
    /// Rows and position.
    table: SinkClaim,
    /// Dead letters.
    log: TaskClaim,
}

/// A record that is a row, and where it stood.
struct Candidate {
    offset: Offset,
    record: Record,
    row: Row,
}

pub(super) struct PartitionReader {
    pub(super) sink: Arc<TableSink>,
    pub(super) input: SinkInput,
    pub(super) partition: Partition,
    pub(super) context: SinkContext,
    shutdown: CancellationToken,
    component: Arc<Component>,
    labels: SinkLabels,
    latency: Histogram,
    /// The next offset to read.
    position: Offset,
    /// The position in the database; marks may lie between.
    committed: Offset,
    /// Everything below that is no row is among the dead letters already.
    dead_lettered: Offset,
    /// Rows below that the database refuses are among the dead letters already.
    refused: Offset,
    pause: Duration,
}

impl PartitionReader {
    pub(super) fn new(
        sink: Arc<TableSink>,
        input: SinkInput,
        partition: Partition,
        context: SinkContext,
        shutdown: CancellationToken,
    ) -> Self {
        let component = context.observer.component(
            ComponentKind::Sink,
            &sink.name,
            Some(input.stream.as_str()),
            Some(partition),
        );
        let labels = SinkLabels { sink: sink.name.clone() };
        Self {
            latency: context.metrics.latency.get_or_create_owned(&labels),
            labels,
            sink,
            input,
            partition,
            context,
            shutdown,
            component,
            position: 0,
            committed: 0,
            dead_lettered: 0,
            refused: 0,
            pause: FIRST_PAUSE,
        }
    }

    /// Reads and writes until the end or the shutdown.
    pub(super) async fn run(
        mut self,
        upstream_finished: Option<watch::Receiver<bool>>,
    ) -> Result<(), RunSinkError> {
        match self.follow(upstream_finished).await {
            Ok(()) | Err(Stop::Shutdown) => {
                self.component.set(State::Finished);
                Ok(())
            }
            Err(Stop::Failed(failure)) => {
                let reason = with_causes(&failure);
                error!(
                    message = "A table sink has stopped.",
                    error = reason,
                    sink = self.sink.name,
                    stream = %self.input.stream,
                    partition = self.partition
                );
                self.component.set(State::Failed(reason));
                Err(failure)
            }
        }
    }

    async fn follow(
        &mut self,
        mut upstream_finished: Option<watch::Receiver<bool>>,
    ) -> Result<(), Stop> {
        let mut end = self
            .context
            .log
            .follow(&self.input.stream, self.partition)
            .map_err(|source| self.unreadable(source))?;
        let claims = self.claim().await?;
        self.check_position()?;
        let mut entries = BATCH_ENTRIES;
        loop {
            // Asked before the read: what was appended before upstream finished is then read.
            let finished = upstream_finished.as_ref().is_some_and(|finished| *finished.borrow());
            let known_end = *end.borrow_and_update();
            self.component.set_lag((known_end - self.position).max(0));
            let batch = self.read(entries).await?;
            self.component.set(State::Running);
            if !batch.entries.is_empty() || batch.next > self.position {
                let full = batch.entries.len() >= entries;
                entries = if full { (entries * 2).min(MAX_BATCH_ENTRIES) } else { BATCH_ENTRIES };
                self.write(&claims, batch).await?;
                continue;
            }
            if finished {
                return self.commit(&claims, &[], self.position).await;
            }
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Err(Stop::Shutdown),
                changed = end.changed() => {
                    // The log was closed.
                    changed.map_err(|_| Stop::Shutdown)?;
                }
                () = finishing(&mut upstream_finished) => {}
            }
        }
    }

    /// Claims the position in the database, and the right to write dead letters.
    async fn claim(&mut self) -> Result<Claims, Stop> {
        let partition = SinkPartition {
            sink: self.sink.name.clone(),
            generation: self.sink.generation,
            stream: self.input.stream.clone(),
            partition: self.partition,
        };
        let table = loop {
            match self.context.tables.claim(&partition).await {
                Ok((claim, next)) => {
                    self.position = next;
                    self.committed = next;
                    break claim;
                }
                Err(error) => self.wait(error.reason).await?,
            }
        };
        let task =
            TaskName { stage: self.sink.task_stage(&self.input.stream), partition: self.partition };
        loop {
            match self.context.log.claim_task(&task).await {
                Ok((log, snapshot)) => {
                    if let Some(position) = snapshot.positions.first() {
                        self.dead_lettered = position.next;
                        let refused = <[u8; 8]>::try_from(position.metadata.as_ref());
                        self.refused = refused.map_or(0, Offset::from_be_bytes);
                    }
                    self.resume();
                    return Ok(Claims { table, log });
                }
                Err(ClaimTaskError::Restore {
                    source: source @ (ReadError::UnknownStream { .. } | ReadError::Corrupt { .. }),
                    ..
                }) => return Err(self.unreadable(source)),
                Err(error) => self.wait(with_causes(&error)).await?,
            }
        }
    }

    /// Refuses a position that is not of this log, and says so where retention has removed what
    /// was never read.
    fn check_position(&self) -> Result<(), Stop> {
        let info = self
            .context
            .log
            .partition_info(&self.input.stream, self.partition)
            .map_err(|source| self.unreadable(source))?;
        if self.position > info.end {
            return Err(Stop::Failed(RunSinkError::AnotherLog {
                sink: self.sink.name.clone(),
                position: self.position,
                end: info.end,
            }));
        }
        if self.position < info.start {
            warn!(
                message = "The stream's retention has removed entries that the table never got.",
                sink = self.sink.name,
                stream = %self.input.stream,
                partition = self.partition,
                from = self.position,
                to = info.start
            );
        }
        Ok(())
    }

    async fn read(&mut self, entries: usize) -> Result<ReadBatch, Stop> {
        let limit = ReadLimit { entries, ..ReadLimit::default() };
        loop {
            if self.shutdown.is_cancelled() {
                return Err(Stop::Shutdown);
            }
            let read =
                self.context.log.read(&self.input.stream, self.partition, self.position, limit);
            match read.await {
                Ok(batch) => {
                    self.resume();
                    return Ok(batch);
                }
                Err(error @ ReadError::Storage(_)) => self.wait(with_causes(&error)).await?,
                Err(error) => return Err(self.unreadable(error)),
            }
        }
    }

    /// Writes what was read: first dead letters, then rows and the position.
    async fn write(&mut self, claims: &Claims, batch: ReadBatch) -> Result<(), Stop> {
        let mut candidates = Vec::with_capacity(batch.entries.len());
        let mut letters = Vec::new();
        for (offset, entry) in batch.entries {
            let record = match entry {
                Entry::Record(record) => record,
                Entry::Mark(_) => continue,
            };
            let order = match self.input.order {
                RowOrder::EventTime => record.event_time,
                RowOrder::Offset => offset,
            };
            match Row::of(&record, order, &self.sink.table) {
                Ok(row) => candidates.push(Candidate { offset, record, row }),
                Err(error) if offset >= self.dead_lettered => {
                    letters.push(self.dead_letter(offset, record, error.to_string()));
                }
                Err(_) => {}
            }
        }
        if !letters.is_empty() {
            self.dead_lettered = batch.next;
            self.store_dead_letters(claims, letters).await?;
        }
        let watermark = candidates.iter().map(|candidate| candidate.record.event_time).max();
        let quiet = candidates.is_empty() && batch.next - self.committed < MAX_UNCOMMITTED;
        if !quiet {
            self.commit(claims, &candidates, batch.next).await?;
        }
        self.position = batch.next;
        if let Some(watermark) = watermark.max(self.component.watermark()) {
            self.component.set_watermark(watermark);
        }
        Ok(())
    }

    /// Commits rows and the position after them. A batch with a row that the database refuses is
    /// halved until that row stands alone and becomes a dead letter.
    async fn commit(
        &mut self,
        claims: &Claims,
        mut candidates: &[Candidate],
        next: Offset,
    ) -> Result<(), Stop> {
        let mut size = candidates.len();
        while self.committed < next {
            let (part, rest) = candidates.split_at(size.min(candidates.len()));
            let part_next = rest.first().map_or(next, |candidate| candidate.offset);
            let rows: Vec<Row> = part.iter().map(|candidate| candidate.row.clone()).collect();
            let traced = self.context.observer.tracer().map(|tracer| (tracer, SystemTime::now()));
            let committing = self.context.tables.commit(
                &claims.table,
                &self.sink.table.name,
                &rows,
                self.committed,
                part_next,
            );
            match committing.await {
                Ok(written) => {
                    if let Some((tracer, start)) = traced {
                        self.trace(tracer, start, part.iter().map(|one| (one.offset, &one.record)));
                    }
                    self.resume();
                    note_latency(&self.latency, part.iter().map(|candidate| &candidate.record));
                    let bytes = part.iter().map(|one| one.record.value.len() as u64).sum();
                    self.context.metrics.bytes.get_or_create(&self.labels).inc_by(bytes);
                    self.context.metrics.rows.get_or_create(&self.labels).inc_by(written);
                    self.context.metrics.commits.get_or_create(&self.labels).inc();
                    self.committed = part_next;
                    candidates = rest;
                    size = candidates.len();
                }
                // A commit whose confirmation was lost.
                Err(CommitError::Position { found, .. }) if found == part_next => {
                    self.committed = part_next;
                    candidates = rest;
                    size = candidates.len();
                }
                Err(CommitError::Refused(reason)) => match part {
                    [] => self.wait(reason).await?,
                    [refused] => {
                        if refused.offset >= self.refused {
                            let letter =
                                self.dead_letter(refused.offset, refused.record.clone(), reason);
                            self.refused = refused.offset + 1;
                            self.store_dead_letters(claims, vec![letter]).await?;
                        }
                        candidates = rest;
                        size = candidates.len();
                    }
                    several => size = several.len() / 2,
                },
                Err(CommitError::Unavailable(reason)) => self.wait(reason).await?,
                Err(source) => {
                    let sink = self.sink.name.clone();
                    return Err(Stop::Failed(RunSinkError::Commit { sink, source }));
                }
            }
        }
        Ok(())
    }

    fn dead_letter(&self, offset: Offset, record: Record, reason: String) -> DeadLetter {
        let source = SourcePosition {
            stream: self.input.stream.as_str().to_owned(),
            partition: self.partition,
            offset,
        };
        dead_letter(&self.sink.name, source, record, reason)
    }

    /// Appends dead letters, together with how far they reach.
    async fn store_dead_letters(
        &mut self,
        claims: &Claims,
        letters: Vec<DeadLetter>,
    ) -> Result<(), Stop> {
        let count = letters.len() as u64;
        let outputs = appends(letters, self.sink.dead_letter_partitions);
        let position = InputPosition {
            stream: self.input.stream.clone(),
            partition: self.partition,
            next: self.dead_lettered,
            metadata: bytes::Bytes::copy_from_slice(&self.refused.to_be_bytes()),
        };
        let commit = TaskCommit { outputs, state: Vec::new(), positions: vec![position] };
        loop {
            match self.context.log.commit_task(&claims.log, commit.clone()).await {
                Ok(_) => {
                    self.resume();
                    let stage = format!("sink/{}", self.sink.name);
                    self.context.metrics.dead_letters.of(&stage).inc_by(count);
                    return Ok(());
                }
                Err(source @ CommitTaskError::Fenced { .. }) => {
                    let sink = self.sink.name.clone();
                    return Err(Stop::Failed(RunSinkError::DeadLetter { sink, source }));
                }
                Err(error) => self.wait(with_causes(&error)).await?,
            }
        }
    }

    /// Says why the reader waits, and pauses, longer each time.
    async fn wait(&mut self, reason: String) -> Result<(), Stop> {
        let state = State::Waiting(reason);
        if self.component.state() != state {
            warn!(
                message = "A table sink is waiting.",
                ?state,
                sink = self.sink.name,
                stream = %self.input.stream,
                partition = self.partition
            );
            self.component.set(state);
        }
        self.context.metrics.waits.get_or_create(&self.labels).inc();
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return Err(Stop::Shutdown),
            () = tokio::time::sleep(self.pause) => {}
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }

    /// Ends a wait.
    fn resume(&mut self) {
        self.pause = FIRST_PAUSE;
        if matches!(self.component.state(), State::Waiting(_)) {
            info!(
                message = "A table sink goes on.",
                sink = self.sink.name,
                stream = %self.input.stream,
                partition = self.partition
            );
            self.component.set(State::Running);
        }
    }

    fn unreadable(&self, source: ReadError) -> Stop {
        Stop::Failed(RunSinkError::Read { sink: self.sink.name.clone(), source })
    }
}

/// Waits until upstream has finished; forever if it never will, or has already.
async fn finishing(upstream_finished: &mut Option<watch::Receiver<bool>>) {
    if let Some(finished) = upstream_finished
        && finished.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}
