//! Runs rebuilds beside what is served, and switches when they have come as far.

use std::sync::Arc;
use std::time::Duration;

use millrace_core::Offset;
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

use super::edition::Edition;
use super::edition::Parts;
use super::ledger::PendingRecord;
use super::pending::Pending;
use super::pending::Reached;
use super::pending::positions;
use super::progress::RebuildProgress;
use super::progress::RebuildState;
use super::serving::Serving;
use crate::process::computing::ComputeContext;
use crate::process::computing::Computing;

/// Between two looks at how far it has come.
const LOOK: Duration = Duration::from_millis(100);

/// Before a switch, and between two attempts when something holds it up.
const AGAIN: Duration = Duration::from_secs(2);

/// How far behind a rebuild may be, in entries of one partition, for a switch to begin: what is
/// left is read while what was served has stopped.
const CLOSE: Offset = 1000;

/// Entries that a table sink passes at most without a commit, if they are marks.
const MARKS: usize = 1000;

/// How long what was served may stand still at a switch.
const STANDSTILL: Duration = Duration::from_secs(10);

/// How long a rebuild may take to stop.
const PATIENCE: Duration = Duration::from_millis(800);

/// Runs rebuilds.
pub(crate) struct Rebuilder {
    pub(crate) serving: Arc<Serving>,
    pub(crate) context: Arc<ComputeContext>,
    /// What is served at work; none once the process stops.
    pub(crate) computing: Arc<Mutex<Option<Computing>>>,
}

/// What a rebuild came to.
enum Outcome {
    Switched,
    /// Another one takes its place.
    Superseded,
    Stopped,
}

/// What a switch waits for.
#[derive(Clone, Copy)]
enum Awaited<'a> {
    /// Parts of an edition have read as far as others had.
    Passed(&'a Edition, &'a Parts, &'a [Reached]),
    /// Sinks have sent all that stages made.
    Sent(&'a Edition, &'a Parts),
}

