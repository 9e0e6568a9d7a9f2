//! What is served and what is being made: found out at the start, and changed by commands.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use millrace_core::StreamName;
use millrace_log::Log;
use millrace_log::LogView;
use millrace_log::TaskName;
use millrace_log::ViewNames;
use millrace_plan::Plan;
use millrace_plan::model::StagePlan;
use millrace_sinks::group_of;
use millrace_tables::SinkTable;
use millrace_tables::TableStore;
use parking_lot::RwLock;
use tokio::sync::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::begin::begin;
use super::begin::beginnings;
use super::begin::check_length;
use super::edition::Edition;
use super::edition::Parts;
use super::ensure::begin_anew;
use super::ensure::ensure_log;
use super::ensure::ensure_tables;
use super::error::OpenGenerationsError;
use super::ledger;
use super::ledger::Authority;
use super::ledger::Commanded;
use super::ledger::Ended;
use super::ledger::Garbage;
use super::ledger::Halt;
use super::ledger::Ledger;
use super::ledger::LedgerError;
use super::ledger::LedgerStore;
use super::ledger::Mark;
use super::ledger::Numbers;
use super::ledger::PendingRecord;
use super::pending::positions;
use super::progress::RebuildProgress;
use super::progress::RebuildState;
use super::reconcile::add;
use super::reconcile::check_lowered;
use super::reconcile::edition;
use super::reconcile::noted;
use super::reconcile::own_numbers;
use super::reconcile::pending;
use super::reconcile::reconcile;
use super::reconcile::resting;
use super::reconcile::served;
use crate::process::live::now_millis;

/// What is served and what is being made.
pub(crate) struct Serving {
    declared: Plan,
    pub(super) log: Arc<dyn Log>,
    pub(super) view: Arc<LogView>,
    pub(super) tables: Arc<dyn TableStore>,
    pub(super) ledger: Mutex<LedgerStore>,
    /// Parts that rest until the switch, since what made them is no longer declared.
    resting: Parts,
    /// What was served when that was found out: what has another number since is made as declared.
    rested: Numbers,
    /// How far the present rebuild has come, or the last one had.
    pub(super) progress: RwLock<Option<RebuildProgress>>,
    /// Told when there is a rebuild to run.
    pub(super) wake: Notify,
    /// Held while a switch changes log and tables, and while a backup takes its copies of both.
    pub(crate) steady: Mutex<()>,
}

impl Serving {
    /// Finds out what is served, finishes what was interrupted, and makes streams and tables, where
    /// no other process does.
    pub(crate) async fn open(
        declared: Plan,
        log: Arc<dyn Log>,
        tables: Arc<dyn TableStore>,
    ) -> Result<Self, OpenGenerationsError> {
        let view = Arc::new(LogView::new(Arc::clone(&log), ViewNames::default()));
        Self::open_as(Authority::Alone, declared, view, tables).await
    }

    /// The same with the authority to do so; `view` gets the names of what is served.
    pub(crate) async fn open_as(
        authority: Authority,
        declared: Plan,
        view: Arc<LogView>,
        tables: Arc<dyn TableStore>,
    ) -> Result<Self, OpenGenerationsError> {
        let log = Arc::clone(view.log());
        log.ensure_tasks(&[ledger::stage()]).await?;
        let mut store = LedgerStore::open(Arc::clone(&log), authority).await?;
        let wanted = declared.generations().into();
        check_lowered(store.ledger(), &wanted)?;
        if authority == Authority::Alone && !store.is_written() {
            begin_anew(&declared, store.ledger(), &*tables).await?;
        }
        let (served, pending) = reconcile(&declared, &log, &mut store, &wanted).await?;
        let resting = resting(store.ledger(), &wanted, pending.as_ref(), &served);
        ensure_log(&*log, &served).await?;
        let rested = store.ledger().serving.clone();
        ensure_tables(&*log, &*tables, &served, pending.as_ref(), &resting).await?;
        if authority == Authority::Alone {
            view.set_names(served.names());
        }
        let serving = Self {
            declared,
            log,
            view,
            tables,
            ledger: Mutex::new(store),
            resting,
            rested,
            progress: RwLock::default(),
            wake: Notify::new(),
            steady: Mutex::new(()),
        };
        serving.note_beginnings(&served).await?;
        serving.clear().await?;
        Ok(serving)
    }

