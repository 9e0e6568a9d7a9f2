//! Replays: recorded events of a stream, appended again to one that clients write.
//!
//! What is appended and how far that reaches commit together, so that a replay that was
//! interrupted goes on where it was, and appends nothing twice.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use millrace_core::DeadLetter;
use millrace_core::Event;
use millrace_core::EventId;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_core::dead_letter::SourcePosition;
use millrace_core::key::KeyError;
use millrace_core::key::key_of;
use millrace_core::key::partition_of;
use millrace_core::time::event_time;
use millrace_core::time::rfc3339;
use millrace_core::with_causes;
use millrace_log::Append;
use millrace_log::Entry;
use millrace_log::InputPosition;
use millrace_log::Log;
use millrace_log::ReadLimit;
use millrace_log::TaskClaim;
use millrace_log::TaskCommit;
use millrace_log::TaskName;
use millrace_plan::Plan;
use millrace_plan::model::IngestedStream;
use millrace_plan::model::StreamOrigin;
use millrace_plan::model::StreamPlan;
use parking_lot::Mutex;
use serde::Serialize;
use tracing::info;
use tracing::warn;

use crate::process::live::now_millis;

/// What is read and appended at once.
const BATCH: ReadLimit = ReadLimit { entries: 1000, bytes: 4 << 20 };

/// Replays that are remembered; the oldest that are done go first.
const MAX_REPLAYS: usize = 100;

/// Replays that run at once.
const MAX_RUNNING: usize = 4;

/// Where a replay begins or ends, in each partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// An event time, in milliseconds since 1970.
    Time(i64),
    /// An offset.
    Offset(Offset),
}

/// A time or offset that is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither an offset nor a time: write a number, or RFC 3339 such as 2026-01-01T00:00:00Z"
)]
pub(crate) struct ParseBoundError(String);

impl std::str::FromStr for Bound {
    type Err = ParseBoundError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(offset) = text.parse::<Offset>()
            && offset >= 0
        {
            return Ok(Self::Offset(offset));
        }
        let time = millrace_core::time::parse_rfc3339(text);
        time.map(Self::Time).ok_or_else(|| ParseBoundError(text.to_owned()))
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Time(time) => f.write_str(&rfc3339(*time)),
            Self::Offset(offset) => write!(f, "{offset}"),
        }
    }
}

/// What to replay.
#[derive(Debug, Clone)]
pub(crate) struct ReplayRequest {
    /// The recorded stream.
    pub(crate) stream: StreamName,
    /// Where it begins, included.
    pub(crate) from: Bound,
    /// Where it ends, not included; none: where the stream ends when the replay first begins.
    pub(crate) until: Option<Bound>,
    /// The stream that takes the events.
    pub(crate) to: StreamName,
}

impl ReplayRequest {
    /// What the same replay always has, and no other.
    fn id(&self) -> String {
        let text = format!("{} {:?} {:?} {}", self.stream, self.from, self.until, self.to);
        blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
    }

    fn wants(&self, offset: Offset, record: &Record) -> bool {
        let from = match self.from {
            Bound::Time(time) => record.event_time >= time,
            Bound::Offset(from) => offset >= from,
        };
        from && match self.until {
            Some(Bound::Time(time)) => record.event_time < time,
            Some(Bound::Offset(until)) => offset < until,
            None => true,
        }
    }
}

/// What a replay is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ReplayState {
    Running,
    Done,
    Failed,
}

/// How far a replay has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReplayProgress {
    /// The replay.
    pub(crate) id: String,
    /// What it is doing.
    pub(crate) state: ReplayState,
    /// Entries to look at, all told.
    pub(crate) total: i64,
    /// Of these, those that have been looked at.
    pub(crate) done: i64,
    /// Events that were appended since it was last begun.
    pub(crate) appended: u64,
    /// Events that became dead letters since then: the stream does not take them.
    pub(crate) refused: u64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// The replays of this process.
#[derive(Clone)]
pub(super) struct Replays {
    plan: Arc<Plan>,
    log: Arc<dyn Log>,
    jobs: Arc<Mutex<HashMap<String, ReplayProgress>>>,
}

type Trouble = Box<dyn std::error::Error + Send + Sync>;

impl Replays {
    pub(super) fn new(plan: Arc<Plan>, log: Arc<dyn Log>) -> Self {
        Self { plan, log, jobs: Arc::default() }
    }

