//! Reads one partition of a stream for a `webhook` sink: several records on their way at once,
//! each of another key, and a position that moves over finished ones alone.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use millrace_core::Offset;
use millrace_core::with_causes;
use millrace_ingest::mqtt::Backoff;
use millrace_log::Entry;
use millrace_log::ReadError;
use millrace_log::ReadLimit;
use millrace_observe::State;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::delivery::Delivery;
use super::window::Window;
use crate::position::GroupPartition;

/// What is read at once.
const LIMIT: ReadLimit = ReadLimit { entries: 256, bytes: 1 << 20 };

/// More is read while the window has fewer records.
const READ_BELOW: usize = 256;

/// And fewer bytes: every partition has a window.
const READ_BELOW_BYTES: usize = 4 << 20;

/// How long requests that are on their way at a stop may take to end.
const STOP_PATIENCE: Duration = Duration::from_millis(800);

/// Pauses while the log cannot be read.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));

/// Reads one partition.
pub(crate) struct Reader {
    pub(crate) reads: GroupPartition,
    pub(crate) delivery: Delivery,
    pub(crate) concurrent: usize,
}

impl Reader {
    /// Delivers until cancelled.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        let mut pauses = PAUSES;
        let next = loop {
            match self.reads.position().await {
                Ok(position) => break position,
                Err(error) if self.paused(&error, &mut pauses, &cancel).await => {}
                Err(_) => return self.delivery.component.set(State::Finished),
            }
        };
        let (position, positions) = watch::channel(next);
        let committing = tokio::spawn(self.reads.clone().commit_all(positions));
        self.delivery.component.set(State::Running);
        self.deliver(next, &position, &cancel).await;
        drop(position);
        // A panic of the task has been reported by its thread.
        let _ = committing.await;
        self.delivery.component.set(State::Finished);
    }

    async fn deliver(
        &self,
        next: Offset,
        position: &watch::Sender<Offset>,
        cancel: &CancellationToken,
    ) {
        let stream: Arc<str> = Arc::from(self.reads.stream.as_str());
        let mut window = Window::new(next);
        let mut pauses = PAUSES;
        let mut on_their_way = FuturesUnordered::new();
        let mut counted = 0;
        while !cancel.is_cancelled() {
            let mut has_read = true;
            if window.has_room(READ_BELOW, READ_BELOW_BYTES) {
                let from = window.read();
                match self.read(&mut window).await {
                    Ok(()) => {
                        pauses.reset();
                        has_read = window.read() > from;
                    }
                    Err(error) => {
                        self.paused(&error, &mut pauses, cancel).await;
                        continue;
                    }
                }
            }
            while window.on_their_way() < self.concurrent
                && let Some((offset, record)) = window.start()
            {
                let delivering = self.delivery.deliver(&stream, offset, record);
                on_their_way.push(async move {
                    delivering.await;
                    offset
                });
            }
            self.tell(&window, position, &mut counted);
            let can_read = window.has_room(READ_BELOW, READ_BELOW_BYTES);
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                Some(offset) = on_their_way.next() => window.finish(offset),
                () = self.reads.grown(window.read()), if can_read && has_read => {}
                () = self.reads.more(window.read()), if can_read && !has_read => {}
            }
        }
        // What waits for another attempt is given up, and comes again after the next start.
        let ending = async {
            while let Some(offset) = on_their_way.next().await {
                window.finish(offset);
            }
        };
        let _ = tokio::time::timeout(STOP_PATIENCE, ending).await;
        self.tell(&window, position, &mut counted);
        self.delivery.metrics.waiting.dec_by(counted);
    }

    async fn read(&self, window: &mut Window) -> Result<(), ReadError> {
        let GroupPartition { log, stream, partition, .. } = &self.reads;
        let batch = log.read(stream, *partition, window.read(), LIMIT).await?;
        let records = batch.entries.into_iter().filter_map(|(offset, entry)| match entry {
            Entry::Record(record) => Some((offset, record)),
            Entry::Mark(_) => None,
        });
        let next = batch.next.max(window.read());
        window.add(records, next);
        Ok(())
    }

    /// Says how far the window has come.
    fn tell(&self, window: &Window, position: &watch::Sender<Offset>, counted: &mut i64) {
        position.send_if_modified(|known| {
            let is_new = *known != window.position();
            *known = window.position();
            is_new
        });
        let waiting = i64::try_from(window.len()).unwrap_or(i64::MAX);
        self.delivery.metrics.waiting.inc_by(waiting - *counted);
        *counted = waiting;
        let GroupPartition { log, stream, partition, .. } = &self.reads;
        if let Ok(info) = log.partition_info(stream, *partition) {
            self.delivery.component.set_lag((info.end - window.position()).max(0));
        }
    }

    /// Says what has failed, and waits before it is tried again; false when cancelled.
    async fn paused(
        &self,
        error: &ReadError,
        pauses: &mut Backoff,
        cancel: &CancellationToken,
    ) -> bool {
        let error = with_causes(error);
        warn!(
            message = "Failed to read records; trying again.",
            group = self.reads.group,
            stream = self.reads.stream.as_str(),
            partition = self.reads.partition,
            error
        );
        self.delivery.component.set(State::Waiting(error));
        cancel.run_until_cancelled(tokio::time::sleep(pauses.next_wait())).await.is_some()
    }
}
