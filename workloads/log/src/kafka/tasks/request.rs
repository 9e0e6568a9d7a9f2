//! What waits to be committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::with_causes;
use tokio::sync::oneshot;

use super::super::client::MAX_MESSAGE_BYTES;
use super::super::extent::Topic;
use super::super::topics::Topics;
use super::changelog::Changelog;
use super::keys;
use crate::Append;
use crate::AppendError;
use crate::CommitTaskError;
use crate::Entry;
use crate::InputPosition;
use crate::StateChange;
use crate::TaskClaim;
use crate::TaskCommit;

/// Largest metadata of a position that is kept with a group's offset; brokers take 4096 bytes.
const MAX_METADATA_BYTES: usize = 3000;
/// What a position's metadata begins with there: a version. Offsets that were committed without a
/// task have none.
const METADATA: &str = "1:";
/// What an offset has whose position was removed.
const REMOVED: &str = "0:";
/// What a message takes beside its key and value, about.
const MESSAGE_OVERHEAD: usize = 100;

/// Whose commit it is.
#[derive(Debug, Clone)]
pub(super) enum Owner {
    /// A task's, under a claim.
    Task(TaskClaim),
    /// A group's, for one of its partitions.
    Group {
        /// The stage or sink.
        stage: String,
        /// The partition.
        partition: Partition,
    },
}

impl Owner {
    pub(super) fn stage(&self) -> &str {
        match self {
            Self::Task(claim) => &claim.task.stage,
            Self::Group { stage, .. } => stage,
        }
    }

    pub(super) fn partition(&self) -> Partition {
        match self {
            Self::Task(claim) => claim.task.partition,
            Self::Group { partition, .. } => *partition,
        }
    }

    /// What is said when someone else has taken over.
    pub(super) fn fenced(&self) -> CommitTaskError {
        match self {
            Self::Task(claim) => CommitTaskError::Fenced { task: claim.task.to_string() },
            Self::Group { stage, partition } => CommitTaskError::Append(AppendError::Unavailable(
                format!("partition {partition} of group `{stage}` is in other hands"),
            )),
        }
    }
}

/// What waits to be committed, all or none.
pub(super) struct Request {
    pub(super) owner: Owner,
    pub(super) contents: Contents,
    /// Whom to answer.
    pub(super) answer: oneshot::Sender<Result<Vec<Offset>, CommitTaskError>>,
}

/// Offsets of a group: of each topic and partition the next one, with metadata.
pub(super) type Offsets = BTreeMap<(String, Partition), (Offset, String)>;

/// What a commit writes.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) outputs: Vec<(Arc<Topic>, Partition, Entry)>,
    pub(super) changelog: Option<Arc<str>>,
    pub(super) changes: Vec<(Bytes, Option<Bytes>)>,
    pub(super) offsets: Offsets,
    /// About how many bytes it is.
    pub(super) bytes: usize,
}

impl Contents {
    /// Messages that it becomes.
    pub(super) fn records(&self) -> usize {
        self.outputs.len() + self.changes.len()
    }

    /// Checks a task's commit, and takes it apart.
    pub(super) fn of_task(
        topics: &Topics,
        changelog: Option<&Changelog>,
        partition: Partition,
        commit: TaskCommit,
    ) -> Result<Self, AppendError> {
        let mut contents = Self::default();
        for output in commit.outputs {
            contents.output(topics, output)?;
        }
        let is_empty =
            contents.outputs.is_empty() && commit.state.is_empty() && commit.positions.is_empty();
        if is_empty {
            return Ok(contents);
        }
        match changelog {
            Some(changelog) => {
                contents.changelog = Some(Arc::clone(&changelog.topic));
                contents.keep(topics, commit.state, commit.positions)?;
            }
            None if commit.state.is_empty() => {
                contents.keep_positions(topics, partition, commit.positions)?;
            }
            None => {
                let reason = "it has nowhere to keep state: `ensure_tasks` was never called for it";
                return Err(AppendError::Unavailable(reason.to_owned()));
            }
        }
        Ok(contents)
    }

    fn output(&mut self, topics: &Topics, output: Append) -> Result<(), AppendError> {
        let Append { stream, partition, entry } = output;
        let topic = topics.get(&stream).filter(|topic| topic.takes(partition));
        let topic = topic.ok_or(AppendError::UnknownStream { stream, partition })?;
        if let Entry::Record(record) = &entry {
            let headers = record.headers.0.iter();
            let headers: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
            self.count("an entry", record.key.len() + record.value.len() + headers)?;
        }
        self.outputs.push((topic, partition, entry));
        Ok(())
    }

