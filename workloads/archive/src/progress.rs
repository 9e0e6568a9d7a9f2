//! How far the archive of a stream is: kept in the log as a task, which fences whoever had it
//! before.
//!
//! A range of the log becomes files in two steps. First its end is committed as the *intent*; then
//! the files are written; then the positions move to the end and the intent goes. A process that
//! dies between finds the intent, reads the same range again and writes the same files under the
//! same names.

use std::sync::Arc;

use bytes::Bytes;
use millrace_core::Offset;
use millrace_core::StreamName;
use millrace_log::ClaimTaskError;
use millrace_log::CommitTaskError;
use millrace_log::InputPosition;
use millrace_log::Log;
use millrace_log::StateChange;
use millrace_log::TaskClaim;
use millrace_log::TaskCommit;
use millrace_log::TaskName;
use millrace_plan::model::ArchiveFormat;
use serde::Deserialize;
use serde::Serialize;

/// The store of the task's state, and its only key.
const STORE: &str = "archive";
const KEY: &[u8] = b"progress";

/// What is kept, in its versions.
#[derive(Serialize, Deserialize)]
enum Stored {
    V1 { log: u32, range: u64, intent: Option<StoredIntent> },
}

#[derive(Serialize, Deserialize)]
struct StoredIntent {
    to: Vec<Offset>,
    is_parquet: bool,
}

/// A range that is to become files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intent {
    /// Where it ends, for each partition; it begins at the positions.
    pub(crate) to: Vec<Offset>,
    /// The format, which holds even where the resource has another one since.
    pub(crate) format: ArchiveFormat,
}

/// How far the archive of a stream is.
pub(crate) struct Progress {
    task: Arc<dyn Log>,
    claim: TaskClaim,
    stream: StreamName,
    /// The next offset of each partition.
    pub(crate) next: Vec<Offset>,
    /// Drawn once; part of every file's name.
    pub(crate) log: u32,
    /// Number of the next range.
    pub(crate) range: u64,
    /// A range that was begun.
    pub(crate) intent: Option<Intent>,
}

/// Progress that cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error(transparent)]
    Claim(#[from] ClaimTaskError),
    #[error(
        "the archive's progress in the log was written by a later program: use a newer Millrace"
    )]
    Version(#[source] postcard::Error),
}

impl Progress {
    /// Takes the archive of a stream over.
    pub(crate) async fn claim(
        log: &Arc<dyn Log>,
        stage: String,
        stream: &StreamName,
        partitions: usize,
    ) -> Result<Self, ClaimError> {
        let (claim, snapshot) = log.claim_task(&TaskName { stage, partition: 0 }).await?;
        let mut next = vec![0; partitions];
        let is_of = |position: &&InputPosition| position.stream == *stream;
        for position in snapshot.positions.iter().filter(is_of) {
            let partition = usize::try_from(position.partition).ok();
            if let Some(known) = partition.and_then(|partition| next.get_mut(partition)) {
                *known = position.next;
            }
        }
        let saved = snapshot.state.iter().find(|entry| entry.store == STORE && entry.key == KEY);
        let (number, range, intent) = match saved {
            Some(entry) => {
                let Stored::V1 { log, range, intent } =
                    postcard::from_bytes(&entry.value).map_err(ClaimError::Version)?;
                (log, range, intent)
            }
            None => (drawn(), 0, None),
        };
        // A range of another stream, as one generation of it is to the next, is none of this one.
        let is_other =
            !snapshot.positions.is_empty() && !snapshot.positions.iter().any(|p| is_of(&p));
        let intent = intent.filter(|_| !is_other);
        let intent = intent.map(|StoredIntent { to, is_parquet }| Intent {
            to,
            format: if is_parquet { ArchiveFormat::Parquet } else { ArchiveFormat::Ndjson },
        });
        let stream = stream.clone();
        Ok(Self { task: Arc::clone(log), claim, stream, next, log: number, range, intent })
    }

    /// Commits that a range is about to become files.
    pub(crate) async fn intend(&mut self, intent: Intent) -> Result<(), CommitTaskError> {
        let state = self.stored(self.range, Some(&intent))?;
        self.commit(TaskCommit { state: vec![state], ..TaskCommit::default() }).await?;
        self.intent = Some(intent);
        Ok(())
    }

    /// Commits that the range up to `to` is done with: its files are written.
    pub(crate) async fn finish(&mut self, to: Vec<Offset>) -> Result<(), CommitTaskError> {
        let range = self.range + 1;
        let state = self.stored(range, None)?;
        self.advance(to, vec![state]).await?;
        self.range = range;
        self.intent = None;
        Ok(())
    }

    /// Commits that up to `to` there is nothing to write.
    pub(crate) async fn skip(&mut self, to: Vec<Offset>) -> Result<(), CommitTaskError> {
        self.advance(to, Vec::new()).await
    }

    async fn advance(
        &mut self,
        to: Vec<Offset>,
        state: Vec<StateChange>,
    ) -> Result<(), CommitTaskError> {
        let positions = (0..)
            .zip(to.iter().zip(&self.next))
            .filter(|(_, (to, from))| to != from)
            .map(|(partition, (to, _))| InputPosition {
                stream: self.stream.clone(),
                partition,
                next: *to,
                metadata: Bytes::new(),
            })
            .collect();
        self.commit(TaskCommit { outputs: Vec::new(), state, positions }).await?;
        self.next = to;
        Ok(())
    }

    async fn commit(&self, commit: TaskCommit) -> Result<(), CommitTaskError> {
        self.task.commit_task(&self.claim, commit).await.map(drop)
    }

    fn stored(&self, range: u64, intent: Option<&Intent>) -> Result<StateChange, CommitTaskError> {
        let intent = intent.map(|intent| StoredIntent {
            to: intent.to.clone(),
            is_parquet: intent.format == ArchiveFormat::Parquet,
        });
        let stored = Stored::V1 { log: self.log, range, intent };
        let value = postcard::to_stdvec(&stored)
            .map_err(|error| millrace_log::AppendError::Unavailable(error.to_string()))?;
        Ok(StateChange {
            store: STORE.to_owned(),
            key: Bytes::from_static(KEY),
            value: Some(value.into()),
        })
    }
}

/// A number that sets this log apart from others.
fn drawn() -> u32 {
    let [.., a, b, c, d] = uuid::Uuid::now_v7().into_bytes();
    u32::from_be_bytes([a, b, c, d])
}