    /// Cancelled when someone else has changed what is served: it has to be found out anew.
    pub(crate) async fn overtaken(&self) -> CancellationToken {
        self.ledger.lock().await.overtaken()
    }

    /// The log under the names of what is served.
    pub(crate) fn view(&self) -> Arc<dyn Log> {
        Arc::clone(&self.view) as Arc<dyn Log>
    }

    /// Lets everyone read what is being made, before it is switched to: where nobody does.
    pub(crate) fn look_ahead(&self, edition: &Edition) {
        self.view.set_names(edition.names());
    }

    /// What is served.
    pub(crate) async fn served(&self) -> Edition {
        served(&self.declared, self.ledger.lock().await.ledger(), &*self.log)
    }

    /// The plan as it is declared, with what commands have raised.
    pub(crate) async fn plan(&self) -> Arc<Plan> {
        edition(&self.declared, &self.ledger.lock().await.ledger().commanded).plan
    }

    /// What is being made, and which parts of it.
    pub(crate) async fn pending(&self) -> Option<(Edition, Parts)> {
        let store = self.ledger.lock().await;
        let edition = pending(&self.declared, store.ledger())?;
        let parts = edition.differing(&store.ledger().serving);
        Some((edition, parts))
    }

    /// The stages and sinks that rest until the switch.
    pub(crate) async fn resting(&self) -> Parts {
        let store = self.ledger.lock().await;
        let serving = &store.ledger().serving;
        let Parts { mut stages, mut sinks } = self.resting.clone();
        stages.retain(|name| serving.stages.get(name) == self.rested.stages.get(name));
        sinks.retain(|name| serving.sinks.get(name) == self.rested.sinks.get(name));
        Parts { stages, sinks }
    }

    /// How far the present rebuild has come, or the last one had.
    pub(crate) fn progress(&self) -> Option<RebuildProgress> {
        self.progress.read().clone()
    }

    /// The progress of a rebuild that nobody runs yet.
    pub(crate) async fn not_begun(&self, parts: &Parts) -> RebuildProgress {
        let store = self.ledger.lock().await;
        RebuildProgress {
            state: RebuildState::Starting,
            parts: parts.stages.iter().chain(&parts.sinks).cloned().collect(),
            total: 0,
            done: 0,
            since: store.ledger().pending.as_ref().map_or(0, |record| record.since),
            reason: None,
        }
    }

    /// Begins to rebuild a table sink or a processor; true if a rebuild of it goes on already.
    pub(crate) async fn rebuild(
        &self,
        name: &str,
        partial: bool,
    ) -> Result<bool, OpenGenerationsError> {
        if let Some((edition, parts)) = self.pending().await {
            let has = |stage: &&StagePlan| stage.operators.iter().any(|o| o.name == name);
            let stage = edition.plan.stages.iter().find(has);
            if parts.sinks.contains(name) || stage.is_some_and(|s| parts.stages.contains(&s.name)) {
                return Ok(true);
            }
        }
        let raise = |commanded: &mut Commanded| {
            commanded.raise(&self.declared, name);
        };
        self.command(raise, partial).await?;
        Ok(false)
    }

    /// Begins to make parts anew by command.
    pub(crate) async fn command(
        &self,
        commanded: impl FnOnce(&mut Commanded),
        partial: bool,
    ) -> Result<(), OpenGenerationsError> {
        let mut store = self.ledger.lock().await;
        let ledger = store.ledger();
        let mut commands =
            ledger.pending.as_ref().map_or(&ledger.commanded, |p| &p.commanded).clone();
        commanded(&mut commands);
        let to = edition(&self.declared, &commands);
        let parts = to.differing(&ledger.serving);
        let began = &ledger.began;
        let record = begin(&*self.log, &to, &parts, commands, began, partial, now_millis())?;
        let left = pending(&self.declared, ledger);
        let noted = noted(left.as_ref(), ledger.pending.as_ref(), &to);
        let record = PendingRecord { noted, ..record };
        let left = left.map(|left| {
            left.garbage(&left.differing(&to.numbers).and(&left.differing(&ledger.serving)), true)
        });
        store
            .change(|ledger| {
                ledger.pending = Some(record);
                ledger.ended = None;
                ledger.partial |= partial;
                add(&mut ledger.garbage, left.unwrap_or_default());
            })
            .await?;
        drop(store);
        *self.progress.write() = None;
        self.wake.notify_one();
        Ok(())
    }