    /// Begins or continues a replay, or joins it where it runs; the reason if it cannot be.
    pub(super) fn begin(
        &self,
        request: ReplayRequest,
        restart: bool,
    ) -> Result<ReplayProgress, String> {
        let source = self.stream(&request.stream)?;
        let target = self.stream(&request.to)?;
        let StreamOrigin::Ingested(takes) = target.origin.clone() else {
            return Err(format!(
                "stream `{}` is computed and takes no events: write one that clients write",
                target.name
            ));
        };
        let id = request.id();
        let progress = ReplayProgress {
            id: id.clone(),
            state: ReplayState::Running,
            total: 0,
            done: 0,
            appended: 0,
            refused: 0,
            reason: None,
        };
        if let Some(running) = self.enter(&progress)? {
            return Ok(running);
        }
        let job = Job {
            replays: self.clone(),
            source: source.clone(),
            target: target.clone(),
            takes,
            request,
            id,
        };
        // On its own, since whoever asked for it may leave.
        tokio::spawn(job.run(restart));
        Ok(progress)
    }

    /// How far a replay has come.
    pub(super) fn progress(&self, id: &str) -> Option<ReplayProgress> {
        self.jobs.lock().get(id).cloned()
    }

    fn stream(&self, name: &StreamName) -> Result<&StreamPlan, String> {
        self.plan.stream(name).ok_or_else(|| {
            let known: Vec<_> = self.plan.streams.iter().map(|s| s.name.as_str()).collect();
            format!("there is no stream `{name}`; there are {}", known.join(", "))
        })
    }

    /// Takes a replay up; returns it if it runs already.
    pub(super) fn enter(
        &self,
        progress: &ReplayProgress,
    ) -> Result<Option<ReplayProgress>, String> {
        let mut jobs = self.jobs.lock();
        let is_running = |job: &&ReplayProgress| job.state == ReplayState::Running;
        if let Some(running) = jobs.get(&progress.id).filter(is_running) {
            return Ok(Some(running.clone()));
        }
        if jobs.values().filter(is_running).count() >= MAX_RUNNING {
            return Err(format!("{MAX_RUNNING} replays run: wait until one is done"));
        }
        if jobs.len() >= MAX_REPLAYS {
            let done = jobs.values().find(|job| job.state != ReplayState::Running);
            if let Some(id) = done.map(|job| job.id.clone()) {
                jobs.remove(&id);
            }
        }
        jobs.insert(progress.id.clone(), progress.clone());
        Ok(None)
    }
}

fn task(id: &str, partition: Partition) -> TaskName {
    TaskName { stage: format!("replay.{id}"), partition }
}

/// What is left to read of a partition.
struct Span {
    partition: Partition,
    claim: TaskClaim,
    next: Offset,
    end: Offset,
}

/// A replay at work.
struct Job {
    replays: Replays,
    source: StreamPlan,
    target: StreamPlan,
    takes: IngestedStream,
    request: ReplayRequest,
    id: String,
}

impl Job {
    async fn run(self, restart: bool) {
        let result = self.replay(restart).await;
        self.tell(|progress| match &result {
            Ok(()) => progress.state = ReplayState::Done,
            Err(error) => {
                progress.state = ReplayState::Failed;
                progress.reason = Some(with_causes(&**error));
            }
        });
        match result {
            Ok(()) => info!(message = "A replay is done.", id = self.id),
            Err(error) => {
                warn!(message = "A replay broke off.", id = self.id, error = with_causes(&*error));
            }
        }
    }

    fn tell(&self, change: impl FnOnce(&mut ReplayProgress)) {
        if let Some(progress) = self.replays.jobs.lock().get_mut(&self.id) {
            change(progress);
        }
    }

    async fn replay(&self, restart: bool) -> Result<(), Trouble> {
        let partitions = 0..self.source.partitions;
        if restart {
            let tasks: Vec<_> = partitions.clone().map(|at| task(&self.id, at)).collect();
            self.replays.log.remove(&[], &tasks).await?;
        }
        // All ends before the first event: into its own stream, or one that is made from it, a
        // replay would otherwise never come to an end.
        let mut spans = Vec::new();
        for partition in partitions {
            spans.push(self.span(partition).await?);
        }
        for span in spans {
            self.partition(span).await?;
        }
        Ok(())
    }

