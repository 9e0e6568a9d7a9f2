//! Standbys: the state of tasks that other processes run, kept ready for when they come here.
//!
//! - What may come here is foreseen by [`ranges`] from the [`members`] of a stage's group.
//! - The [`store`] has the states; a claim takes one and reads only the rest of its changelog.
//! - The [`follower`]'s thread reads on in them.
//! - Before this process joins a group that others are in already, it reads what will fall to it,
//!   so that the others work until then.

mod follower;
pub(super) mod members;
mod ranges;
mod store;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use millrace_core::with_causes;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::time::timeout;

use self::follower::Seen;
use self::store::Store;
use super::MAX_READERS;
use super::changelog::Changelog;
use super::member::Member;
use super::readers::Readers;
use super::restored::Restored;
use crate::StandbyStatistics;
use crate::TaskName;

/// How long whoever joins a group reads state before, at most.
const PREPARATION: Duration = Duration::from_mins(10);
/// How long it asks who the members are while they change.
const QUESTION: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_millis(200);

/// How much state of tasks that other processes run is kept ready in this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandbyOptions {
    /// Workers that may go at once so that every task which moves then finds its state where it
    /// comes to. 0: nothing is kept.
    pub leaving: usize,
    /// Most bytes of memory that is used for it, about. What does not fit is restored as a whole
    /// when it is needed.
    pub max_bytes: usize,
}

impl Default for StandbyOptions {
    /// Nothing is kept.
    fn default() -> Self {
        Self { leaving: 0, max_bytes: 1 << 30 }
    }
}

/// The standbys of a process.
pub(super) struct Standbys {
    options: StandbyOptions,
    process: String,
    store: Store,
    stages: Mutex<BTreeMap<String, Stage>>,
    readers: Arc<Readers>,
    /// Claims come first: nothing is read on in meanwhile.
    restoring: Arc<Semaphore>,
    nudge: mpsc::SyncSender<()>,
    not_started: Mutex<Option<mpsc::Receiver<()>>>,
    rounds: watch::Sender<u64>,
    closed: AtomicBool,
}

/// A stage of which states are kept.
struct Stage {
    group: String,
    changelog: Changelog,
    /// None as long as this process is about to join.
    member: Option<Arc<Member>>,
    seen: Option<Seen>,
}

impl Standbys {
    /// `process` is the process's own name, which its members of groups have, too.
    pub(super) fn new(
        options: StandbyOptions,
        process: &str,
        readers: Arc<Readers>,
        restoring: Arc<Semaphore>,
    ) -> Arc<Self> {
        // One is enough: it says that something has changed.
        let (nudge, receiver) = mpsc::sync_channel(1);
        Arc::new(Self {
            options,
            process: process.to_owned(),
            store: Store::new(options.max_bytes),
            stages: Mutex::default(),
            readers,
            restoring,
            nudge,
            not_started: Mutex::new(Some(receiver)),
            rounds: watch::channel(0).0,
            closed: AtomicBool::new(false),
        })
    }

    /// Whether anything is kept at all.
    pub(super) const fn are_wanted(&self) -> bool {
        self.options.leaving > 0
    }

    /// Reads what will fall to this process once it has joined the group of a stage, unless it is
    /// the first. If that cannot be done it is restored later.
    pub(super) async fn prepare(
        self: &Arc<Self>,
        stage: &str,
        group: String,
        changelog: Changelog,
    ) -> Preparation {
        self.start();
        let preparation = Preparation { standbys: Arc::clone(self), stage: stage.to_owned() };
        let about_to_join =
            Stage { group: group.clone(), changelog: changelog.clone(), member: None, seen: None };
        self.stages.lock().insert(stage.to_owned(), about_to_join);
        let Some((place, others)) = self.place_to_be(&group).await else { return preparation };
        if others == 0 {
            return preparation;
        }
        let wanted = ranges::range(changelog.partitions, others + 1, place).collect();
        self.store.keep(stage, &changelog, &wanted, &BTreeSet::new());
        let began = Instant::now();
        let mut rounds = self.rounds.subscribe();
        self.nudge();
        let all_read = rounds.wait_for(|_| self.store.is_complete(stage));
        if timeout(PREPARATION, all_read).await.is_ok() {
            tracing::info!(
                message = "Read the state that will fall to this process; it joins.",
                stage,
                tasks = ?wanted,
                seconds = began.elapsed().as_secs_f64()
            );
        } else {
            tracing::warn!(
                message =
                    "Has not read in time what will fall to this process; it joins and restores.",
                stage
            );
        }
        preparation
    }

    /// Where among how many others this process will stand.
    async fn place_to_be(&self, group: &str) -> Option<(usize, usize)> {
        let asking = async {
            loop {
                let (readers, group) = (Arc::clone(&self.readers), group.to_owned());
                let asked = tokio::task::spawn_blocking(move || readers.members(&group));
                match asked.await {
                    Ok(Ok(Some(members))) => {
                        return Some(members::place_to_be(&members, &self.process));
                    }
                    Ok(Ok(None)) => tokio::time::sleep(AGAIN).await,
                    Ok(Err(error)) => {
                        let error = with_causes(&error);
                        tracing::info!(
                            message =
                                "The members of a group are not known; it is joined unprepared.",
                            error
                        );
                        return None;
                    }
                    Err(_) => return None,
                }
            }
        };
        timeout(QUESTION, asking).await.ok().flatten()
    }

    /// Takes the state of a task that is claimed. It may wait for moments.
    pub(super) fn take(&self, task: &TaskName) -> Option<Restored> {
        self.store.take(task)
    }

    /// What is kept.
    pub(super) fn statistics(&self) -> Vec<StandbyStatistics> {
        self.store.statistics()
    }

    /// Keeps nothing any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let stages = std::mem::take(&mut *self.stages.lock());
        for stage in stages.keys() {
            self.store.forget(stage);
        }
        self.not_started.lock().take();
        self.nudge();
        // Whoever waits for something to be read waits no more.
        self.rounds.send_modify(|rounds| *rounds += 1);
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether tasks are being restored that have nothing kept.
    fn is_restoring(&self) -> bool {
        self.restoring.available_permits() < MAX_READERS
    }

    fn nudge(&self) {
        // Where one waits already it is as good.
        let _ = self.nudge.try_send(());
    }

    fn start(self: &Arc<Self>) {
        if let Some(receiver) = self.not_started.lock().take() {
            follower::start(Arc::downgrade(self), receiver);
        }
    }
}

/// A stage whose group is about to be joined; where that comes to nothing, nothing of it is kept.
pub(super) struct Preparation {
    standbys: Arc<Standbys>,
    stage: String,
}

impl Preparation {
    /// The group has been joined.
    pub(super) fn joined(self, member: Arc<Member>) {
        if let Some(stage) = self.standbys.stages.lock().get_mut(&self.stage) {
            stage.member = Some(member);
        }
        self.standbys.nudge();
    }
}

impl Drop for Preparation {
    fn drop(&mut self) {
        let mut stages = self.standbys.stages.lock();
        if stages.get(&self.stage).is_some_and(|stage| stage.member.is_none()) {
            stages.remove(&self.stage);
            self.standbys.store.forget(&self.stage);
        }
    }
}
