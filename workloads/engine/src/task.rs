//! One task: a stage's partition at work. Reads its inputs, releases what the watermark has
//! passed, runs the operators and commits outputs, state and positions at once.

use std::sync::Arc;
use std::time::Duration;

use futures::future::select_all;
use millrace_core::Event;
use millrace_core::Headers;
use millrace_core::Offset;
use millrace_core::Record;
use millrace_core::Value;
use millrace_core::time::rfc3339;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::ReadLimit;
use millrace_log::TaskClaim;
use millrace_log::TaskName;
use millrace_observe::Component;
use millrace_observe::State;
use millrace_plan::model::OnLate;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::buffer::Buffer;
use crate::buffer::Buffered;
use crate::committing::CommitEnd;
use crate::committing::Committing;
use crate::error::TaskError;
use crate::input::Input;
use crate::input::Judgement;
use crate::operators::Operators;
use crate::outbox::Outbox;
use crate::task_metrics::TaskMetrics;
use crate::traced::Traced;

/// How long a task waits where the log has more than it gives at present.
const NOTHING_YET: Duration = Duration::from_millis(5);

/// So many different times of timers after the end of input mean that they would never end.
const MOST_FINAL_TIMERS: u64 = 10_000_000;

/// An input with the means to wait for it.
pub(crate) struct Source {
    pub(crate) input: Input,
    /// The end of the partition in the log.
    pub(crate) end: watch::Receiver<Offset>,
    /// Whether whoever writes the stream has finished; only asked under `--until-end`.
    pub(crate) upstream_finished: watch::Receiver<bool>,
    /// Whether this stage tells of the stream's records that no stage can take.
    pub(crate) reports: bool,
}

impl Source {
    fn readable(&self) -> bool {
        self.input.next < *self.end.borrow()
    }

    fn ended(&self, until_end: bool) -> bool {
        until_end && *self.upstream_finished.borrow() && !self.readable()
    }
}

/// Why a task came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All its input is processed.
    Input,
    /// It was asked to stop.
    Shutdown,
}

/// What ended a task's wait.
#[derive(Debug)]
enum Woken {
    Change,
    CommitTime,
    Committed(CommitEnd),
}

/// A task that holds its claim and has its state.
pub(crate) struct Task {
    pub(crate) name: TaskName,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) claim: TaskClaim,
    pub(crate) sources: Vec<Source>,
    pub(crate) buffer: Buffer,
    /// Records from this event time on did not fit into the buffer: they are read again.
    pub(crate) cut: Option<i64>,
    pub(crate) operators: Operators,
    pub(crate) outbox: Outbox,
    pub(crate) released_to: i64,
    pub(crate) raised_to: i64,
    /// No event time up to this one is still to come.
    pub(crate) processed_to: i64,
    pub(crate) batch: ReadLimit,
    pub(crate) until_end: bool,
    pub(crate) component: Arc<Component>,
    pub(crate) metrics: TaskMetrics,
    /// Where nobody takes traces there is none.
    pub(crate) traced: Option<Traced>,
    /// What events without headers share.
    pub(crate) no_headers: Arc<Headers>,
    /// Records taken since the last commit, and when the first of them came.
    pub(crate) uncommitted: u64,
    pub(crate) uncommitted_since: Option<Instant>,
    /// The commit that is under way.
    pub(crate) committing: Option<Committing>,
}

impl Task {
    /// Works until the end of input or until it is asked to stop. What was processed is committed
    /// in either case.
    pub(crate) async fn run(mut self, shutdown: &CancellationToken) -> Result<Ended, TaskError> {
        self.component.set(State::Running);
        loop {
            if shutdown.is_cancelled() {
                self.commit_all().await?;
                return Ok(Ended::Shutdown);
            }
            if let Some(cut) = self.cut_is_reached() {
                self.read_again(cut)?;
            } else if let Some(source) = self.furthest_behind() {
                let has_read = self.read(source).await?;
                self.release_below(self.watermark())?;
                if self.sources.iter().any(|source| source.ended(self.until_end)) {
                    // What comes to an ended input later must not go below what was released
                    // without it.
                    self.raised_to = self.raised_to.max(self.released_to);
                }
                self.metrics.observe(&self.buffer, &self.operators);
                self.commit_what_is_due().await?;
                if has_read {
                    tokio::task::yield_now().await;
                } else {
                    tokio::time::sleep(NOTHING_YET).await;
                }
            } else if self.sources.iter().all(|source| source.ended(self.until_end)) {
                self.release_everything().await?;
                self.commit_all().await?;
                return Ok(Ended::Input);
            } else {
                match self.wait(shutdown).await {
                    Woken::Change => {}
                    Woken::CommitTime => self.commit().await?,
                    Woken::Committed(end) => {
                        self.committed(end)?;
                        self.commit_what_is_due().await?;
                    }
                }
            }
        }
    }

    /// The input to read next: the one with the lowest watermark. The others wait for it.
    pub(crate) fn furthest_behind(&self) -> Option<usize> {
        let lowest = self.watermark();
        self.sources.iter().position(|source| {
            source.readable() && source.input.watermark().max(self.raised_to) <= lowest
        })
    }

