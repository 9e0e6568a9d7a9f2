//! What is served and what is being made: found out at the start, and changed by commands.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_core::StreamName;
use millrace_log::AppendError;
use millrace_log::EnsureStreamsError;
use millrace_log::Log;
use millrace_log::LogView;
use millrace_log::ReadError;
use millrace_log::TaskName;
use millrace_plan::Plan;
use millrace_sinks::group_of;
use millrace_tables::EnsureTableError;
use millrace_tables::ServeError;
use millrace_tables::SinkTable;
use millrace_tables::TableStore;
use millrace_tables::sink::TableSink;
use parking_lot::RwLock;
use tokio::sync::Mutex;
use tokio::sync::Notify;
use tracing::info;
use tracing::warn;

use super::begin::BeginRebuildError;
use super::begin::begin;
use super::begin::beginnings;
use super::edition::Edition;
use super::edition::Parts;
use super::ledger::Commanded;
use super::ledger::Garbage;
use super::ledger::Ledger;
use super::ledger::LedgerError;
use super::ledger::LedgerStore;
use super::ledger::Numbers;
use super::progress::RebuildProgress;
use super::progress::RebuildState;
use crate::process::live::now_millis;
use crate::process::operations::rebuildable;

/// Why generations cannot be found out or made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenGenerationsError {
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A generation was lowered.
    #[error(
        "the generation of `{part}`, or of a processor that it reads, was lowered by {by}: what lower generations \
         made is gone. Write it back, or raise it"
    )]
    Lowered {
        /// The stage or sink.
        part: String,
        /// By how much.
        by: i32,
    },
    /// The tables are of another log.
    #[error(
        "table `{table}` is of generation {found}, and the log knows none above {known}: the two do not belong \
         together. Restore both from one backup, or move {table}'s file away to fill it from the log"
    )]
    OtherLog {
        /// The table.
        table: String,
        /// Its generation.
        found: i32,
        /// The log's.
        known: i32,
    },
    /// A rebuild cannot begin.
    #[error(transparent)]
    Begin(#[from] BeginRebuildError),
    /// The log cannot be read.
    #[error("cannot find out what the log has")]
    Read(#[from] ReadError),
    /// The streams cannot be made.
    #[error(transparent)]
    Streams(#[from] EnsureStreamsError),
    /// A table cannot be made.
    #[error(transparent)]
    Table(#[from] EnsureTableError),
    /// The tables cannot be switched.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// What is no longer needed cannot be removed.
    #[error("cannot remove what is no longer served")]
    Remove(#[from] AppendError),
}

/// What is served and what is being made.
pub(crate) struct Serving {
    declared: Plan,
    pub(super) log: Arc<dyn Log>,
    pub(super) view: Arc<LogView>,
    pub(super) tables: Arc<dyn TableStore>,
    pub(super) ledger: Mutex<LedgerStore>,
    /// Parts that rest until the switch, since what made them is no longer declared.
    resting: Parts,
    /// How far the present rebuild has come, or the last one had.
    pub(super) progress: RwLock<Option<RebuildProgress>>,
    /// Told when there is a rebuild to run.
    pub(super) wake: Notify,
    /// Held while a switch changes log and tables, and while a backup takes its copies of both.
    pub(crate) steady: Mutex<()>,
}

impl Serving {
    /// Finds out what is served, finishes what was interrupted, and makes streams and tables.
    pub(crate) async fn open(
        declared: Plan,
        log: Arc<dyn Log>,
        tables: Arc<dyn TableStore>,
    ) -> Result<Self, OpenGenerationsError> {
        let mut store = LedgerStore::open(Arc::clone(&log)).await?;
        let wanted = declared.generations().into();
        check_lowered(store.ledger(), &wanted)?;
        let (served, pending) = reconcile(&declared, &log, &mut store, &wanted).await?;
        let view = Arc::new(LogView::new(Arc::clone(&log), served.names()));
        let resting = resting(store.ledger(), &wanted, pending.as_ref(), &served);
        log.ensure_streams(&served.streams()).await?;
        let serving = Self {
            declared,
            log,
            view,
            tables,
            ledger: Mutex::new(store),
            resting,
            progress: RwLock::default(),
            wake: Notify::new(),
            steady: Mutex::new(()),
        };
        serving.note_beginnings(&served).await?;
        serving.ensure_tables(&served, pending.as_ref()).await?;
        serving.clear().await?;
        Ok(serving)
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
        served(&self.declared, self.ledger.lock().await.ledger())
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
        if self.ledger.lock().await.ledger().pending.is_some() {
            self.resting.clone()
        } else {
            Parts::default()
        }
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
        let left = pending(&self.declared, ledger).map(|left| {
            left.garbage(&left.differing(&to.numbers).and(&left.differing(&ledger.serving)), true)
        });
        store
            .change(|ledger| {
                ledger.pending = Some(record);
                ledger.partial |= partial;
                add(&mut ledger.garbage, left.unwrap_or_default());
            })
            .await?;
        drop(store);
        *self.progress.write() = None;
        self.wake.notify_one();
        Ok(())
    }

    /// Serves what was made: the ledger first, then the tables, then whoever reads streams.
    pub(crate) async fn switch(&self) -> Result<(), OpenGenerationsError> {
        let Some((edition, parts)) = self.pending().await else { return Ok(()) };
        let served = self.served().await;
        let _steady = self.steady.lock().await;
        {
            let mut store = self.ledger.lock().await;
            let declared = self.declared.generations().into();
            let old = served.differing(&edition.numbers);
            let garbage = served.garbage(&old, false);
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
                    ledger.partial = false;
                    add(&mut ledger.garbage, garbage);
                })
                .await?;
        }
        self.tables.serve(&sink_tables(&edition)).await?;
        self.view.set_names(edition.names());
        self.note_beginnings(&edition).await?;
        info!(message = "What was rebuilt is served.", parts = ?parts);
        Ok(())
    }

    /// Serves what was made while nothing else ran. Sinks that send go on behind what was made anew
    /// if they had sent everything before, and send all of it otherwise.
    pub(crate) async fn switch_at_rest(&self) -> Result<(), OpenGenerationsError> {
        let Some((edition, parts)) = self.pending().await else { return Ok(()) };
        let served = self.served().await;
        let is_new = |stream: &StreamName| {
            edition
                .plan
                .stage_of(stream)
                .is_some_and(|stage| parts.stages.contains(&edition.plan.stages[stage].name))
        };
        for (old, new) in served.plan.sinks.iter().zip(&edition.plan.sinks) {
            for stream in new.from.iter().filter(|stream| is_new(stream)) {
                let partitions = edition.plan.stream(stream).map_or(0, |stream| stream.partitions);
                for partition in 0..partitions {
                    let before = served.stream(stream);
                    let sent = self.log.group_offset(&group_of(old), &before, partition).await?;
                    if sent != Some(self.log.partition_info(&before, partition)?.end) {
                        continue;
                    }
                    let now = edition.stream(stream);
                    let end = self.log.partition_info(&now, partition)?.end;
                    self.log.commit_group_offset(&group_of(new), &now, partition, end).await?;
                }
            }
        }
        self.switch().await?;
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

    async fn ensure_tables(
        &self,
        served: &Edition,
        pending: Option<&Edition>,
    ) -> Result<(), OpenGenerationsError> {
        for sink in served.table_sinks() {
            let table = &sink.table.name;
            let found = self.tables.served(table).await?;
            if let Some(found) = found.filter(|found| *found > sink.generation) {
                return Err(OpenGenerationsError::OtherLog {
                    table: table.clone(),
                    found,
                    known: sink.generation,
                });
            }
            if pending.is_some() && self.resting.sinks.contains(&sink.name) {
                continue;
            }
            self.tables.ensure_tables(&[sink.spec()]).await?;
            // A switch that was interrupted after the ledger was changed.
            if found != Some(sink.generation) {
                self.tables.serve(&[Edition::sink_table(&sink)]).await?;
            }
        }
        if let Some(pending) = pending {
            self.log.ensure_streams(&pending.streams()).await?;
            let specs: Vec<_> = pending.table_sinks().iter().map(TableSink::spec).collect();
            self.tables.ensure_tables(&specs).await?;
        }
        Ok(())
    }
}

fn sink_tables(edition: &Edition) -> Vec<SinkTable> {
    edition.table_sinks().iter().map(Edition::sink_table).collect()
}

fn edition(declared: &Plan, commanded: &Commanded) -> Edition {
    let plan = declared.raised(&commanded.into());
    Edition { numbers: plan.generations().into(), plan: Arc::new(plan) }
}

fn served(declared: &Plan, ledger: &Ledger) -> Edition {
    let mut edition = edition(declared, &ledger.commanded);
    edition.numbers = ledger.serving.clone();
    edition
}

fn pending(declared: &Plan, ledger: &Ledger) -> Option<Edition> {
    let record = ledger.pending.as_ref()?;
    let mut edition = edition(declared, &record.commanded);
    edition.numbers = record.to.clone();
    Some(edition)
}

fn add(garbage: &mut Garbage, more: Garbage) {
    garbage.streams.extend(more.streams);
    garbage.tasks.extend(more.tasks);
    garbage.tables.extend(more.tables);
}

fn check_lowered(ledger: &Ledger, wanted: &Numbers) -> Result<(), OpenGenerationsError> {
    let known = ledger.declared.stages.iter().chain(&ledger.declared.sinks);
    for (part, number) in known {
        let now = wanted.stages.get(part).or_else(|| wanted.sinks.get(part));
        if let Some(now) = now.filter(|now| *now < number) {
            return Err(OpenGenerationsError::Lowered { part: part.clone(), by: number - now });
        }
    }
    Ok(())
}

/// The parts that rest: what the resource declares of them now is another generation.
fn resting(
    ledger: &Ledger,
    wanted: &Numbers,
    pending: Option<&Edition>,
    served: &Edition,
) -> Parts {
    let Some(pending) = pending else { return Parts::default() };
    let new = pending.differing(&ledger.serving);
    let changed = |now: Option<&i32>, then: Option<&i32>| now != then;
    Parts {
        stages: new
            .stages
            .into_iter()
            .filter(|name| changed(wanted.stages.get(name), ledger.declared.stages.get(name)))
            .collect(),
        sinks: new
            .sinks
            .into_iter()
            .filter(|name| changed(wanted.sinks.get(name), ledger.declared.sinks.get(name)))
            .collect(),
    }
    .retain_sinks(&served.table_sinks())
}

/// Takes over parts that are new, what the resource raises and what was asked for meanwhile.
/// Returns what is served and what is to be made.
async fn reconcile(
    declared: &Plan,
    log: &Arc<dyn Log>,
    store: &mut LedgerStore,
    wanted: &Numbers,
) -> Result<(Edition, Option<Edition>), OpenGenerationsError> {
    let mut ledger = store.ledger().clone();
    let before = ledger.pending.clone();
    let mut commanded = before.as_ref().map_or(&ledger.commanded, |p| &p.commanded).clone();
    for (name, partial) in std::mem::take(&mut ledger.requested) {
        if commanded.raise(declared, &name) {
            ledger.partial |= partial;
        } else {
            warn!(message = "What was to be rebuilt is no longer there.", name);
        }
    }
    let to = edition(declared, &commanded);
    for (known, wanted, now) in [
        (
            &mut ledger.serving.stages,
            &mut ledger.declared.stages,
            (&to.numbers.stages, &wanted.stages),
        ),
        (&mut ledger.serving.sinks, &mut ledger.declared.sinks, (&to.numbers.sinks, &wanted.sinks)),
    ] {
        for (name, number) in now.0 {
            if !known.contains_key(name) {
                known.insert(name.clone(), *number);
                wanted.extend(now.1.get(name).map(|number| (name.clone(), *number)));
            }
        }
    }
    let parts = to.differing(&ledger.serving);
    ledger.pending = match (before, parts.is_empty()) {
        (Some(record), false) if record.to == to.numbers => Some(record),
        (_, true) => None,
        (_, false) => {
            let log = &**log;
            let log_streams = served(declared, &ledger).streams();
            log.ensure_streams(&log_streams).await?;
            let partial = ledger.partial;
            Some(begin(log, &to, &parts, commanded.clone(), &ledger.began, partial, now_millis())?)
        }
    };
    if ledger.pending.is_none() {
        ledger.commanded = commanded;
    }
    // What an earlier rebuild had made that is no longer wanted.
    if let Some(left) = pending(declared, store.ledger())
        && ledger.pending.as_ref().is_none_or(|record| record.to != left.numbers)
    {
        let wanted = ledger.pending.as_ref().map_or(&ledger.serving, |record| &record.to);
        let stale = left.differing(wanted).and(&left.differing(&ledger.serving));
        let garbage = left.garbage(&stale, true);
        add(&mut ledger.garbage, garbage);
    }
    ledger.known = rebuildable(declared).into_iter().map(str::to_owned).collect();
    store.change(|kept| *kept = ledger).await?;
    let ledger = store.ledger();
    Ok((served(declared, ledger), pending(declared, ledger)))
}
