//! How far a rebuild has come, as it is told to others.

use serde::Serialize;

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