    /// What the inputs have reached, up to where the buffer was cut.
    fn watermark(&self) -> i64 {
        let reached = self.reached();
        self.cut.map_or(reached, |cut| reached.min(cut))
    }

    /// The cut, when everything before it can be processed.
    fn cut_is_reached(&self) -> Option<i64> {
        let ended = || self.sources.iter().all(|source| source.ended(self.until_end));
        self.cut.filter(|cut| self.reached() >= *cut || ended())
    }

    /// The lowest watermark of the inputs that have not ended, or what it was raised to.
    fn reached(&self) -> i64 {
        self.sources
            .iter()
            .filter(|source| !source.ended(self.until_end))
            .map(|source| source.input.watermark())
            .min()
            .unwrap_or(i64::MIN)
            .max(self.raised_to)
    }

    /// Reads on; whether there was anything.
    async fn read(&mut self, index: usize) -> Result<bool, TaskError> {
        self.note_removed(index, self.sources[index].input.unread())?;
        let input = &self.sources[index].input;
        let batch =
            self.log.read(&input.stream, input.partition, input.next, self.batch).await.map_err(
                |source| TaskError::Read {
                    task: self.name.to_string(),
                    stream: input.stream.to_string(),
                    source,
                },
            )?;
        // The log may use offsets up without entries.
        let has_read = !batch.entries.is_empty() || batch.next > input.next;
        if has_read {
            self.uncommitted += batch.entries.len().max(1) as u64;
            self.uncommitted_since.get_or_insert_with(Instant::now);
        }
        let bytes = batch.entries.iter().map(|(_, entry)| match entry {
            Entry::Record(record) => record.value.len(),
            Entry::Mark(_) => 0,
        });
        let bytes = bytes.sum();
        self.metrics.read(index, batch.entries.len(), bytes);
        for (offset, entry) in batch.entries {
            let input = &mut self.sources[index].input;
            match input.take(offset, entry, self.released_to, self.raised_to) {
                Judgement::Nothing => {}
                Judgement::Duplicate => self.metrics.duplicate(index),
                Judgement::Late(record) => self.late(index, offset, record),
                Judgement::Buffer(record) => {
                    if self.cut.is_none_or(|cut| record.event_time < cut) {
                        self.buffer.insert(Buffered { input: index, offset, record });
                        self.make_room()?;
                    }
                }
            }
        }
        let input = &mut self.sources[index].input;
        input.next = input.next.max(batch.next);
        Ok(has_read)
    }

    /// Where the buffer is full, releases its lowest event time early. Nothing in a derived stream
    /// may become late by that, so a task that reads one leaves the higher times in the log.
    fn make_room(&mut self) -> Result<(), TaskError> {
        let Some(watermark) = self.buffer.overflow() else { return Ok(()) };
        // Otherwise it is full of what is due and was not released yet.
        if watermark > self.watermark() {
            if self.sources.iter().any(|source| source.input.derived) {
                if let Some(cut) = self.buffer.cut() {
                    self.metrics.cut();
                    self.cut = Some(cut);
                }
                return Ok(());
            }
            self.metrics.raised();
            self.raised_to = watermark;
        }
        self.release_below(self.watermark())
    }

    /// Processes everything before the cut, and goes back to what was left in the log.
    fn read_again(&mut self, cut: i64) -> Result<(), TaskError> {
        self.release_below(cut)?;
        self.cut = None;
        for index in 0..self.sources.len() {
            let input = &mut self.sources[index].input;
            input.read_again(self.released_to, self.raised_to);
            let next = input.next;
            self.note_removed(index, next)?;
        }
        Ok(())
    }

    /// Says where retention has removed what this task had still to read, from an offset on.
    fn note_removed(&self, index: usize, unread: Offset) -> Result<(), TaskError> {
        let input = &self.sources[index].input;
        let info = self.log.partition_info(&input.stream, input.partition).map_err(|source| {
            TaskError::Read {
                task: self.name.to_string(),
                stream: input.stream.to_string(),
                source,
            }
        })?;
        // A task that is new begins with what there is.
        if unread > 0 && unread < info.start {
            self.metrics.removed(index, info.start - unread);
            warn!(
                message = "Retention has removed entries before they were processed.",
                task = %self.name,
                stream = %input.stream,
                from = unread,
                to = info.start
            );
        }
        Ok(())
    }

    fn late(&mut self, index: usize, offset: Offset, record: Record) {
        self.metrics.late(index);
        let input = &self.sources[index].input;
        // What is late only because this task released its buffer early concerns it alone.
        let told_elsewhere = !self.sources[index].reports && record.event_time < input.watermark();
        if input.on_late == OnLate::Drop || told_elsewhere {
            return;
        }
        let reason = format!(
            "late: the event time {} is before the watermark {} of its partition",
            rfc3339(record.event_time),
            rfc3339(input.watermark().max(self.raised_to)),
        );
        let origin = input.origin(offset, &record);
        let stage = self.outbox.refuse_record(&input.stream, reason, record, &origin);
        self.metrics.refused(&stage);
    }

