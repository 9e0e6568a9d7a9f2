//! One reader: a partition of a stream, into a table.

use std::sync::Arc;
use std::time::Duration;

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::with_causes;
use millrace_log::ClaimTaskError;
use millrace_log::ReadError;
use millrace_log::TaskClaim;
use millrace_log::TaskName;
use millrace_log::share::Assigned;
use millrace_observe::Component;
use millrace_observe::ComponentKind;
use millrace_observe::State;
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::error;
use tracing::info;
use tracing::warn;

use super::RunSinkError;
use super::SinkContext;
use super::SinkInput;
use super::TableSink;
use super::metrics::SinkLabels;
use super::reading::Batch;
use super::reading::Reading;
use crate::SinkClaim;
use crate::SinkPartition;

/// Pauses between attempts while the log or the database is unavailable.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long a reader whose partition was taken over waits to be told that it is elsewhere.
const FENCED_PAUSE: Duration = Duration::from_secs(1);

/// How long a reader waits where the log has more than it gives at present.
const NOTHING_YET: Duration = Duration::from_millis(5);

/// How long the end of a log that several processes write may take to be known here.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// Why a reader stops before its end.
pub(super) enum Stop {
    Shutdown,
    /// Someone else has claimed the partition, or is to say where it begins in another log.
    Fenced(RunSinkError),
    Failed(RunSinkError),
}

/// What the reader may do once it has claimed its partition.
pub(super) struct Claims {
    /// Rows and position.
    pub(super) table: SinkClaim,
    /// Dead letters.
    pub(super) log: TaskClaim,
}

pub(super) struct PartitionReader {
    pub(super) sink: Arc<TableSink>,
    pub(super) input: SinkInput,
    pub(super) partition: Partition,
    pub(super) context: SinkContext,
    /// Whether nobody else can ever have the partition.
    is_ours_alone: bool,
    shutdown: CancellationToken,
    pub(super) component: Arc<Component>,
    pub(super) labels: SinkLabels,
    pub(super) latency: Histogram,
    /// The next offset to write.
    pub(super) position: Offset,
    /// The position in the database; marks may lie between.
    pub(super) committed: Offset,
    /// Everything below that is no row is among the dead letters already.
    pub(super) dead_lettered: Offset,
    /// Rows below that the database refuses are among the dead letters already.
    pub(super) refused: Offset,
    pause: Duration,
}

impl PartitionReader {
    pub(super) fn new(
        sink: Arc<TableSink>,
        input: SinkInput,
        assigned: &Assigned,
        context: SinkContext,
    ) -> Self {
        let component = context.observer.component(
            ComponentKind::Sink,
            &sink.name,
            Some(input.stream.as_str()),
            Some(assigned.partition),
        );
        let labels = SinkLabels { sink: sink.name.clone() };
        Self {
            latency: context.metrics.latency.get_or_create_owned(&labels),
            labels,
            sink,
            input,
            partition: assigned.partition,
            context,
            is_ours_alone: assigned.is_ours_alone,
            shutdown: assigned.stop.clone(),
            component,
            position: 0,
            committed: 0,
            dead_lettered: 0,
            refused: 0,
            pause: FIRST_PAUSE,
        }
    }

    /// Reads and writes until the end or the shutdown. Where the partition is taken over and still
    /// ours after a while, it is claimed again.
    pub(super) async fn run(
        mut self,
        upstream_finished: Option<watch::Receiver<bool>>,
    ) -> Result<(), RunSinkError> {
        let stop = loop {
            match self.follow(upstream_finished.clone()).await {
                Ok(()) => break Stop::Shutdown,
                Err(Stop::Fenced(failure)) if !self.is_ours_alone => {
                    self.pause = self.pause.max(FENCED_PAUSE);
                    if let Err(stop) = self.wait(with_causes(&failure)).await {
                        break stop;
                    }
                }
                Err(stop) => break stop,
            }
        };
        match stop {
            Stop::Shutdown => {
                self.component.set(State::Finished);
                Ok(())
            }
            Stop::Fenced(failure) | Stop::Failed(failure) => {
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
        self.check_position(&mut end).await?;
        let log = Arc::clone(&self.context.log);
        let (sink, input) = (Arc::clone(&self.sink), self.input.clone());
        let mut reading = Reading::new(log, sink, input, self.partition);
        if upstream_finished.is_none() {
            reading = reading.with_retention();
        }
        let mut ahead = None;
        loop {
            // Asked before the read: what was appended before upstream finished is then read.
            let finished = upstream_finished.as_ref().is_some_and(|finished| *finished.borrow());
            let known_end = *end.borrow_and_update();
            self.component.set_lag((known_end - self.position).max(0));
            let batch = match ahead.take() {
                Some(batch) => batch,
                None => self.read(&mut reading).await?,
            };
            self.component.set(State::Running);
            if batch.next > self.position {
                if known_end > batch.next {
                    // While the database is busy with this batch, the next one is prepared.
                    let next = reading.ahead(batch.next);
                    self.write(&claims, batch).await?;
                    (reading, ahead) = next.await.map_err(|source| {
                        let sink = self.sink.name.clone();
                        Stop::Failed(RunSinkError::Reader { sink, source })
                    })?;
                } else {
                    self.write(&claims, batch).await?;
                }
                continue;
            }
            if finished {
                return self.commit(&claims, &Batch::default(), self.position).await;
            }
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Err(Stop::Shutdown),
                changed = end.changed() => {
                    // The log was closed.
                    changed.map_err(|_| Stop::Shutdown)?;
                }
                () = finishing(&mut upstream_finished) => {}
                () = tokio::time::sleep(NOTHING_YET), if known_end > self.position => {}
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
                    (self.dead_lettered, self.refused) = (0, 0);
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
    async fn check_position(&mut self, end: &mut watch::Receiver<Offset>) -> Result<(), Stop> {
        if !self.is_ours_alone {
            // Others may have written what is not known here yet.
            let reached = end.wait_for(|end| *end >= self.position);
            let reached = tokio::time::timeout(END_PATIENCE, reached);
            // What comes of it is seen below.
            let _ = self.shutdown.run_until_cancelled(reached).await.ok_or(Stop::Shutdown)?;
        }
        let info = self
            .context
            .log
            .partition_info(&self.input.stream, self.partition)
            .map_err(|source| self.unreadable(source))?;
        if self.position > info.end {
            let sink = self.sink.name.clone();
            let failure = RunSinkError::AnotherLog { sink, position: self.position, end: info.end };
            // Where several processes share log and tables, one of them has tables begin anew with
            // a new log.
            let stop = if self.is_ours_alone { Stop::Failed } else { Stop::Fenced };
            return Err(stop(failure));
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

    async fn read(&mut self, reading: &mut Reading) -> Result<Batch, Stop> {
        loop {
            if self.shutdown.is_cancelled() {
                return Err(Stop::Shutdown);
            }
            match reading.read(self.position).await {
                Ok(batch) => {
                    self.resume();
                    return Ok(batch);
                }
                Err(error @ ReadError::Storage(_)) => self.wait(with_causes(&error)).await?,
                Err(error) => return Err(self.unreadable(error)),
            }
        }
    }

    /// Says why the reader waits, and pauses, longer each time.
    pub(super) async fn wait(&mut self, reason: String) -> Result<(), Stop> {
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
    pub(super) fn resume(&mut self) {
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
