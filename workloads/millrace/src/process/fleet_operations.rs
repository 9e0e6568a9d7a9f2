//! What can be asked of a pipeline of many processes beside its data: rebuilds, which a worker
//! carries out, and replays.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_core::with_causes;
use millrace_log::Log;
use millrace_plan::Plan;
use millrace_query::OperationRefused;
use millrace_query::Operations;
use millrace_query::ReplayWish;
use millrace_tables::TableStore;
use serde_json::Value;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::process::generations::Follower;
use crate::process::generations::requests::RequestRebuildError;
use crate::process::generations::requests::Requests;
use crate::process::generations::shared_progress;
use crate::process::operations::begin_replay;
use crate::process::operations::not_rebuildable;
use crate::process::replay::Replays;

/// How old progress may be that is told again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Operations on a pipeline whose log and tables other processes share.
pub(super) struct FleetOperations {
    plan: Arc<Plan>,
    follower: Follower,
    tables: Arc<dyn TableStore>,
    requests: Requests,
    replays: Replays,
    /// The progress that was told last, and when: finding it out asks Kafka for much.
    told: Mutex<Option<(Instant, Value)>>,
}

impl FleetOperations {
    pub(super) fn new(follower: Follower, tables: Arc<dyn TableStore>) -> Self {
        let (plan, view) = (Arc::clone(follower.declared()), Arc::clone(follower.view()));
        let requests = Requests::new(Arc::clone(view.log()));
        let replays = Replays::new(Arc::clone(&plan), view as Arc<dyn Log>);
        Self { plan, follower, tables, requests, replays, told: Mutex::default() }
    }
}

#[async_trait]
impl Operations for FleetOperations {
    async fn rebuild(&self, name: &str, partial: bool) -> Result<Value, OperationRefused> {
        if let Some(reason) = not_rebuildable(&self.plan, name) {
            return Err(OperationRefused::Unknown(reason));
        }
        let begun = self.requests.rebuild(name, partial).await;
        *self.told.lock().await = None;
        match begun {
            Ok(joined) => Ok(json!({"name": name, "joined": joined})),
            Err(RequestRebuildError::Conflict(reason)) => Err(OperationRefused::Conflict(reason)),
            Err(error) => Err(OperationRefused::Unavailable(with_causes(&error))),
        }
    }

    async fn rebuilds(&self) -> Value {
        let mut told = self.told.lock().await;
        if let Some((at, value)) = &*told
            && at.elapsed() < LOOK_AGAIN
        {
            return value.clone();
        }
        let value = match shared_progress(&self.follower, &*self.tables).await {
            Ok((running, rebuild)) => json!({"running": running, "rebuild": rebuild}),
            // Whoever asks, asks again.
            Err(error) => json!({
                "running": true,
                "rebuild": {"state": "waiting", "reason": with_causes(&error)},
            }),
        };
        *told = Some((Instant::now(), value.clone()));
        value
    }

    async fn replay(&self, wish: ReplayWish) -> Result<Value, OperationRefused> {
        begin_replay(&self.replays, wish)
    }

    async fn replay_progress(&self, id: &str) -> Option<Value> {
        self.replays.progress(id).map(|progress| json!(progress))
    }

    async fn backup(&self) -> Result<mpsc::Receiver<std::io::Result<Bytes>>, OperationRefused> {
        Err(OperationRefused::Conflict(NO_BACKUP.to_owned()))
    }
}

/// What to do instead of a backup.
pub(crate) const NO_BACKUP: &str = "this pipeline's events are in Kafka and its tables in Postgres, and a copy of one that does not fit the \
     other is worth nothing. Copy the topics (MirrorMaker, or replicas in other places), and rebuild the tables from \
     them: `millrace rebuild NAME`. Tables alone: `pg_dump` of the pipeline's schema";
