//! Runs rebuilds beside what is served, and switches when they have come as far.

use std::sync::Arc;
use std::time::Duration;

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_core::with_causes;
use millrace_log::Entry;
use millrace_log::ReadLimit;
use millrace_plan::model::SinkPlan;
use millrace_plan::model::SinkTarget;
use millrace_sinks::group_of;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;

use super::begin::BeginRebuildError;
use super::begin::check_length;
use super::edition::Edition;
use super::edition::Parts;
use super::ensure::ensure_log;
use super::gate::Ends;
use super::ledger::PendingRecord;
use super::pending::Pending;
use super::pending::Reached;
use super::pending::positions;
use super::progress::RebuildProgress;
use super::progress::RebuildState;
use super::progress::counted;
use super::serving::Serving;
use crate::process::computing::ComputeContext;
use crate::process::computing::Computing;

/// Between two looks at how far it has come.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// Before a switch, and between two attempts when something holds it up.
const AGAIN: Duration = Duration::from_secs(2);

/// How far behind a rebuild may be, in entries of one partition, for a switch to begin: what is
/// left is read while what was served has stopped.
const CLOSE: Offset = 1000;

/// Entries that a table sink passes at most without a commit, if they are marks.
const MARKS: usize = 1000;

/// How long what was served may stand still at a switch.
pub(super) const STANDSTILL: Duration = Duration::from_secs(10);

/// How long a rebuild may take to stop.
pub(super) const PATIENCE: Duration = Duration::from_millis(800);

/// Runs rebuilds.
pub(crate) struct Rebuilder {
    pub(crate) serving: Arc<Serving>,
    pub(crate) context: Arc<ComputeContext>,
    /// What is served at work; none once the process stops.
    pub(crate) computing: Arc<Mutex<Option<Computing>>>,
    /// How long other processes take at most to see what is to stand still; none: there are none.
    pub(crate) others: Option<Duration>,
}

/// What a rebuild came to.
pub(super) enum Outcome {
    Switched,
    /// Another one takes its place.
    Superseded,
    /// It cannot come to an end; why.
    GivenUp(String),
    Stopped,
}

/// The end of a stream for a sink that sends what is in it.
pub(super) struct SinkEnd {
    pub(super) sink: String,
    /// Whether it sends to clients of our own endpoint.
    pub(super) is_own: bool,
    pub(super) group: String,
    pub(super) stream: StreamName,
    pub(super) below: StreamName,
    pub(super) partition: Partition,
    pub(super) end: Offset,
}

pub(super) type Trouble = Box<dyn std::error::Error + Send + Sync>;