type Trouble = Box<dyn std::error::Error + Send + Sync>;

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
                Ok(Outcome::Switched | Outcome::Superseded) => {
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
        let Some(record) = serving.ledger.lock().await.ledger().pending.clone() else {
            return Ok(Outcome::Superseded);
        };
        self.begin_progress(&record, parts);
        serving.clear().await?;
        serving.log.ensure_streams(&edition.streams()).await?;
        let sinks = edition.table_sinks();
        let sinks = sinks.iter().filter(|sink| parts.sinks.contains(&sink.name));
        let specs: Vec<_> = sinks.map(millrace_tables::sink::TableSink::spec).collect();
        serving.tables.ensure_tables(&specs).await?;
        info!(message = "A rebuild goes on beside what is served.", parts = ?parts);
        let pending =
            Pending::start(&serving.log, &serving.tables, edition, parts, self.context.batch);
        let outcome = self.fill(&pending, edition, parts, &record, stop).await;
        pending.stop(PATIENCE).await;
        match outcome? {
            Outcome::Switched => {
                self.resume(edition, parts).await?;
                self.tell(RebuildState::Done, None);
                Ok(Outcome::Switched)
            }
            outcome => Ok(outcome),
        }
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
            let pause = tokio::time::sleep(LOOK);
            if stop.run_until_cancelled(pause).await.is_none() {
                return Ok(Outcome::Stopped);
            }
            let present = self.serving.ledger.lock().await.ledger().pending.clone();
            if present.as_ref().is_none_or(|present| present.to != record.to) {
                return Ok(Outcome::Superseded);
            }
            let reached = self.reached(edition, parts).await?;
            self.show(&reached, record, pending.trouble());
            if self.is_close(&reached, edition, parts, record).await?
                && self.switch(edition, parts, stop).await?
            {
                return Ok(Outcome::Switched);
            }
        }
    }

    async fn reached(&self, edition: &Edition, parts: &Parts) -> Result<Vec<Reached>, Trouble> {
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

    /// Stops what is served, waits until the rebuild has come as far, and serves it. False if that
    /// takes too long: then what was served goes on.
    async fn switch(
        &self,
        edition: &Edition,
        parts: &Parts,
        stop: &CancellationToken,
    ) -> Result<bool, Trouble> {
        self.tell(RebuildState::Switching, None);
        let served = self.serving.served().await;
        let resting = self.serving.resting().await;
        let mut computing = self.computing.lock().await;
        let Some(running) = computing.as_mut() else { return Ok(false) };
        // Sinks that send go on in the new streams from here: what the new tasks have made so far
        // the old ones have made, too, once they have read as far.
        let marks = self.ends(edition, parts)?;
        let far = self.reached(edition, parts).await?;
        let stages = Parts { stages: parts.stages.clone(), ..Parts::default() };
        let moving = Parts {
            stages: parts.stages.difference(&resting.stages).cloned().collect(),
            sinks: parts.sinks.difference(&resting.sinks).cloned().collect(),
        };
        let old_tasks = Parts { stages: moving.stages.clone(), ..Parts::default() };
        let ready = self.until(stop, Awaited::Passed(&served, &old_tasks, &far)).await?;
        if ready && parts.stages.is_empty() {
            running.stop_tables(&parts.sinks).await;
        } else if ready {
            running.stop_engine().await;
        }
        let sent = ready && self.until(stop, Awaited::Sent(&served, &stages)).await?;
        if sent && !parts.stages.is_empty() {
            running.stop().await;
        }
        let last = self.reached(&served, &moving).await?;
        let passed = sent && self.until(stop, Awaited::Passed(edition, parts, &last)).await?;
        if !passed {
            running.stop().await;
            *computing = Some(Computing::start(&self.context, &served, &resting)?);
            return Ok(false);
        }
        for (group, stream, partition, end) in marks {
            self.serving.log.commit_group_offset(&group, &stream, partition, end).await?;
        }
        while let Err(error) = self.serving.switch().await {
            // From the moment the ledger was changed there is no way back.
            warn!(message = "The switch goes on.", error = with_causes(&error));
            tokio::time::sleep(LOOK).await;
        }
        Ok(true)
    }

    /// Starts what was stopped for the switch, at the new generations.
    async fn resume(&self, edition: &Edition, parts: &Parts) -> Result<(), Trouble> {
        let mut computing = self.computing.lock().await;
        let Some(running) = computing.as_mut() else { return Ok(()) };
        if parts.stages.is_empty() {
            let sinks = edition.table_sinks();
            let sinks = sinks.into_iter().filter(|sink| parts.sinks.contains(&sink.name));
            running.start_tables(&self.context, sinks);
        } else {
            *computing = Some(Computing::start(&self.context, edition, &Parts::default())?);
        }
        Ok(())
    }

    /// Waits until something holds, but not longer than what is served may stand still.
    async fn until(&self, stop: &CancellationToken, awaited: Awaited<'_>) -> Result<bool, Trouble> {
        let deadline = tokio::time::Instant::now() + STANDSTILL;
        loop {
            let holds = match awaited {
                Awaited::Passed(edition, parts, others) => {
                    self.has_passed(edition, parts, others).await?
                }
                Awaited::Sent(edition, parts) => self.has_sent(edition, parts).await?,
            };
            if holds {
                return Ok(true);
            }
            if stop.is_cancelled() || tokio::time::Instant::now() > deadline {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether parts of an edition have read as far as others had. Positions in streams that are
    /// not the same ones say nothing.
    async fn has_passed(
        &self,
        edition: &Edition,
        parts: &Parts,
        others: &[Reached],
    ) -> Result<bool, Trouble> {
        let plan = &edition.plan;
        let is_new = |stream: &StreamName| {
            plan.stage_of(stream).is_some_and(|i| parts.stages.contains(&plan.stages[i].name))
        };
        for at in self.reached(edition, parts).await? {
            let wanted = if is_new(&at.stream) {
                let below = edition.stream(&at.stream);
                Some(self.serving.log.partition_info(&below, at.partition)?.end)
            } else {
                before(others, &at)
            };
            if let Some(wanted) = wanted.filter(|wanted| at.next < *wanted)
                && !self.has_rest(edition, parts, &at, wanted).await?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether nothing but marks is left for a table sink up to an offset: marks alone do not make
    /// it commit.
    async fn has_rest(
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

    /// Whether the sinks that send have sent all that the old tasks made.
    async fn has_sent(&self, served: &Edition, parts: &Parts) -> Result<bool, Trouble> {
        for (group, stream, partition, end) in self.ends(served, parts)? {
            let sent = self.serving.log.group_offset(&group, &stream, partition).await?;
            if sent.unwrap_or(0) < end {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The ends of the streams of stages, for each sink that sends what is in them.
    fn ends(
        &self,
        edition: &Edition,
        parts: &Parts,
    ) -> Result<Vec<(String, StreamName, i32, Offset)>, Trouble> {
        let plan = &edition.plan;
        let mut ends = Vec::new();
        for sink in plan.sinks.iter().filter(|sink| sends(sink)) {
            for stream in sink.from.iter().filter_map(|name| plan.stream(name)) {
                let of = plan.stage_of(&stream.name).map(|stage| &plan.stages[stage].name);
                if !of.is_some_and(|stage| parts.stages.contains(stage)) {
                    continue;
                }
                let below = edition.stream(&stream.name);
                for partition in 0..stream.partitions {
                    let end = self.serving.log.partition_info(&below, partition)?.end;
                    ends.push((group_of(sink), below.clone(), partition, end));
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

    fn show(&self, reached: &[Reached], record: &PendingRecord, trouble: Option<String>) {
        let (mut total, mut done) = (0, 0);
        for at in reached {
            for target in &record.targets {
                if target.stream == at.stream.as_str() && target.partition == at.partition {
                    let marks = record.began.get(&at.part).map(Vec::as_slice).unwrap_or_default();
                    let first = marks
                        .iter()
                        .find(|m| m.stream == target.stream && m.partition == at.partition)
                        .map_or(0, |mark| mark.offset);
                    total += target.offset - first;
                    done += at.next.clamp(first, target.offset.max(first)) - first;
                }
            }
        }
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

fn before(others: &[Reached], at: &Reached) -> Option<Offset> {
    let same = |other: &&Reached| {
        other.part == at.part && other.stream == at.stream && other.partition == at.partition
    };
    others.iter().find(same).map(|other| other.next)
}

/// Whether a sink sends what it reads, and keeps its positions with the log's groups.
fn sends(sink: &SinkPlan) -> bool {
    matches!(sink.target, SinkTarget::Mqtt(_) | SinkTarget::Webhook(_))
}
