//! Streams live, as server-sent events.
//!
//! Records are read from the log only as fast as the client takes them, so that a client that
//! stops reading costs one batch and no more.

use std::convert::Infallible;
use std::fmt::Write;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Path;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt;
use futures::future::select_all;
use futures::stream;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_log::Entry;
use millrace_log::ReadBatch;
use millrace_log::ReadError;
use millrace_log::ReadLimit;
use millrace_plan::model::StreamPlan;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::watch;
use tracing::warn;

use crate::entries::RecordView;
use crate::params::Params;
use crate::params::short;
use crate::problem::IntoProblem;
use millrace_http::Problem;
use crate::state::MAX_LIVE_STREAMS;
use crate::state::Shared;
use crate::state::SharedState;

/// Between comments that keep a silent connection open.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How much is read at once for one client.
const BATCH: ReadLimit = ReadLimit { entries: 200, bytes: 256 << 10 };

/// A client that follows a stream.
struct Live {
    state: SharedState,
    stream: StreamPlan,
    partitions: Vec<Followed>,
    /// The partition to look at first, so that a busy one does not starve the others.
    turn: usize,
    _permit: OwnedSemaphorePermit,
}

/// A partition, and how far the client has it.
struct Followed {
    partition: Partition,
    next: Offset,
    end: watch::Receiver<Offset>,
}

/// `GET /api/v1/streams/{stream}/events`
pub(crate) async fn events(
    State(state): State<SharedState>,
    Path(name): Path<String>,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, Problem> {
    let plan = state.stream(&name)?.clone();
    let only = params.parsed("partition", "a partition's number")?;
    let from = params.text("from")?;
    params.finish("partition, from")?;
    let partitions: Vec<Partition> = match only {
        Some(partition) => vec![Shared::partition(&plan, partition)?],
        None => (0..plan.partitions).collect(),
    };
    // A client that reconnects repeats its address, so where it was comes first.
    let (parameter, position) = match headers.get("last-event-id") {
        Some(id) => ("Last-Event-ID", id.to_str().unwrap_or("?").to_owned()),
        None => ("from", from.unwrap_or_else(|| "now".to_owned())),
    };
    let mut followed = Vec::with_capacity(partitions.len());
    for partition in partitions {
        let info = state.log.partition_info(&plan.name, partition).map_err(IntoProblem::into_problem)?;
        let next = match position.as_str() {
            "now" => info.end,
            "start" => info.start,
            // A position beyond the end is of another log; what comes next is all there is.
            cursor => position_in(parameter, cursor, partition)?.clamp(info.start, info.end),
        };
        let end = state.log.follow(&plan.name, partition).map_err(IntoProblem::into_problem)?;
        followed.push(Followed { partition, next, end });
    }
    let permit = state.live_streams.clone().try_acquire_owned().map_err(|_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{MAX_LIVE_STREAMS} clients follow streams already; try again later"),
        )
    })?;
    let guard = ClientGuard::new(state.clone());
    let live = Live { state, stream: plan, partitions: followed, turn: 0, _permit: permit };
    let opening = stream::iter([Bytes::from_static(b"retry: 1000\n\n")]);
    let chunks = stream::unfold((live, guard), |(mut live, guard)| async {
        let chunk = live.next_chunk().await?;
        Some((chunk, (live, guard)))
    });
    let body = Body::from_stream(opening.chain(chunks).map(Ok::<_, Infallible>));
    Ok((
        [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")],
        [("x-accel-buffering", "no")],
        body,
    )
        .into_response())
}

/// Reads a partition's offset from a cursor such as `0-12,1-55`; a partition that is not named
/// starts at its start.
fn position_in(parameter: &str, cursor: &str, wanted: Partition) -> Result<Offset, Problem> {
    let wrong = || {
        Problem::parameter(
            parameter,
            format_args!("`{}` is not `now`, `start` or the id of an event", short(cursor)),
        )
    };
    let mut found = 0;
    for part in cursor.split(',') {
        let (partition, offset) = part.split_once('-').ok_or_else(wrong)?;
        let partition: Partition = partition.parse().map_err(|_| wrong())?;
        let offset: Offset = offset.parse().map_err(|_| wrong())?;
        if partition == wanted {
            found = offset;
        }
    }
    Ok(found)
}

impl Live {
    /// The next events, or a heartbeat; none at the end of the process or of the log.
    async fn next_chunk(&mut self) -> Option<Bytes> {
        let heartbeat = tokio::time::sleep(HEARTBEAT);
        tokio::pin!(heartbeat);
        let closing = self.state.closing.clone();
        loop {
            if closing.is_cancelled() {
                return None;
            }
            match self.read().await {
                Ok(Some(chunk)) if chunk.is_empty() => continue,
                Ok(Some(chunk)) => return Some(chunk),
                Ok(None) => {}
                Err(error) => {
                    warn!(message = "A live stream broke off.", %error, stream = %self.stream.name);
                    return None;
                }
            }
            let news = self.partitions.iter_mut().map(|p| Box::pin(p.end.changed()));
            tokio::select! {
                biased;
                () = closing.cancelled() => return None,
                (changed, _, _) = select_all(news) => changed.ok()?,
                () = &mut heartbeat => return Some(Bytes::from_static(b": heartbeat\n\n")),
            }
        }
    }

    /// Reads from the next partition that has something; the events are empty if it was marks.
    async fn read(&mut self) -> Result<Option<Bytes>, ReadError> {
        for step in 0..self.partitions.len() {
            let index = (self.turn + step) % self.partitions.len();
            let followed = &mut self.partitions[index];
            if *followed.end.borrow_and_update() <= followed.next {
                continue;
            }
            let (partition, next) = (followed.partition, followed.next);
            let batch = self.state.log.read(&self.stream.name, partition, next, BATCH).await?;
            if batch.entries.is_empty() && batch.next <= next {
                continue;
            }
            self.turn = (index + 1) % self.partitions.len();
            return Ok(Some(self.render(index, batch)));
        }
        Ok(None)
    }

    fn render(&mut self, index: usize, batch: ReadBatch) -> Bytes {
        let partition = self.partitions[index].partition;
        let mut text = String::new();
        for (offset, entry) in batch.entries {
            self.partitions[index].next = offset + 1;
            let Entry::Record(record) = entry else { continue };
            let view = RecordView::of(&self.stream, partition, offset, &record);
            let Ok(json) = serde_json::to_string(&view) else { continue };
            self.state.metrics.live_records.inc();
            text.push_str("id: ");
            for (i, followed) in self.partitions.iter().enumerate() {
                let comma = if i == 0 { "" } else { "," };
                let _ = write!(text, "{comma}{}-{}", followed.partition, followed.next);
            }
            // Line breaks can only be white space between the parts of the event's own JSON.
            let _ = write!(text, "\nevent: record\ndata: {}\n\n", json.replace(['\n', '\r'], " "));
        }
        self.partitions[index].next = batch.next;
        text.into()
    }
}

/// Counts a client for as long as it lives.
struct ClientGuard(SharedState);

impl ClientGuard {
    fn new(state: SharedState) -> Self {
        state.metrics.live_streams.inc();
        Self(state)
    }
}

impl Drop for ClientGuard {
    fn drop(&mut self) {
        self.0.metrics.live_streams.dec();
    }
}