    /// Processes everything below the watermark, one event time after the other: first the timers
    /// of the time, then its events.
    fn release_below(&mut self, watermark: i64) -> Result<(), TaskError> {
        while let Some(time) = self.next_time().filter(|time| *time < watermark) {
            self.operators
                .fire_timers(time)
                .map_err(|source| TaskError::Timer { task: self.name.to_string(), source })?;
            self.processed_to = time;
            if self.buffer.lowest_time() == Some(time) {
                self.release_events();
            }
            self.operators.end_of_time(time);
        }
        self.released_to = self.released_to.max(watermark);
        if watermark > i64::MIN {
            // Nothing that is still to come lies below.
            self.processed_to = self.processed_to.max(watermark.saturating_sub(1));
            self.component.set_watermark(self.released_to);
        }
        Ok(())
    }

    /// The event time that comes next: that of an event or of a timer. A timer that an operator
    /// asks for when its time is over comes as soon as the order of time allows.
    fn next_time(&self) -> Option<i64> {
        let timer = self.operators.next_timer();
        let timer = timer.map(|time| time.max(self.processed_to.saturating_add(1)));
        timer.into_iter().chain(self.buffer.lowest_time()).min()
    }

    /// Processes the events of the lowest event time.
    fn release_events(&mut self) {
        let mut records = self.buffer.release();
        for Buffered { input: index, offset, record } in records.drain(..) {
            let input = &mut self.sources[index].input;
            input.released(offset);
            let origin = input.origin(offset, &record);
            if let Some(traced) = &mut self.traced {
                traced.release(&origin.stream, offset, &record.headers);
            }
            match serde_json::from_slice(&record.value) {
                Ok(value) => {
                    let event = self.event(Arc::clone(&origin.stream), record, value);
                    self.operators.process(index, &event, &origin);
                }
                Err(error) => {
                    if !self.sources[index].reports {
                        continue;
                    }
                    let stream = &self.sources[index].input.stream;
                    let reason = format!("the event is not JSON: {error}");
                    let stage = self.outbox.refuse_record(stream, reason, record, &origin);
                    self.metrics.refused(&stage);
                }
            }
        }
        self.buffer.recycle(records);
    }

    /// The event of a record whose value has been parsed.
    fn event(&self, stream: Arc<str>, record: Record, value: Value) -> Event {
        let headers = if record.headers.0.is_empty() {
            Arc::clone(&self.no_headers)
        } else {
            Arc::new(record.headers)
        };
        Event {
            stream,
            key: record.key,
            time: record.event_time,
            ingest_time: record.ingest_time,
            id: record.id,
            headers,
            value,
        }
    }

    /// At the end of input nothing more is expected: everything that is buffered is processed, then
    /// the timers that are left.
    async fn release_everything(&mut self) -> Result<(), TaskError> {
        let highest = self
            .sources
            .iter()
            .map(|source| source.input.highest_time())
            .chain(self.buffer.highest_time())
            .max();
        if let Some(highest) = highest.filter(|time| *time > i64::MIN) {
            self.raised_to = self.raised_to.max(highest.saturating_add(1));
            self.release_below(self.raised_to)?;
        }
        let mut timers = 0;
        while let Some(time) = self.next_time() {
            timers += 1;
            if timers > MOST_FINAL_TIMERS {
                return Err(TaskError::EndlessTimers { task: self.name.to_string(), timers });
            }
            self.raised_to = self.raised_to.max(time.saturating_add(1));
            self.release_below(self.raised_to)?;
            if self.is_full() {
                self.commit().await?;
            }
        }
        Ok(())
    }

    /// Waits for input, the end of a commit or the next one's time, the end of an upstream or the
    /// shutdown.
    async fn wait(&mut self, shutdown: &CancellationToken) -> Woken {
        self.component.set_lag(self.lag());
        let deadline = self.commit_deadline();
        let until_end = self.until_end;
        let mut changes = Vec::new();
        for source in &mut self.sources {
            let ends = until_end && !*source.upstream_finished.borrow();
            changes.push(Box::pin(async move {
                tokio::select! {
                    result = source.end.changed() => result.is_ok(),
                    result = source.upstream_finished.changed(), if ends => result.is_ok(),
                }
            }));
        }
        let commit_time = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let committed = async {
            match &mut self.committing {
                Some(committing) => committing.end().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Woken::Change,
            end = committed => Woken::Committed(end),
            (alive, ..) = select_all(changes) => {
                // A log that is closing no longer tells of changes; the shutdown comes next.
                if !alive {
                    shutdown.cancelled().await;
                }
                Woken::Change
            }
            () = commit_time => Woken::CommitTime,
        }
    }

    /// Offsets that are still to be read.
    pub(crate) fn lag(&self) -> i64 {
        self.sources.iter().map(|source| (*source.end.borrow() - source.input.next).max(0)).sum()
    }
}