    /// What is to be read of a partition; fixed when the replay first begins.
    async fn span(&self, partition: Partition) -> Result<Span, Trouble> {
        let log = &self.replays.log;
        let info = log.partition_info(&self.source.name, partition)?;
        let (claim, snapshot) = log.claim_task(&task(&self.id, partition)).await?;
        let first = match self.request.from {
            Bound::Offset(from) => from.clamp(info.start, info.end),
            Bound::Time(_) => info.start,
        };
        let last = match self.request.until {
            Some(Bound::Offset(until)) => until.clamp(first, info.end.max(first)),
            _ => info.end,
        };
        let (next, end) = if let Some(position) = snapshot.positions.first() {
            let end = <[u8; 8]>::try_from(&*position.metadata).map_or(last, Offset::from_be_bytes);
            (position.next, end)
        } else {
            let positions = vec![self.position(partition, first, last)];
            log.commit_task(&claim, TaskCommit { positions, ..TaskCommit::default() }).await?;
            (first, last)
        };
        self.tell(|progress| {
            progress.total += (end - first).max(0);
            progress.done += (next - first).max(0);
        });
        Ok(Span { partition, claim, next, end })
    }

    fn position(&self, partition: Partition, next: Offset, end: Offset) -> InputPosition {
        let metadata = Bytes::copy_from_slice(&end.to_be_bytes());
        InputPosition { stream: self.source.name.clone(), partition, next, metadata }
    }

    async fn partition(&self, span: Span) -> Result<(), Trouble> {
        let log = &self.replays.log;
        let Span { partition, claim, mut next, end } = span;
        while next < end {
            let batch = log.read(&self.source.name, partition, next, BATCH).await?;
            if batch.next <= next {
                break;
            }
            let (mut outputs, mut refused) = (Vec::new(), 0);
            for (offset, entry) in batch.entries {
                let Entry::Record(record) = entry else { continue };
                if offset >= end || !self.request.wants(offset, &record) {
                    continue;
                }
                outputs.push(match self.taken(&record) {
                    Ok(taken) => self.append(taken),
                    Err(reason) => {
                        refused += 1;
                        self.dead_letter(partition, offset, record, reason)
                    }
                });
            }
            let appended = outputs.len() as u64 - refused;
            let reached = batch.next.min(end);
            let position = self.position(partition, reached, end);
            let commit = TaskCommit { outputs, state: Vec::new(), positions: vec![position] };
            log.commit_task(&claim, commit).await?;
            self.tell(|progress| {
                progress.done += reached - next;
                progress.appended += appended;
                progress.refused += refused;
            });
            next = reached;
        }
        Ok(())
    }

    /// The event as the stream takes it, or why it does not. In another stream than its own it has
    /// the key, the time and the identity that are declared there.
    fn taken(&self, record: &Record) -> Result<Record, String> {
        let event = Event::parse(Arc::from(self.target.name.as_str()), record.clone())
            .map_err(|error| format!("the event is not JSON: {error}"))?;
        if let Some(schema) = &self.takes.schema {
            schema.validate(&event.value).map_err(|violations| {
                let all: Vec<_> = violations.iter().map(ToString::to_string).collect();
                all.join("; ")
            })?;
        }
        let mut taken = record.clone();
        if self.source.name == self.target.name {
            return Ok(taken);
        }
        let refused = |error: KeyError| error.to_string();
        taken.key = key_of(&event.value, &self.takes.key).map_err(refused)?;
        if let Some(field) = &self.takes.event_time {
            taken.event_time = event_time(&event.value, &field.path, field.format)
                .map_err(|error| error.to_string())?;
        }
        if let Some(path) = &self.takes.event_id {
            let declared = key_of(&event.value, std::slice::from_ref(path)).map_err(refused)?;
            taken.id = EventId::declared(self.target.name.as_str(), &declared);
        }
        Ok(taken)
    }

    fn append(&self, record: Record) -> Append {
        Append {
            stream: self.target.name.clone(),
            partition: partition_of(&record.key, self.target.partitions),
            entry: Entry::Record(Record { ingest_time: now_millis(), ..record }),
        }
    }

    fn dead_letter(
        &self,
        partition: Partition,
        offset: Offset,
        record: Record,
        reason: String,
    ) -> Append {
        let stage = format!("stream/{}", self.target.name);
        let letter = DeadLetter {
            id: EventId::of_dead_letter(&stage, record.id.as_bytes(), &record.value),
            stage,
            reason,
            context: String::new(),
            source: Some(SourcePosition {
                stream: self.source.name.to_string(),
                partition,
                offset,
            }),
            key: record.key,
            event_time: record.event_time,
            ingest_time: record.ingest_time,
            original: record.value,
        };
        Append {
            stream: StreamName::dead_letters(),
            partition: 0,
            entry: Entry::Record(letter.into_record()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_an_offset_or_a_time() {
        assert_eq!("17".parse(), Ok(Bound::Offset(17)));
        assert_eq!("2026-01-01T00:00:00Z".parse(), Ok(Bound::Time(1_767_225_600_000)));
        assert!("-1".parse::<Bound>().is_err());
        assert!("yesterday".parse::<Bound>().is_err());
    }
}
