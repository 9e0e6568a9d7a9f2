//! Replaying a dead letter: handed to the part that accepts events.

use async_trait::async_trait;
use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::http::StatusCode;
use millrace_core::DeadLetter;
use millrace_core::EventId;
use millrace_core::Offset;
use millrace_core::Partition;
use serde_json::json;

use crate::dead_letters::find;
use crate::params::Params;
use crate::state::SharedState;
use millrace_http::Problem;

/// Takes a dead letter in again, as if it had just arrived.
#[async_trait]
pub trait Replayer: Send + Sync + 'static {
    /// Accepts the letter's original bytes once more.
    ///
    /// # Errors
    /// Why it is refused again, for a person.
    async fn replay(&self, letter: DeadLetter) -> Result<ReplayOutcome, String>;
}

/// Where a replayed event is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayOutcome {
    /// The event's id.
    pub id: EventId,
    /// The partition that took it.
    pub partition: Partition,
    /// Its offset there.
    pub offset: Offset,
}

/// `POST /api/v1/dead-letters/{offset}/replay`
pub(crate) async fn replay(
    State(state): State<SharedState>,
    Path(offset): Path<String>,
    mut params: Params,
) -> Result<Json<serde_json::Value>, Problem> {
    let partition = params.parsed("partition", "a partition's number")?;
    params.finish("partition")?;
    let record = find(&state, partition, &offset).await?;
    let replayer = state.replayer.as_ref();
    let replayer =
        replayer.ok_or_else(|| Problem::not_found("this process carries out no operations"))?;
    let outcome = replayer
        .replay(DeadLetter::from_record(record))
        .await
        .map_err(|reason| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, reason))?;
    Ok(Json(json!({
        "accepted": true,
        "id": outcome.id,
        "partition": outcome.partition,
        "offset": outcome.offset,
    })))
}