    /// Serves what was made: the ledger first, then the tables, then whoever reads streams. False
    /// if something else than `expected` is being made by now; then nothing has changed. May be
    /// called again after an error.
    pub(crate) async fn switch(&self, expected: &Numbers) -> Result<bool, OpenGenerationsError> {
        let _steady = self.steady.lock().await;
        {
            let mut store = self.ledger.lock().await;
            let ledger = store.ledger();
            if ledger.pending.as_ref().is_some_and(|record| record.to == *expected) {
                let declared = self.declared.generations().into();
                let served = served(&self.declared, ledger, &*self.log);
                let old = served.differing(expected);
                let garbage = served.garbage(&old, false);
                let own = own_numbers(&self.declared);
                let ended = self.ended(&old, ledger, None);
                store
                    .change(|ledger| {
                        let Some(record) = ledger.pending.take() else { return };
                        for sink in &old.sinks {
                            let began = record.began.get(sink).cloned().unwrap_or_default();
                            ledger.began.insert(sink.clone(), began);
                        }
                        ledger.serving = record.to;
                        ledger.commanded = record.commanded;
                        ledger.declared = declared;
                        ledger.own = own;
                        ledger.partial = false;
                        ledger.halt = None;
                        ledger.ended = Some(ended);
                        add(&mut ledger.garbage, garbage);
                    })
                    .await?;
            } else if ledger.serving != *expected {
                return Ok(false);
            }
        }
        let edition = self.served().await;
        self.tables.serve(&edition.sink_tables()).await?;
        self.view.set_names(edition.names());
        self.note_beginnings(&edition).await?;
        info!("What was rebuilt is served.");
        Ok(true)
    }

    /// Gives a rebuild up: what it had made goes, what was served stays.
    pub(super) async fn give_up(
        &self,
        expected: &Numbers,
        reason: &str,
    ) -> Result<(), OpenGenerationsError> {
        let mut store = self.ledger.lock().await;
        let ledger = store.ledger();
        let Some(left) = pending(&self.declared, ledger).filter(|left| left.numbers == *expected)
        else {
            return Ok(());
        };
        let parts = left.differing(&ledger.serving);
        let ended = self.ended(&parts, ledger, Some(reason.to_owned()));
        let garbage = left.garbage(&parts, true);
        store
            .change(|ledger| {
                ledger.pending = None;
                ledger.partial = false;
                ledger.halt = None;
                ledger.ended = Some(ended);
                add(&mut ledger.garbage, garbage);
            })
            .await?;
        Ok(())
    }

    /// What is told of the rebuild that goes on when it is over.
    fn ended(&self, parts: &Parts, ledger: &Ledger, reason: Option<String>) -> Ended {
        Ended {
            parts: parts.stages.union(&parts.sinks).cloned().collect(),
            reason,
            entries: self.progress.read().as_ref().map_or(0, |progress| progress.total),
            since: ledger.pending.as_ref().map_or(0, |record| record.since),
        }
    }

    /// Has all processes stop what the switch concerns, or go on.
    pub(super) async fn halt(&self, halt: Option<Halt>) -> Result<(), LedgerError> {
        self.ledger.lock().await.change(|ledger| ledger.halt = halt).await
    }

    /// Notes where sinks that send go on, if what is being made is still this.
    pub(super) async fn note_going_on(
        &self,
        expected: &Numbers,
        marks: Vec<Mark>,
    ) -> Result<(), LedgerError> {
        let change = |ledger: &mut Ledger| {
            if let Some(record) = ledger.pending.as_mut().filter(|record| record.to == *expected) {
                record.going_on = Some(marks);
            }
        };
        self.ledger.lock().await.change(change).await
    }

