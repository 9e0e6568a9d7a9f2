//! What can be asked of a running pipeline beside its data: rebuilds, replays and
//! backups.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_api::nearest;
use millrace_core::with_causes;
use millrace_log::EmbeddedLog;
use millrace_plan::Plan;
use millrace_plan::model::SinkTarget;
use millrace_query::OperationRefused;
use millrace_query::Operations;
use millrace_query::ReplayWish;
use serde_json::Value;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;

use crate::backup;
use crate::backup::BackupError;
use crate::process::generations::BeginRebuildError;
use crate::process::generations::OpenGenerationsError;
use crate::process::generations::RebuildState;
use crate::process::generations::Serving;
use crate::process::replay::Bound;
use crate::process::replay::ReplayRequest;
use crate::process::replay::Replays;
use crate::process::storage::Storage;
use crate::process::storage::TABLES_FILE;

/// Operations on the pipeline of this process.
pub(super) struct RunningOperations {
    plan: Arc<Plan>,
    serving: Arc<Serving>,
    log: Arc<EmbeddedLog>,
    folder: PathBuf,
    replays: Replays,
    /// One backup at a time: each has a copy of the tables, and a thread of its own.
    backups: Arc<Semaphore>,
}

impl RunningOperations {
    pub(super) fn new(storage: &Storage) -> Self {
        Self {
            plan: Arc::clone(&storage.plan),
            serving: Arc::clone(&storage.serving),
            log: Arc::clone(&storage.embedded),
            folder: storage.folder.clone(),
            backups: Arc::new(Semaphore::new(1)),
            replays: Replays::new(Arc::clone(&storage.plan), Arc::clone(&storage.log)),
        }
    }
}

/// Names of what can be rebuilt: table sinks and processors.
pub(crate) fn rebuildable(plan: &Plan) -> Vec<&str> {
    let sinks = plan.sinks.iter().filter(|sink| matches!(sink.target, SinkTarget::Table(_)));
    let operators = plan.stages.iter().flat_map(|stage| &stage.operators);
    // What stands in front of a processor for the sake of its key has a name with a dot.
    let processors = operators.map(|operator| operator.name.as_str());
    sinks.map(|sink| sink.name.as_str()).chain(processors.filter(|n| !n.contains('.'))).collect()
}

/// Why there is nothing of this name to rebuild; none if there is.
pub(super) fn not_rebuildable(plan: &Plan, name: &str) -> Option<String> {
    let known = rebuildable(plan);
    if known.contains(&name) {
        return None;
    }
    if plan.sinks.iter().any(|sink| sink.name == name) {
        return Some(format!(
            "sink `{name}` sends what it reads and keeps nothing that could be rebuilt"
        ));
    }
    Some(unknown_part(name, &known))
}

/// That there is nothing of this name to rebuild, and what was perhaps meant.
pub(crate) fn unknown_part(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(nearest) => {
            format!("no table sink or processor is named `{name}`: did you mean `{nearest}`?")
        }
        None => {
            format!("no table sink or processor is named `{name}`; there are {}", known.join(", "))
        }
    }
}

/// Begins a replay that was asked for.
pub(super) fn begin_replay(replays: &Replays, wish: ReplayWish) -> Result<Value, OperationRefused> {
    let name =
        |name: String| name.parse().map_err(|error| OperationRefused::Invalid(format!("{error}")));
    let bound = |text: String| {
        text.parse::<Bound>().map_err(|error| OperationRefused::Invalid(error.to_string()))
    };
    let request = ReplayRequest {
        stream: name(wish.stream)?,
        from: bound(wish.from)?,
        until: wish.until.map(bound).transpose()?,
        to: name(wish.to)?,
    };
    let begun = replays.begin(request, wish.restart);
    begun.map(|progress| json!(progress)).map_err(OperationRefused::Conflict)
}

#[async_trait]
impl Operations for RunningOperations {
    async fn rebuild(&self, name: &str, partial: bool) -> Result<Value, OperationRefused> {
        if let Some(reason) = not_rebuildable(&self.plan, name) {
            return Err(OperationRefused::Unknown(reason));
        }
        let joined = match self.serving.rebuild(name, partial).await {
            Ok(joined) => joined,
            Err(OpenGenerationsError::Begin(error @ BeginRebuildError::TooShort { .. })) => {
                return Err(OperationRefused::Conflict(error.to_string()));
            }
            Err(error) => return Err(OperationRefused::Unavailable(with_causes(&error))),
        };
        Ok(json!({"name": name, "joined": joined}))
    }

    async fn rebuilds(&self) -> Value {
        let mut progress = self.serving.progress();
        let pending = self.serving.pending().await;
        if let Some((_, parts)) = &pending
            && progress.as_ref().is_none_or(|progress| progress.state == RebuildState::Done)
        {
            progress = Some(self.serving.not_begun(parts).await);
        }
        json!({"running": pending.is_some(), "rebuild": progress})
    }

    async fn replay(&self, wish: ReplayWish) -> Result<Value, OperationRefused> {
        begin_replay(&self.replays, wish)
    }

    async fn replay_progress(&self, id: &str) -> Option<Value> {
        self.replays.progress(id).map(|progress| json!(progress))
    }

    async fn backup(&self) -> Result<mpsc::Receiver<std::io::Result<Bytes>>, OperationRefused> {
        let busy = |_| {
            let reason = "a backup is being taken already: try again when it is done";
            OperationRefused::Unavailable(reason.to_owned())
        };
        let permit = Arc::clone(&self.backups).try_acquire_owned().map_err(busy)?;
        let unavailable = |error: BackupError| OperationRefused::Unavailable(with_causes(&error));
        // No switch between the copies of tables and log.
        let _steady = self.serving.steady.lock().await;
        let tables = self.folder.join(TABLES_FILE);
        let source =
            backup::prepare(&self.log, &self.folder, &tables).await.map_err(unavailable)?;
        backup::stream(source, permit).map_err(unavailable)
    }
}
