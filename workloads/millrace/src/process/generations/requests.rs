//! Rebuilds that one process asks for and another one begins: the one that leads.
//!
//! A request is an entry of a task's state under an id of its own, and so is its answer: whoever
//! writes here adds or removes whole entries, so that nobody overwrites another's.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millrace_core::with_causes;
use millrace_log::ClaimTaskError;
use millrace_log::CommitTaskError;
use millrace_log::Log;
use millrace_log::ReadError;
use millrace_log::StageConfig;
use millrace_log::StateChange;
use millrace_log::StateEntry;
use millrace_log::TaskCommit;
use millrace_log::TaskName;
use serde::Deserialize;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;

use super::begin::BeginRebuildError;
use super::error::OpenGenerationsError;
use super::serving::Serving;
use crate::process::live::now_millis;

/// The task that has them. Declared names have no `.`.
const TASK: &str = "pipeline.requests";
const REQUESTS: &str = "requests";
const ANSWERS: &str = "answers";

/// Between two looks for requests, and for the answer to one.
const LOOK: Duration = Duration::from_millis(500);

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long an answer is kept that nobody fetched.
const KEPT: i64 = 10 * 60 * 1000;

/// A request to rebuild a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Request {
    name: String,
    partial: bool,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    /// When it was given, in milliseconds since 1970.
    at: i64,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Outcome {
    Begun,
    Joined,
    Conflict(String),
    Failed(String),
}

/// A rebuild that was not begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestRebuildError {
    /// The state of the log does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// It may succeed later.
    #[error("{0}")]
    Failed(String),
    /// Nobody answers.
    #[error(
        "no worker has taken the request within {} s, and it was withdrawn: start a worker, or look at why none is ready",
        .0.as_secs()
    )]
    Nobody(Duration),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] WriteRequestError),
}

/// A request or an answer that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteRequestError {
    /// The task cannot be taken over for a moment.
    #[error("cannot write a request into the log")]
    Claim(#[from] ClaimTaskError),
    /// The commit failed.
    #[error("cannot write a request into the log")]
    Commit(#[from] CommitTaskError),
    /// They cannot be read.
    #[error("cannot read requests from the log")]
    Read(#[from] ReadError),
    /// One cannot be written as JSON.
    #[error("a request is damaged")]
    Form(#[from] serde_json::Error),
}

/// What the requests are kept in.
pub(crate) fn stage() -> StageConfig {
    StageConfig { name: TASK.to_owned(), partitions: 1 }
}

fn task() -> TaskName {
    TaskName { stage: TASK.to_owned(), partition: 0 }
}

/// The requests of a pipeline, as one process sees them.
pub(crate) struct Requests {
    log: Arc<dyn Log>,
    patience: Duration,
    /// A claim and its commit, one after another.
    writing: Mutex<()>,
}

impl Requests {
    pub(crate) fn new(log: Arc<dyn Log>) -> Self {
        Self::with_patience(log, PATIENCE)
    }

    /// Requests whose answers are waited for so long.
    pub(super) fn with_patience(log: Arc<dyn Log>, patience: Duration) -> Self {
        Self { log, patience, writing: Mutex::new(()) }
    }

    /// Asks whoever leads to rebuild a part, and waits until that is begun. True if a rebuild of it
    /// went on already.
    pub(crate) async fn rebuild(
        &self,
        name: &str,
        partial: bool,
    ) -> Result<bool, RequestRebuildError> {
        let id = Bytes::from(format!("{:016x}", rand::random::<u64>()));
        let request = Request { name: name.to_owned(), partial };
        self.write(vec![put(REQUESTS, &id, &request)?]).await?;
        let deadline = Instant::now() + self.patience;
        while Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
            let state = self.log.task_state(&task()).await.map_err(WriteRequestError::from)?;
            let Some(entry) = state.iter().find(|e| e.store == ANSWERS && e.key == id) else {
                continue;
            };
            let answer: Answer =
                serde_json::from_slice(&entry.value).map_err(WriteRequestError::from)?;
            self.write(vec![remove(ANSWERS, &id)]).await?;
            return match answer.outcome {
                Outcome::Begun => Ok(false),
                Outcome::Joined => Ok(true),
                Outcome::Conflict(reason) => Err(RequestRebuildError::Conflict(reason)),
                Outcome::Failed(reason) => Err(RequestRebuildError::Failed(reason)),
            };
        }
        self.write(vec![remove(REQUESTS, &id)]).await?;
        Err(RequestRebuildError::Nobody(self.patience))
    }

    /// Carries requests out, until `stop`: in the process that leads.
    pub(crate) async fn serve(&self, serving: &Serving, stop: &CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            if let Err(error) = self.answer(serving).await {
                warn!(message = "Requests wait.", error = with_causes(&error));
            }
        }
    }

    /// Answers the requests that there are.
    pub(super) async fn answer(&self, serving: &Serving) -> Result<(), WriteRequestError> {
        let state = self.log.task_state(&task()).await?;
        let overtaken = serving.overtaken().await;
        let mut changes = Vec::new();
        for StateEntry { store, key, value } in state {
            if store == REQUESTS {
                let outcome = match serde_json::from_slice::<Request>(&value) {
                    Ok(request) => carry_out(serving, &request).await,
                    Err(error) => Outcome::Failed(error.to_string()),
                };
                if overtaken.is_cancelled() {
                    // Whoever leads next finds it again.
                    break;
                }
                let answer = Answer { at: now_millis(), outcome };
                changes.extend([remove(REQUESTS, &key), put(ANSWERS, &key, &answer)?]);
            } else if serde_json::from_slice::<Answer>(&value)
                .map_or(true, |answer| answer.at + KEPT < now_millis())
            {
                changes.push(remove(&store, &key));
            }
        }
        if changes.is_empty() { Ok(()) } else { self.write(changes).await }
    }

    async fn write(&self, state: Vec<StateChange>) -> Result<(), WriteRequestError> {
        let _alone = self.writing.lock().await;
        let (claim, _) = self.log.claim_task(&task()).await?;
        self.log.commit_task(&claim, TaskCommit { state, ..TaskCommit::default() }).await?;
        Ok(())
    }
}

async fn carry_out(serving: &Serving, Request { name, partial }: &Request) -> Outcome {
    info!(message = "A rebuild is asked for.", name);
    match serving.rebuild(name, *partial).await {
        Ok(true) => Outcome::Joined,
        Ok(false) => Outcome::Begun,
        Err(OpenGenerationsError::Begin(error @ BeginRebuildError::TooShort { .. })) => {
            Outcome::Conflict(error.to_string())
        }
        Err(error) => Outcome::Failed(with_causes(&error)),
    }
}

fn put(store: &str, key: &Bytes, value: &impl Serialize) -> Result<StateChange, WriteRequestError> {
    let value = Bytes::from(serde_json::to_vec(value)?);
    Ok(StateChange { store: store.to_owned(), key: key.clone(), value: Some(value) })
}

fn remove(store: &str, key: &Bytes) -> StateChange {
    StateChange { store: store.to_owned(), key: key.clone(), value: None }
}