    /// Sinks that are to send everything again, since their own generation was raised.
    pub(super) async fn send_again(&self) -> BTreeSet<String> {
        let store = self.ledger.lock().await;
        let before = &store.ledger().own;
        own_numbers(&self.declared)
            .into_iter()
            .filter(|(name, own)| before.get(name).is_some_and(|before| before < own))
            .map(|(name, _)| name)
            .collect()
    }

    /// Serves what was made while nothing else ran. Sinks that send go on behind what was made anew
    /// if they had sent everything before, and send all of it otherwise.
    pub(crate) async fn switch_at_rest(&self) -> Result<(), OpenGenerationsError> {
        let Some((edition, parts)) = self.pending().await else { return Ok(()) };
        let (record, partial) = {
            let store = self.ledger.lock().await;
            let Some(record) = store.ledger().pending.clone() else { return Ok(()) };
            (record, store.ledger().partial)
        };
        if !partial {
            let reached = positions(&*self.log, &*self.tables, &edition, &parts).await?;
            if let Err(error) = check_length(&*self.log, &edition, &parts, &record, &reached) {
                self.give_up(&edition.numbers, &error.to_string()).await?;
                self.clear().await?;
                return Err(error.into());
            }
        }
        let again = self.send_again().await;
        let served = self.served().await;
        let (before, now) = (served.outward(), edition.outward());
        for (old, new) in before.sinks.iter().zip(&now.sinks) {
            if again.contains(&new.name) {
                continue;
            }
            for stream in new.from.iter().filter(|stream| edition.is_made_by(&parts, stream)) {
                let partitions = now.stream(stream).map_or(0, |stream| stream.partitions);
                let known = before.stream(stream).map_or(0, |stream| stream.partitions);
                let mut sent = Vec::new();
                for partition in 0..known {
                    let below = served.stream(stream);
                    let reached = self.log.group_offset(&group_of(old), &below, partition).await?;
                    sent.push(reached == Some(self.log.partition_info(&below, partition)?.end));
                }
                // Partitions of another number have other keys.
                let all = sent.iter().all(|sent| *sent);
                for partition in 0..partitions {
                    let same = usize::try_from(partition).ok().and_then(|at| sent.get(at));
                    let is_sent = if known == partitions { same == Some(&true) } else { all };
                    if is_sent {
                        let below = edition.stream(stream);
                        let end = self.log.partition_info(&below, partition)?.end;
                        self.log
                            .commit_group_offset(&group_of(new), &below, partition, end)
                            .await?;
                    }
                }
            }
        }
        self.switch(&edition.numbers).await?;
        self.clear().await
    }

    /// Removes what is no longer needed.
    pub(crate) async fn clear(&self) -> Result<(), OpenGenerationsError> {
        let garbage = self.ledger.lock().await.ledger().garbage.clone();
        if garbage == Garbage::default() {
            return Ok(());
        }
        let tables: Vec<SinkTable> = garbage
            .tables
            .iter()
            .map(|(sink, table, generation)| SinkTable {
                sink: sink.clone(),
                table: table.clone(),
                generation: *generation,
            })
            .collect();
        self.tables.discard(&tables).await?;
        let streams: Vec<StreamName> =
            garbage.streams.iter().filter_map(|name| name.parse().ok()).collect();
        let tasks: Vec<TaskName> = garbage
            .tasks
            .iter()
            .map(|(stage, partition)| TaskName { stage: stage.clone(), partition: *partition })
            .collect();
        self.log.remove(&streams, &tasks).await?;
        self.ledger.lock().await.change(|ledger| ledger.garbage = Garbage::default()).await?;
        Ok(())
    }

    /// Notes where tables begin to read that are new.
    async fn note_beginnings(&self, edition: &Edition) -> Result<(), OpenGenerationsError> {
        let mut store = self.ledger.lock().await;
        let mut began: BTreeMap<String, Vec<_>> = store.ledger().began.clone();
        for sink in edition.table_sinks() {
            let is_new = self.tables.positions(&sink.name, sink.generation).await?.is_empty();
            if is_new {
                began.insert(sink.name.clone(), beginnings(&*self.log, edition, &sink.name)?);
            }
        }
        store.change(|ledger| ledger.began = began).await?;
        Ok(())
    }
}
