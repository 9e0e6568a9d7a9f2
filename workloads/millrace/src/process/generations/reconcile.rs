//! What is found at a start: what is served, what was being made, and what the resource asks for now.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_core::StreamName;
use millrace_log::Log;
use millrace_plan::Plan;
use millrace_plan::model::SinkPlan;
use millrace_plan::model::SinkTarget;
use tracing::warn;

use super::begin::begin;
use super::edition::Edition;
use super::edition::Parts;
use super::error::OpenGenerationsError;
use super::ledger::Commanded;
use super::ledger::Garbage;
use super::ledger::Ledger;
use super::ledger::LedgerStore;
use super::ledger::Mark;
use super::ledger::Numbers;
use super::ledger::PendingRecord;
use crate::process::live::now_millis;
use crate::process::operations::rebuildable;

pub(super) fn edition(declared: &Plan, commanded: &Commanded) -> Edition {
    let plan = declared.raised(&commanded.into());
    Edition { numbers: plan.generations().into(), plan: Arc::new(plan) }
}

/// What a resource asks for, with what commands have raised.
pub(crate) fn wanted(declared: &Plan, ledger: Option<&Ledger>) -> Edition {
    let commanded = ledger.map(|l| l.pending.as_ref().map_or(&l.commanded, |p| &p.commanded));
    edition(declared, &commanded.cloned().unwrap_or_default())
}

pub(super) fn served(declared: &Plan, ledger: &Ledger, log: &dyn Log) -> Edition {
    let Edition { plan, numbers: wanted } = edition(declared, &ledger.commanded);
    Edition { plan, numbers: ledger.serving.clone() }.with_partitions_of(log, &wanted)
}

/// What each sink's own generation adds to those of the streams that it reads.
pub(super) fn own_numbers(declared: &Plan) -> BTreeMap<String, i32> {
    let own = |sink: &SinkPlan| {
        let upstream = sink.from.iter().filter_map(|name| declared.stream(name));
        upstream.fold(sink.generation, |own, stream| own.saturating_sub(stream.generation))
    };
    declared.sinks.iter().map(|sink| (sink.name.clone(), own(sink))).collect()
}

/// Takes over what only sinks that send or archive have of their own: nothing is to be made for it.
fn take_over_outward(
    ledger: &mut Ledger,
    to: &Edition,
    wanted: &Numbers,
    own: &BTreeMap<String, i32>,
) {
    let parts = to.differing(&ledger.serving);
    for sink in to.plan.sinks.iter().filter(|sink| parts.sinks.contains(&sink.name)) {
        let is_table = matches!(sink.target, SinkTarget::Table(_));
        if is_table || sink.from.iter().any(|stream| to.is_made_by(&parts, stream)) {
            continue;
        }
        let name = &sink.name;
        for (known, now) in [
            (&mut ledger.serving.sinks, to.numbers.sinks.get(name)),
            (&mut ledger.declared.sinks, wanted.sinks.get(name)),
            (&mut ledger.own, own.get(name)),
        ] {
            known.extend(now.map(|now| (name.clone(), *now)));
        }
    }
}

pub(super) fn pending(declared: &Plan, ledger: &Ledger) -> Option<Edition> {
    let record = ledger.pending.as_ref()?;
    let mut edition = edition(declared, &record.commanded);
    edition.numbers = record.to.clone();
    Some(edition)
}

/// Where sinks go on in streams that a rebuild goes on to make which takes another one's place.
pub(super) fn noted(
    left: Option<&Edition>,
    record: Option<&PendingRecord>,
    to: &Edition,
) -> Vec<Mark> {
    let (Some(left), Some(record)) = (left, record) else { return Vec::new() };
    let marks = record.going_on.as_ref().unwrap_or(&record.noted);
    let is_same = |mark: &&Mark| {
        let stream = mark.stream.parse::<StreamName>();
        stream.is_ok_and(|stream| left.stream(&stream) == to.stream(&stream))
    };
    marks.iter().filter(is_same).cloned().collect()
}

pub(super) fn add(garbage: &mut Garbage, more: Garbage) {
    garbage.streams.extend(more.streams);
    garbage.tasks.extend(more.tasks);
    garbage.tables.extend(more.tables);
}

pub(super) fn check_lowered(ledger: &Ledger, wanted: &Numbers) -> Result<(), OpenGenerationsError> {
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
pub(super) fn resting(
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

/// Writes what [`reconciled`] finds. Returns what is served and what is to be made.
pub(super) async fn reconcile(
    declared: &Plan,
    log: &Arc<dyn Log>,
    store: &mut LedgerStore,
    wanted: &Numbers,
) -> Result<(Edition, Option<Edition>), OpenGenerationsError> {
    let ledger = reconciled(declared, log, store.ledger(), wanted).await?;
    store.change(|kept| *kept = ledger).await?;
    let ledger = store.ledger();
    Ok((served(declared, ledger, &**log), pending(declared, ledger)))
}

/// Takes over parts that are new, what the resource raises and what was asked for meanwhile.
pub(super) async fn reconciled(
    declared: &Plan,
    log: &Arc<dyn Log>,
    found: &Ledger,
    wanted: &Numbers,
) -> Result<Ledger, OpenGenerationsError> {
    let mut ledger = found.clone();
    // Whoever made a switch is no longer there.
    ledger.halt = None;
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
    let own = own_numbers(declared);
    for (name, number) in &own {
        ledger.own.entry(name.clone()).or_insert(*number);
    }
    take_over_outward(&mut ledger, &to, wanted, &own);
    let parts = to.differing(&ledger.serving);
    ledger.pending = match (before, parts.is_empty()) {
        (Some(record), false) if record.to == to.numbers => Some(record),
        (_, true) => None,
        (_, false) => {
            let log = &**log;
            let log_streams = served(declared, &ledger, log).streams();
            log.ensure_streams(&log_streams).await?;
            let partial = ledger.partial;
            let left = pending(declared, found);
            let noted = noted(left.as_ref(), found.pending.as_ref(), &to);
            let commanded = commanded.clone();
            let record = begin(log, &to, &parts, commanded, &ledger.began, partial, now_millis())?;
            Some(PendingRecord { noted, ..record })
        }
    };
    if ledger.pending.is_none() {
        ledger.commanded = commanded;
        ledger.partial = false;
    }
    // What an earlier rebuild had made that is no longer wanted.
    if let Some(left) = pending(declared, found)
        && ledger.pending.as_ref().is_none_or(|record| record.to != left.numbers)
    {
        let wanted = ledger.pending.as_ref().map_or(&ledger.serving, |record| &record.to);
        let stale = left.differing(wanted).and(&left.differing(&ledger.serving));
        let garbage = left.garbage(&stale, true);
        add(&mut ledger.garbage, garbage);
    }
    ledger.known = rebuildable(declared).into_iter().map(str::to_owned).collect();
    Ok(ledger)
}
