//! Where sinks that send go on after a rebuild whose old tasks rest.
//!
//! What the resting tasks had read is known. The new tasks first read just as much: what is in
//! their streams then has been sent, or is about to be from the old ones; what comes later has not.

use std::collections::BTreeSet;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::begin::sources;
use super::edition::Edition;
use super::edition::Parts;
use super::gate::Ends;
use super::ledger::Mark;
use super::ledger::PendingRecord;
use super::pending::Pending;
use super::pending::Reached;
use super::switch::Outcome;
use super::switch::PATIENCE;
use super::switch::Rebuilder;
use super::switch::STANDSTILL;
use super::switch::Trouble;
use super::switch::before;

impl Rebuilder {
    /// Finds out where sinks go on, where that is needed and not known yet. Returns what the rebuild
    /// has come to if it is over with that.
    pub(super) async fn find_going_on(
        &self,
        edition: &Edition,
        parts: &Parts,
        record: &PendingRecord,
        stop: &CancellationToken,
    ) -> Result<Option<Outcome>, Trouble> {
        let Some(gate) = self.gate(edition, parts, record).await? else { return Ok(None) };
        let pending = self.start_pending(edition, parts, Some(gate.clone()));
        let outcome = self.catch_up(&pending, edition, parts, record, &gate, stop).await;
        pending.stop(PATIENCE).await;
        outcome
    }

    /// Where the inputs are to end at first, if it is still to be found out where sinks go on.
    async fn gate(
        &self,
        edition: &Edition,
        parts: &Parts,
        record: &PendingRecord,
    ) -> Result<Option<Ends>, Trouble> {
        let resting = self.resting_stages(parts).await;
        if record.going_on.is_some() || self.going_on_marks(edition, &resting).await?.is_empty() {
            return Ok(None);
        }
        let served = self.serving.served().await;
        let old = self.reached(&served, parts).await?;
        let mut ends = Ends::new();
        for (part, stream) in sources(edition, parts) {
            if !parts.stages.contains(&part) {
                continue;
            }
            for partition in 0..edition.plan.stream(&stream).map_or(0, |stream| stream.partitions) {
                let at = Reached { part: part.clone(), stream: stream.clone(), partition, next: 0 };
                let read = before(&old, &at).unwrap_or(0);
                let end = ends.entry((edition.stream(&stream), partition)).or_insert(read);
                *end = read.min(*end);
            }
        }
        Ok(Some(ends))
    }

    /// Waits until everything up to the gate is read, and notes where sinks go on. None when that
    /// is done.
    async fn catch_up(
        &self,
        pending: &Pending,
        edition: &Edition,
        parts: &Parts,
        record: &PendingRecord,
        gate: &Ends,
        stop: &CancellationToken,
    ) -> Result<Option<Outcome>, Trouble> {
        let stages = Parts { stages: parts.stages.clone(), ..Parts::default() };
        let resting = self.resting_stages(parts).await;
        let (mut last, mut since) = (Vec::new(), Instant::now());
        loop {
            if let Some(outcome) = self.look(record, stop).await {
                return Ok(Some(outcome));
            }
            // Positions before ends: what is made later is then no part of either.
            let reached = self.reached(edition, &stages).await?;
            let trouble = pending.trouble();
            self.show(&reached, record, trouble.clone());
            if let Some(reason) = self.too_short(edition, &stages, record, &reached).await? {
                return Ok(Some(Outcome::GivenUp(reason)));
            }
            let mut marks = self.going_on_marks(edition, &resting).await?;
            for mark in &mut marks {
                let is_same = |m: &&Mark| m.stream == mark.stream && m.partition == mark.partition;
                mark.offset = record.noted.iter().find(is_same).map_or(mark.offset, |m| m.offset);
            }
            let has_read = self.has_read(edition, &stages, &reached, gate)?;
            if reached != last || trouble.is_some() {
                (last, since) = (reached, Instant::now());
            }
            // A task of several inputs may read one no further than the others allow.
            if has_read || since.elapsed() > STANDSTILL {
                self.serving.note_going_on(&record.to, marks).await?;
                return Ok(None);
            }
        }
    }

    async fn resting_stages(&self, parts: &Parts) -> Parts {
        let resting: BTreeSet<String> = self.serving.resting().await.stages;
        Parts { stages: &parts.stages & &resting, ..Parts::default() }
    }

    /// Where streams of resting stages end now that sinks send.
    async fn going_on_marks(
        &self,
        edition: &Edition,
        resting: &Parts,
    ) -> Result<Vec<Mark>, Trouble> {
        let again = self.serving.send_again().await;
        let ends = self.ends(edition, resting)?;
        let mut marks: Vec<Mark> = Vec::new();
        for at in ends.into_iter().filter(|at| !again.contains(&at.sink)) {
            let stream = at.stream.to_string();
            if !marks.iter().any(|m| m.stream == stream && m.partition == at.partition) {
                marks.push(Mark { stream, partition: at.partition, offset: at.end });
            }
        }
        Ok(marks)
    }

    fn has_read(
        &self,
        edition: &Edition,
        stages: &Parts,
        reached: &[Reached],
        gate: &Ends,
    ) -> Result<bool, Trouble> {
        for at in reached {
            let below = edition.stream(&at.stream);
            let wanted = if edition.is_made_by(stages, &at.stream) {
                self.serving.log.partition_info(&below, at.partition)?.end
            } else {
                gate.get(&(below, at.partition)).copied().unwrap_or(0)
            };
            if at.next < wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