impl Rebuilder {
    /// Runs the rebuild that there is and each that is asked for, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        loop {
            let Some((edition, parts)) = self.serving.pending().await else {
                let woken = self.serving.wake.notified();
                if stop.run_until_cancelled(woken).await.is_none() {
                    return;
                }
                continue;
            };
            match self.rebuild(&edition, &parts, &stop).await {
                Ok(Outcome::Stopped) => return,
                Ok(Outcome::Switched | Outcome::Superseded | Outcome::GivenUp(_)) => {
                    if let Err(error) = self.serving.clear().await {
                        let error = with_causes(&error);
                        warn!(message = "What is left over goes at the next start.", error);
                    }
                }
                Err(error) => {
                    let reason = with_causes(&*error);
                    warn!(message = "A rebuild waits.", error = reason);
                    self.tell(RebuildState::Waiting, Some(reason));
                    if stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    async fn rebuild(
        &self,
        edition: &Edition,
        parts: &Parts,
        stop: &CancellationToken,
    ) -> Result<Outcome, Trouble> {
        let serving = &self.serving;
        let Some(record) = self.record(edition).await else {
            return Ok(Outcome::Superseded);
        };
        self.begin_progress(&record, parts);
        serving.clear().await?;
        ensure_log(&*serving.log, edition).await?;
        let sinks = edition.table_sinks();
        let sinks = sinks.iter().filter(|sink| parts.sinks.contains(&sink.name));
        let specs: Vec<_> = sinks.map(millrace_tables::sink::TableSink::spec).collect();
        serving.tables.ensure_tables(&specs).await?;
        info!(message = "A rebuild goes on beside what is served.", parts = ?parts);
        let outcome = match self.find_going_on(edition, parts, &record, stop).await? {
            Some(outcome) => outcome,
            None => self.make(edition, parts, stop).await?,
        };
        match &outcome {
            Outcome::Switched => {
                self.resume(edition, parts, stop).await;
                self.tell(RebuildState::Done, None);
            }
            Outcome::GivenUp(reason) => {
                warn!(message = "A rebuild is given up.", reason);
                serving.give_up(&record.to, reason).await?;
                self.tell(RebuildState::GivenUp, Some(reason.clone()));
            }
            Outcome::Superseded | Outcome::Stopped => {}
        }
        Ok(outcome)
    }

    /// Fills what is new until it has been switched to.
    async fn make(
        &self,
        edition: &Edition,
        parts: &Parts,
        stop: &CancellationToken,
    ) -> Result<Outcome, Trouble> {
        let Some(record) = self.record(edition).await else { return Ok(Outcome::Superseded) };
        let pending = self.start_pending(edition, parts, None);
        let outcome = self.fill(&pending, edition, parts, &record, stop).await;
        pending.stop(PATIENCE).await;
        outcome
    }

    async fn record(&self, edition: &Edition) -> Option<PendingRecord> {
        let store = self.serving.ledger.lock().await;
        let record = store.ledger().pending.clone();
        record.filter(|record| record.to == edition.numbers)
    }

    pub(super) fn start_pending(
        &self,
        edition: &Edition,
        parts: &Parts,
        gate: Option<Ends>,
    ) -> Pending {
        let Serving { log, tables, .. } = &*self.serving;
        Pending::start(log, tables, edition, parts, self.context.batch, gate)
    }

    /// Follows the rebuild until it has been switched to.
    async fn fill(
        &self,
        pending: &Pending,
        edition: &Edition,
        parts: &Parts,
        record: &PendingRecord,
        stop: &CancellationToken,
    ) -> Result<Outcome, Trouble> {
        loop {
            if let Some(outcome) = self.look(record, stop).await {
                return Ok(outcome);
            }
            let reached = self.reached(edition, parts).await?;
            self.show(&reached, record, pending.trouble());
            if let Some(reason) = self.too_short(edition, parts, record, &reached).await? {
                return Ok(Outcome::GivenUp(reason));
            }
            if self.is_close(&reached, edition, parts, record).await? {
                if let Some(outcome) = self.switch(edition, parts, record, stop).await? {
                    return Ok(outcome);
                }
                // What was served is to get on before it is held up again.
                if stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_none() {
                    return Ok(Outcome::Stopped);
                }
            }
        }
    }

    /// Waits a little, and says if this rebuild is no longer wanted then.
    pub(super) async fn look(
        &self,
        record: &PendingRecord,
        stop: &CancellationToken,
    ) -> Option<Outcome> {
        if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
            return Some(Outcome::Stopped);
        }
        let store = self.serving.ledger.lock().await;
        let present = store.ledger().pending.as_ref();
        present.is_none_or(|present| present.to != record.to).then_some(Outcome::Superseded)
    }

    /// Why the log no longer has what is still to be read, if that matters.
    pub(super) async fn too_short(
        &self,
        edition: &Edition,
        parts: &Parts,
        record: &PendingRecord,
        reached: &[Reached],
    ) -> Result<Option<String>, Trouble> {
        if self.serving.ledger.lock().await.ledger().partial {
            return Ok(None);
        }
        match check_length(&*self.serving.log, edition, parts, record, reached) {
            Ok(()) => Ok(None),
            Err(error @ BeginRebuildError::TooShort { .. }) => Ok(Some(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn reached(
        &self,
        edition: &Edition,
        parts: &Parts,
    ) -> Result<Vec<Reached>, Trouble> {
        let serving = &self.serving;
        Ok(positions(&*serving.log, &*serving.tables, edition, parts).await?)
    }

    /// Whether everything has been read that was there at the beginning, and little else is left.
    async fn is_close(
        &self,
        reached: &[Reached],
        edition: &Edition,
        parts: &Parts,
        record: &PendingRecord,
    ) -> Result<bool, Trouble> {
        let served = self.serving.served().await;
        let old = self.reached(&served, parts).await?;
        for at in reached.iter().cloned() {
            let end =
                self.serving.log.partition_info(&edition.stream(&at.stream), at.partition)?.end;
            let target = record
                .targets
                .iter()
                .find(|mark| mark.stream == at.stream.as_str() && mark.partition == at.partition)
                .map(|mark| mark.offset);
            // A task of several inputs reads one no further than the others allow; as far as it
            // was read before is then far enough.
            let before = before(&old, &at).filter(|_| parts.stages.contains(&at.part));
            let needed = match target {
                Some(target) => before.map_or(target, |before| before.min(target)),
                None => 0,
            };
            let close = before.unwrap_or(end).min(end) - CLOSE;
            let wanted = needed.max(close);
            if at.next < wanted && !self.has_rest(edition, parts, &at, wanted).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Stops what is served, waits until the rebuild has come as far, and serves it. None if that
    /// takes too long: then what was served goes on.
    async fn switch(
        &self,
        edition: &Edition,
        parts: &Parts,
        record: &PendingRecord,
        stop: &CancellationToken,
    ) -> Result<Option<Outcome>, Trouble> {
        self.tell(RebuildState::Switching, None);
        let served = self.serving.served().await;
        let resting = self.serving.resting().await;
        let mut computing = self.computing.lock().await;
        let Some(running) = computing.as_mut() else { return Ok(Some(Outcome::Stopped)) };
        let editions = (&served, edition);
        let result = self.exchange(running, editions, parts, &resting, record, stop).await;
        if !matches!(result, Ok(Some(Outcome::Switched | Outcome::Stopped))) {
            running.stop().await;
            self.start(&mut computing, &served, &resting, stop).await;
            self.serving.halt(None).await?;
        }
        result
    }

    /// Starts what was stopped for the switch, at the new generations.
    async fn resume(&self, edition: &Edition, parts: &Parts, stop: &CancellationToken) {
        let mut computing = self.computing.lock().await;
        let Some(running) = computing.as_mut() else { return };
        if parts.stages.is_empty() {
            let sinks = edition.table_sinks();
            let sinks = sinks.into_iter().filter(|sink| parts.sinks.contains(&sink.name));
            running.start_tables(&self.context, sinks);
            let resting = self.serving.resting().await;
            running.goes_on_as(edition, &resting);
        } else {
            let resting = self.serving.resting().await;
            self.start(&mut computing, edition, &resting, stop).await;
        }
    }

    /// Starts what is served, as often as it takes: while nothing computes, nothing goes out.
    async fn start(
        &self,
        computing: &mut Option<Computing>,
        edition: &Edition,
        resting: &Parts,
        stop: &CancellationToken,
    ) {
        loop {
            let reason = match Computing::start(&self.context, edition, resting) {
                Ok(started) => {
                    *computing = Some(started);
                    return;
                }
                Err(error) => with_causes(&error),
            };
            warn!(message = "What is served cannot start; trying again.", error = reason);
            self.tell(RebuildState::Waiting, Some(reason));
            if stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_none() {
                return;
            }
        }
    }

    /// Whether nothing but marks is left for a table sink up to an offset: marks alone do not make
    /// it commit.
    pub(super) async fn has_rest(
        &self,
        edition: &Edition,
        parts: &Parts,
        at: &Reached,
        wanted: Offset,
    ) -> Result<bool, Trouble> {
        let entries = usize::try_from(wanted - at.next).unwrap_or(usize::MAX);
        if !parts.sinks.contains(&at.part) || entries > MARKS {
            return Ok(false);
        }
        let limit = ReadLimit { entries, ..ReadLimit::default() };
        let below = edition.stream(&at.stream);
        let batch = self.serving.log.read(&below, at.partition, at.next, limit).await?;
        let is_record = |(offset, entry): &(Offset, Entry)| {
            *offset < wanted && matches!(entry, Entry::Record(_))
        };
        Ok(batch.next >= wanted && !batch.entries.iter().any(is_record))
    }

    /// The ends of the streams of stages, for each sink that sends what is in them.
    pub(super) fn ends(&self, edition: &Edition, parts: &Parts) -> Result<Vec<SinkEnd>, Trouble> {
        let plan = edition.outward();
        let mut ends = Vec::new();
        for sink in plan.sinks.iter().filter(|sink| sends(sink)) {
            for stream in sink.from.iter().filter_map(|name| plan.stream(name)) {
                if !edition.is_made_by(parts, &stream.name) {
                    continue;
                }
                let below = edition.stream(&stream.name);
                for partition in 0..stream.partitions {
                    let end = self.serving.log.partition_info(&below, partition)?.end;
                    ends.push(SinkEnd {
                        sink: sink.name.clone(),
                        is_own: is_own(sink),
                        group: group_of(sink),
                        stream: stream.name.clone(),
                        below: below.clone(),
                        partition,
                        end,
                    });
                }
            }
        }
        Ok(ends)
    }

    fn begin_progress(&self, record: &PendingRecord, parts: &Parts) {
        let mut progress = self.serving.progress.write();
        let done = progress.as_ref().map_or(0, |progress| progress.done);
        *progress = Some(RebuildProgress {
            state: RebuildState::Starting,
            parts: parts.stages.iter().chain(&parts.sinks).cloned().collect(),
            total: 0,
            done,
            since: record.since,
            reason: None,
        });
    }

    pub(super) fn show(
        &self,
        reached: &[Reached],
        record: &PendingRecord,
        trouble: Option<String>,
    ) {
        let (total, done) = counted(reached, record);
        if let Some(progress) = self.serving.progress.write().as_mut() {
            progress.state =
                if trouble.is_some() { RebuildState::Waiting } else { RebuildState::Filling };
            (progress.total, progress.done, progress.reason) = (total, done, trouble);
        }
    }

    fn tell(&self, state: RebuildState, reason: Option<String>) {
        if let Some(progress) = self.serving.progress.write().as_mut() {
            progress.state = state;
            progress.reason = reason;
            if state == RebuildState::Done {
                progress.done = progress.total;
            }
        }
    }
}

pub(super) fn before(others: &[Reached], at: &Reached) -> Option<Offset> {
    let same = |other: &&Reached| {
        other.part == at.part && other.stream == at.stream && other.partition == at.partition
    };
    others.iter().find(same).map(|other| other.next)
}

/// Whether a sink sends to clients of our own endpoint.
fn is_own(sink: &SinkPlan) -> bool {
    matches!(&sink.target, SinkTarget::Mqtt(mqtt) if mqtt.broker.is_none())
}

/// Whether a sink sends what it reads, and keeps its positions with the log's groups.
fn sends(sink: &SinkPlan) -> bool {
    matches!(sink.target, SinkTarget::Mqtt(_) | SinkTarget::Webhook(_))
}
