//! Reads what a client follows, batch by batch, from all partitions in turn.

use std::fmt::Write;
use std::time::Duration;

use axum::http::StatusCode;
use futures::future::select_all;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_http::Problem;
use millrace_log::Entry;
use millrace_log::ReadBatch;
use millrace_log::ReadError;
use millrace_log::ReadLimit;
use millrace_plan::model::StreamPlan;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::watch;
use tracing::warn;

use super::cursor::Position;
use crate::entries::RecordView;
use crate::problem::IntoProblem;
use crate::state::MAX_LIVE_STREAMS;
use crate::state::SharedState;

/// Between signs of life in a silent connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How much is read at once for one client.
const BATCH: ReadLimit = ReadLimit { entries: 200, bytes: 256 << 10 };

/// A client that follows streams.
pub(super) struct Live {
    pub(super) state: SharedState,
    streams: Vec<StreamPlan>,
    partitions: Vec<Followed>,
    /// Whether cursors and events name their streams.
    names_streams: bool,
    /// The partition to look at first, so that a busy one does not starve the others.
    turn: usize,
    _permit: OwnedSemaphorePermit,
}

/// A partition, and how far the client has it.
struct Followed {
    /// Index of its stream.
    stream: usize,
    partition: Partition,
    next: Offset,
    end: watch::Receiver<Offset>,
}

/// What a client gets next.
pub(super) enum Step {
    /// Events; none where there were marks alone.
    Events(Vec<LiveEvent>),
    /// Nothing came for a while.
    Silence,
    /// The process, or the log, ends.
    End,
}

/// An event as JSON, and where the client is after it.
pub(super) struct LiveEvent {
    pub(super) cursor: String,
    pub(super) json: String,
}

impl Live {
    /// Takes a client's position in all it follows.
    pub(super) fn open(
        state: SharedState,
        streams: Vec<StreamPlan>,
        only: Option<Partition>,
        position: &Position,
        names_streams: bool,
    ) -> Result<Self, Problem> {
        let mut partitions = Vec::new();
        for (index, stream) in streams.iter().enumerate() {
            let wanted = match only {
                Some(partition) => partition..partition + 1,
                None => 0..stream.partitions,
            };
            for partition in wanted {
                let info = state.log.partition_info(&stream.name, partition);
                let info = info.map_err(IntoProblem::into_problem)?;
                let next = position.next(stream.name.as_str(), partition, info);
                let end = state.log.follow(&stream.name, partition);
                let end = end.map_err(IntoProblem::into_problem)?;
                partitions.push(Followed { stream: index, partition, next, end });
            }
        }
        let permit = state.live_streams.clone().try_acquire_owned().map_err(|_| {
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("{MAX_LIVE_STREAMS} clients follow streams already; try again later"),
            )
        })?;
        state.metrics.live_streams.inc();
        Ok(Self { state, streams, partitions, names_streams, turn: 0, _permit: permit })
    }

    /// What the client gets next. Given up halfway, nothing is lost.
    pub(super) async fn next(&mut self) -> Step {
        let heartbeat = tokio::time::sleep(HEARTBEAT);
        tokio::pin!(heartbeat);
        let closing = self.state.closing.clone();
        loop {
            if closing.is_cancelled() {
                return Step::End;
            }
            match self.read().await {
                Ok(Some(events)) => return Step::Events(events),
                Ok(None) => {}
                Err(error) => {
                    warn!(message = "A live stream broke off.", %error);
                    return Step::End;
                }
            }
            let news = self.partitions.iter_mut().map(|p| Box::pin(p.end.changed()));
            tokio::select! {
                biased;
                () = closing.cancelled() => return Step::End,
                (changed, _, _) = select_all(news) => if changed.is_err() { return Step::End },
                () = &mut heartbeat => return Step::Silence,
            }
        }
    }

    /// Reads from the next partition that has something.
    async fn read(&mut self) -> Result<Option<Vec<LiveEvent>>, ReadError> {
        for step in 0..self.partitions.len() {
            let index = (self.turn + step) % self.partitions.len();
            let followed = &mut self.partitions[index];
            if *followed.end.borrow_and_update() <= followed.next {
                continue;
            }
            let (partition, next) = (followed.partition, followed.next);
            let stream = &self.streams[followed.stream].name;
            let batch = self.state.log.read(stream, partition, next, BATCH).await?;
            if batch.entries.is_empty() && batch.next <= next {
                continue;
            }
            self.turn = (index + 1) % self.partitions.len();
            return Ok(Some(self.events(index, batch)));
        }
        Ok(None)
    }

    fn events(&mut self, index: usize, batch: ReadBatch) -> Vec<LiveEvent> {
        let (stream, partition) = (self.partitions[index].stream, self.partitions[index].partition);
        let mut events = Vec::with_capacity(batch.entries.len());
        for (offset, entry) in batch.entries {
            self.partitions[index].next = offset + 1;
            let Entry::Record(record) = entry else { continue };
            let plan = &self.streams[stream];
            let mut view = RecordView::of(plan, partition, offset, &record);
            if self.names_streams {
                view = view.of_stream(plan.name.as_str());
            }
            let Ok(json) = serde_json::to_string(&view) else { continue };
            self.state.metrics.live_records.inc();
            events.push(LiveEvent { cursor: self.cursor(), json });
        }
        self.partitions[index].next = batch.next;
        events
    }

    /// Where the client is.
    fn cursor(&self) -> String {
        let mut text = String::new();
        let mut last = None;
        for followed in &self.partitions {
            let separator = match last {
                None => "",
                Some(stream) if stream == followed.stream => ",",
                Some(_) => ";",
            };
            text.push_str(separator);
            if self.names_streams && last != Some(followed.stream) {
                let _ = write!(text, "{}:", self.streams[followed.stream].name);
            }
            last = Some(followed.stream);
            let _ = write!(text, "{}-{}", followed.partition, followed.next);
        }
        text
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.state.metrics.live_streams.dec();
    }
}
