//! How far a rebuild has come, as it is told to others.

use millrace_tables::TableStore;
use serde::Serialize;

use super::follower::Follower;
use super::ledger::Ledger;
use super::ledger::LedgerError;
use super::ledger::PendingRecord;
use super::pending::PositionsError;
use super::pending::Reached;
use super::pending::positions;

/// What a rebuild is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum RebuildState {
    /// It begins.
    Starting,
    /// It reads what was recorded.
    Filling,
    /// It has read all and waits for the right moment.
    Switching,
    /// It cannot go on at present; see the reason.
    Waiting,
    /// It is done: what it made is served.
    Done,
    /// It was given up: what was served stays; see the reason.
    GivenUp,
}

/// How far a rebuild has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RebuildProgress {
    /// What it is doing.
    pub(crate) state: RebuildState,
    /// Stages and sinks that are made anew.
    pub(crate) parts: Vec<String>,
    /// Recorded entries to read, as of the beginning.
    pub(crate) total: i64,
    /// Of these, those that have been read.
    pub(crate) done: i64,
    /// When it began, in milliseconds since 1970.
    pub(crate) since: i64,
    /// Why it waits, or was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// Recorded entries that a rebuild reads, as of its beginning, and those that it has read.
pub(super) fn counted(reached: &[Reached], record: &PendingRecord) -> (i64, i64) {
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
    (total, done)
}

/// How far the rebuild has come that another process runs, by the ledger and the positions of what
/// is being made; and whether there is one.
pub(crate) async fn shared_progress(
    follower: &Follower,
    tables: &dyn TableStore,
) -> Result<(bool, Option<RebuildProgress>), SharedProgressError> {
    // As of now, since whoever asks may have begun it a moment ago.
    let log = follower.view().log();
    let Some(ledger) = Ledger::read(&**log).await? else { return Ok((false, None)) };
    let pending = follower.pending(&ledger);
    let (Some(record), Some((edition, parts))) = (&ledger.pending, pending) else {
        let ended = ledger.ended.map(|ended| RebuildProgress {
            state: match ended.reason {
                Some(_) => RebuildState::GivenUp,
                None => RebuildState::Done,
            },
            parts: ended.parts.into_iter().collect(),
            total: ended.entries,
            done: ended.entries,
            since: ended.since,
            reason: ended.reason,
        });
        return Ok((false, ended));
    };
    let reached = positions(&**log, tables, &edition, &parts).await?;
    let (total, done) = counted(&reached, record);
    let state = if ledger.halt.is_some() { RebuildState::Switching } else { RebuildState::Filling };
    let parts = parts.stages.into_iter().chain(parts.sinks).collect();
    Ok((
        true,
        Some(RebuildProgress { state, parts, total, done, since: record.since, reason: None }),
    ))
}

/// A rebuild of another process that cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SharedProgressError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Positions cannot be read.
    #[error(transparent)]
    Positions(#[from] PositionsError),
}