    fn count(&mut self, what: &'static str, bytes: usize) -> Result<(), AppendError> {
        let limit = MAX_MESSAGE_BYTES - (64 << 10);
        if bytes > limit {
            return Err(AppendError::TooLarge { what, bytes, limit });
        }
        self.bytes += bytes + MESSAGE_OVERHEAD;
        Ok(())
    }

    /// State and positions go to the changelog, and how far the task is to the group too: for
    /// those who watch its lag, and so that the brokers refuse it when its member is none any more.
    fn keep(
        &mut self,
        topics: &Topics,
        state: Vec<StateChange>,
        positions: Vec<InputPosition>,
    ) -> Result<(), AppendError> {
        for change in state {
            let key = keys::state(&change.store, &change.key);
            let value = change.value.as_ref().map_or(0, Bytes::len);
            self.count("an entry of state", key.len() + value)?;
            self.changes.push((key, change.value));
        }
        for position in positions {
            let key = keys::position(&position.stream, position.partition);
            let value = keys::position_value(&position)
                .map_err(|error| AppendError::Unavailable(with_causes(&error)))?;
            self.count("a position", key.len() + value.len())?;
            self.changes.push((key, Some(value)));
            if let Some(topic) = topics.get(&position.stream) {
                let at = (topic.name.clone(), position.partition);
                self.offsets.insert(at, (position.next, String::new()));
            }
        }
        if self.changes.is_empty() {
            self.changes.push((keys::touch(), Some(Bytes::new())));
        }
        Ok(())
    }

    /// Positions are kept as the group's offsets and their metadata. What other tasks of the stage
    /// have read is there too: a task's are those of its own partition.
    fn keep_positions(
        &mut self,
        topics: &Topics,
        own: Partition,
        positions: Vec<InputPosition>,
    ) -> Result<(), AppendError> {
        for InputPosition { stream, partition, next, metadata } in positions {
            if partition != own {
                return Err(AppendError::Unavailable(format!(
                    "task {own} cannot keep a position in partition {partition} of `{stream}`: `ensure_tasks` was \
                     never called for its stage"
                )));
            }
            if metadata.len() > MAX_METADATA_BYTES {
                let (what, bytes) = ("the metadata of a position", metadata.len());
                return Err(AppendError::TooLarge { what, bytes, limit: MAX_METADATA_BYTES });
            }
            let topic = topics.get(&stream).filter(|topic| topic.partition(partition).is_some());
            let topic = topic.ok_or(AppendError::UnknownStream { stream, partition })?;
            let metadata = format!("{METADATA}{}", STANDARD_NO_PAD.encode(&metadata));
            self.bytes += metadata.len() + MESSAGE_OVERHEAD;
            self.offsets.insert((topic.name.clone(), partition), (next, metadata));
        }
        Ok(())
    }

    /// A plain offset of a group.
    pub(super) fn of_group(topic: &Topic, partition: Partition, next: Offset) -> Self {
        let offsets = Offsets::from([((topic.name.clone(), partition), (next, String::new()))]);
        Self { offsets, bytes: MESSAGE_OVERHEAD, ..Self::default() }
    }

    /// Takes everything away that a task's changelog has.
    pub(super) fn removal(changelog: &Changelog, keys: Vec<Bytes>) -> Self {
        let changes: Vec<_> = keys.into_iter().map(|key| (key, None)).collect();
        let bytes = changes.iter().map(|(key, _)| key.len() + MESSAGE_OVERHEAD).sum();
        let changelog = Some(Arc::clone(&changelog.topic));
        Self { changelog, changes, bytes, ..Self::default() }
    }

    /// Marks positions as removed that are kept as a group's offsets.
    pub(super) fn removed_positions(of: impl IntoIterator<Item = (String, Partition)>) -> Self {
        let offsets = of.into_iter().map(|at| (at, (0, REMOVED.to_owned()))).collect();
        Self { offsets, bytes: MESSAGE_OVERHEAD, ..Self::default() }
    }
}

/// What a position's metadata was, if an offset is a position of a task.
pub(super) fn parse_metadata(text: &str) -> Option<Bytes> {
    STANDARD_NO_PAD.decode(text.strip_prefix(METADATA)?).ok().map(Bytes::from)
}
