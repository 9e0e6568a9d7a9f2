//! The switch itself: what was served stops, what is new reads on to where that had come, and is
//! served.

use std::time::Duration;

use millrace_core::with_causes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::edition::Edition;
use super::edition::Parts;
use super::gate::Ends;
use super::ledger::Halt;
use super::ledger::PendingRecord;
use super::pending::Reached;
use super::switch::LOOK;
use super::switch::Outcome;
use super::switch::Rebuilder;
use super::switch::STANDSTILL;
use super::switch::SinkEnd;
use super::switch::Trouble;
use super::switch::before;
use crate::process::computing::Computing;

impl Rebuilder {
    /// The switch itself. Where it does not come about, what was served may have stopped.
    pub(super) async fn exchange(
        &self,
        running: &mut Computing,
        (served, edition): (&Edition, &Edition),
        parts: &Parts,
        resting: &Parts,
        record: &PendingRecord,
        stop: &CancellationToken,
    ) -> Result<Option<Outcome>, Trouble> {
        // Sinks that send go on in the new streams from here: what the new tasks have made so far
        // the old ones have made, too, once they have read as far.
        let ends = self.ends(edition, parts)?;
        let far = self.reached(edition, parts).await?;
        let stages = Parts { stages: parts.stages.clone(), ..Parts::default() };
        let moving = Parts {
            stages: parts.stages.difference(&resting.stages).cloned().collect(),
            sinks: parts.sinks.difference(&resting.sinks).cloned().collect(),
        };
        let old_tasks = Parts { stages: moving.stages.clone(), ..Parts::default() };
        if !self.until_passed(stop, served, &old_tasks, &far).await? {
            return Ok(None);
        }
        if parts.stages.is_empty() {
            tokio::join!(
                running.stop_tables(&parts.sinks),
                self.halt(Halt::Tables(parts.sinks.clone()))
            )
            .1?;
        } else {
            tokio::join!(running.stop_engine(), self.halt(Halt::Tasks)).1?;
        }
        if !self.until_sent(stop, served, &stages).await? {
            return Ok(None);
        }
        if !parts.stages.is_empty() {
            tokio::join!(running.stop(), self.halt(Halt::All)).1?;
        }
        let last = self.reached(served, &moving).await?;
        if !self.until_passed(stop, edition, parts, &last).await? {
            return Ok(None);
        }
        let again = self.serving.send_again().await;
        for at in ends.iter().filter(|at| !again.contains(&at.sink)) {
            let noted =
                record.going_on.iter().flatten().find(|mark| {
                    mark.stream == at.stream.as_str() && mark.partition == at.partition
                });
            let next = noted.map_or(at.end, |mark| mark.offset);
            let SinkEnd { group, below, partition, .. } = at;
            self.serving.log.commit_group_offset(group, below, *partition, next).await?;
        }
        loop {
            match self.serving.switch(&edition.numbers).await {
                Ok(true) => return Ok(Some(Outcome::Switched)),
                Ok(false) => return Ok(Some(Outcome::Superseded)),
                // Whether the ledger was changed is not known: it is found out by trying again, or
                // at the next start.
                Err(error) => {
                    warn!(message = "The switch goes on.", error = with_causes(&error));
                    if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
                        return Ok(Some(Outcome::Stopped));
                    }
                }
            }
        }
    }

    /// Has the other processes stop as well, and gives them the time to. One that does not stop in
    /// time makes nothing wrong: what it still sends is sent once more from the new streams.
    async fn halt(&self, halt: Halt) -> Result<(), Trouble> {
        if let Some(patience) = self.others {
            self.serving.halt(Some(halt)).await?;
            tokio::time::sleep(patience).await;
        }
        Ok(())
    }

    /// Waits until parts of an edition have read as far as others had, but not longer than what is
    /// served may stand still. Positions in streams that are not the same ones say nothing: these
    /// are to be read to where they end once what writes them has passed. Under steady traffic
    /// they go on growing, so that this end is taken once.
    async fn until_passed(
        &self,
        stop: &CancellationToken,
        edition: &Edition,
        parts: &Parts,
        others: &[Reached],
    ) -> Result<bool, Trouble> {
        let deadline = Instant::now() + STANDSTILL;
        let mut ends = Ends::new();
        let plan = &edition.plan;
        for stage in plan.stages.iter().filter(|stage| parts.stages.contains(&stage.name)) {
            let stages = std::iter::once(stage.name.clone()).collect();
            let level = Parts { stages, ..Parts::default() };
            if !self.until_read(stop, deadline, edition, &level, others, &ends).await? {
                return Ok(false);
            }
            for output in stage.operators.iter().filter_map(|operator| operator.output.as_ref()) {
                let below = edition.stream(output);
                for partition in 0..plan.stream(output).map_or(0, |stream| stream.partitions) {
                    let end = self.serving.log.partition_info(&below, partition)?.end;
                    ends.insert((output.clone(), partition), end);
                }
            }
        }
        let sinks = Parts { sinks: parts.sinks.clone(), ..Parts::default() };
        self.until_read(stop, deadline, edition, &sinks, others, &ends).await
    }

    async fn until_read(
        &self,
        stop: &CancellationToken,
        deadline: Instant,
        edition: &Edition,
        parts: &Parts,
        others: &[Reached],
        ends: &Ends,
    ) -> Result<bool, Trouble> {
        'again: loop {
            for at in self.reached(edition, parts).await? {
                let end = ends.get(&(at.stream.clone(), at.partition)).copied();
                let wanted = end.or_else(|| before(others, &at));
                if let Some(wanted) = wanted.filter(|wanted| at.next < *wanted)
                    && !self.has_rest(edition, parts, &at, wanted).await?
                {
                    if !waits(stop, deadline).await {
                        return Ok(false);
                    }
                    continue 'again;
                }
            }
            return Ok(true);
        }
    }

    /// Waits until the sinks that send have sent all that the old tasks made, but not too long.
    async fn until_sent(
        &self,
        stop: &CancellationToken,
        served: &Edition,
        parts: &Parts,
    ) -> Result<bool, Trouble> {
        let deadline = Instant::now() + STANDSTILL;
        while !self.has_sent(served, parts).await? {
            if !waits(stop, deadline).await {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the sinks that send have sent all that the old tasks made.
    async fn has_sent(&self, served: &Edition, parts: &Parts) -> Result<bool, Trouble> {
        for SinkEnd { is_own, group, below, partition, end, .. } in self.ends(served, parts)? {
            // Where several processes have an endpoint, none of them says how far it has come; all
            // had the time to send what was there when tasks stopped.
            if is_own && self.others.is_some() {
                continue;
            }
            let sent = self.serving.log.group_offset(&group, &below, partition).await?;
            if sent.unwrap_or(0) < end {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Waits a moment; false if it is not to be waited any longer.
async fn waits(stop: &CancellationToken, deadline: Instant) -> bool {
    let pause = stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(10)));
    pause.await.is_some() && Instant::now() < deadline
}
