//! The thread that reads on in the states that are kept.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::with_causes;

use super::super::member::Member;
use super::super::readers::ReadChangelogError;
use super::Stage;
use super::Standbys;
use super::members;
use super::members::Listed;
use super::ranges;
use crate::TaskName;

/// How often changelogs are asked for more.
const ROUND: Duration = Duration::from_secs(1);
/// How long a question that failed waits for the next one.
const PAUSE: Duration = Duration::from_secs(3);
/// How often it is asked who the members are, though nothing tells that they have changed.
const LOOK: Duration = Duration::from_mins(1);

/// How a group stood when it was last looked at.
pub(super) struct Seen {
    rebalances: u64,
    at: Instant,
    members: Vec<Listed>,
    own: BTreeSet<Partition>,
}

/// Starts the thread; it ends with the standbys, or once they are closed.
pub(super) fn start(standbys: Weak<Standbys>, nudges: Receiver<()>) {
    let run = move || run(&standbys, &nudges);
    if let Err(error) = thread::Builder::new().name("standbys".to_owned()).spawn(run) {
        tracing::error!(message = "No state is kept ready: there is no thread for it.", %error);
    }
}

fn run(standbys: &Weak<Standbys>, nudges: &Receiver<()>) {
    let mut pause = ROUND;
    loop {
        // Whoever nudges goes only with the standbys.
        let _ = nudges.recv_timeout(pause);
        pause = ROUND;
        let Some(standbys) = standbys.upgrade() else { return };
        if standbys.is_closed() {
            return;
        }
        if standbys.is_restoring() {
            continue;
        }
        if let Err(error) = standbys.look().and_then(|()| standbys.round()) {
            let error = with_causes(&error);
            tracing::info!(message = "The state that is kept ready is not read on now.", error);
            pause = PAUSE;
        }
        standbys.rounds.send_modify(|rounds| *rounds += 1);
    }
}

impl Standbys {
    /// Finds out what is to be kept, where that may have changed.
    fn look(&self) -> Result<(), ReadChangelogError> {
        for (name, member) in self.joined() {
            if member.has_left() {
                self.stages.lock().remove(&name);
                self.store.forget(&name);
                continue;
            }
            // In this order: what changes meanwhile is seen the next time.
            let rebalances = member.rebalances();
            let own: BTreeSet<_> = member.assignment().borrow().keys().copied().collect();
            let Some(group) = self.group_to_ask(&name, rebalances) else { continue };
            let Some(members) = self.readers.members(&group)? else { continue };
            let mut stages = self.stages.lock();
            let Some(stage) = stages.get_mut(&name) else { continue };
            let seen = Seen { rebalances, at: Instant::now(), members, own };
            let place = members::place_of(&seen.members, &self.process);
            let is_new = stage
                .seen
                .as_ref()
                .is_none_or(|before| (&before.members, &before.own) != (&seen.members, &seen.own));
            if let (Some(place), true) = (place, is_new) {
                let (partitions, members) = (stage.changelog.partitions, seen.members.len());
                let leaving = self.options.leaving;
                let wanted = ranges::foreseen(partitions, members, place, leaving);
                self.store.keep(&name, &stage.changelog, &wanted, &seen.own);
            }
            stage.seen = place.map(|_| seen);
        }
        Ok(())
    }

    fn joined(&self) -> Vec<(String, Arc<Member>)> {
        let stages = self.stages.lock();
        let of = |(name, stage): (&String, &Stage)| Some((name.clone(), stage.member.clone()?));
        stages.iter().filter_map(of).collect()
    }

    /// The group of a stage, if its members may have changed.
    fn group_to_ask(&self, name: &str, rebalances: u64) -> Option<String> {
        let stages = self.stages.lock();
        let stage = stages.get(name)?;
        let is_known = stage
            .seen
            .as_ref()
            .is_some_and(|seen| seen.rebalances == rebalances && seen.at.elapsed() < LOOK);
        (!is_known).then(|| stage.group.clone())
    }

    /// Reads on wherever there is more.
    fn round(&self) -> Result<(), ReadChangelogError> {
        let kept = self.store.readable();
        let asked = SystemTime::now();
        let places = kept.iter().map(|(task, topic, _)| (&**topic, task.partition));
        let ends = self.readers.decided_ends(&places.collect::<Vec<_>>())?;
        for ((task, topic, from), end) in kept.iter().zip(ends) {
            if *from == end {
                self.store.is_level(task, end, asked);
            } else if !self.is_restoring() {
                self.read_on(task, topic, end, asked)?;
            }
        }
        Ok(())
    }

    fn read_on(
        &self,
        task: &TaskName,
        topic: &str,
        end: Offset,
        asked: SystemTime,
    ) -> Result<(), ReadChangelogError> {
        let Some(mut reading) = self.store.begin(task) else { return Ok(()) };
        let wanted = Arc::clone(&reading.wanted);
        let (restored, max_bytes) = (&mut reading.restored, reading.max_bytes);
        let from = restored.end;
        if from > end {
            // The topic was removed and made anew.
            self.store.discard(task, &wanted);
            return Ok(());
        }
        let read = self.readers.read_decided(topic, task.partition, from, end, |key, value| {
            restored.apply(key, value)?;
            let is_enough = wanted.load(Ordering::Acquire)
                || restored.footprint() > max_bytes
                || self.is_closed();
            Ok(if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        match read {
            Ok(reached) => {
                restored.end = reached;
                if restored.footprint() > max_bytes {
                    tracing::warn!(
                        message = "A task's state is not kept ready: there is no room for it. Raise --standby-memory.",
                        %task,
                        room = max_bytes
                    );
                }
                self.store.give_back(task, reading, end, asked);
                Ok(())
            }
            Err(error @ ReadChangelogError::Record { .. }) => {
                let error = with_causes(&error);
                tracing::warn!(message = "A task's state is not kept ready.", %task, error);
                self.store.give_up(task, &wanted);
                Ok(())
            }
            Err(error) => {
                // Up to where it was read is not known.
                self.store.discard(task, &wanted);
                Err(error)
            }
        }
    }
}
