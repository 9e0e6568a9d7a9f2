//! What can be asked of a running pipeline beside its data: rebuilds, replays and
//! backups.

use async_trait::async_trait;
use axum::Json;
use axum::body::Body;
use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_DISPOSITION;
use axum::http::header::CONTENT_TYPE;
use axum::http::header::RETRY_AFTER;
use axum::response::IntoResponse as _;
use axum::response::Response;
use futures::stream;
use millrace_http::Problem;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::state::SharedState;

/// Seconds after which a backup may be asked for again.
const BACKUP_AGAIN: &str = "30";

/// Why an operation is not begun, for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperationRefused {
    /// There is nothing of this name.
    #[error("{0}")]
    Unknown(String),
    /// The request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// What there is does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// It may succeed later.
    #[error("{0}")]
    Unavailable(String),
}

/// Carries operations out; they go on when whoever asked for them has left.
#[async_trait]
pub trait Operations: Send + Sync + 'static {
    /// Begins to rebuild a table sink or processor, or joins a rebuild that goes on.
    ///
    /// # Errors
    /// When there is no such part, or the log no longer has what it needs.
    async fn rebuild(&self, name: &str, partial: bool) -> Result<Value, OperationRefused>;

    /// The rebuild that goes on, or the last one, and how far it has come.
    async fn rebuilds(&self) -> Value;

    /// Begins to append recorded events again, continues that, or joins it.
    ///
    /// # Errors
    /// When the streams are not there, or do not take events.
    async fn replay(&self, wish: ReplayWish) -> Result<Value, OperationRefused>;

    /// How far a replay has come; none if there is no such replay.
    async fn replay_progress(&self, id: &str) -> Option<Value>;

    /// A backup of log and tables as of now, piece by piece; an error in it ends it.
    ///
    /// # Errors
    /// When the copies cannot be made.
    async fn backup(&self) -> Result<mpsc::Receiver<std::io::Result<Bytes>>, OperationRefused>;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RebuildRequest {
    name: String,
    #[serde(default)]
    partial: bool,
}

/// Which recorded events to append again, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayWish {
    /// The recorded stream.
    pub stream: String,
    /// The first event: a time in RFC 3339, or an offset.
    pub from: String,
    /// The end, not included; none: the end of the stream.
    #[serde(default)]
    pub until: Option<String>,
    /// The stream that takes the events.
    pub to: String,
    /// Whether to begin anew what was begun before.
    #[serde(default)]
    pub restart: bool,
}

/// `POST /api/v1/replays`
pub(crate) async fn replay(
    State(state): State<SharedState>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let wish: ReplayWish = parse(&body)?;
    state.operations()?.replay(wish).await.map(Json).map_err(|refused| problem(&refused))
}

/// `GET /api/v1/replays/{id}`
pub(crate) async fn replay_progress(
    State(state): State<SharedState>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let progress = state.operations()?.replay_progress(&id).await;
    progress.map(Json).ok_or_else(|| Problem::not_found("there is no such replay"))
}

/// `POST /api/v1/rebuilds`
pub(crate) async fn rebuild(
    State(state): State<SharedState>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let RebuildRequest { name, partial } = parse(&body)?;
    let operations = state.operations()?;
    operations.rebuild(&name, partial).await.map(Json).map_err(|refused| problem(&refused))
}

/// `GET /api/v1/rebuilds`
pub(crate) async fn rebuilds(State(state): State<SharedState>) -> Result<Json<Value>, Problem> {
    Ok(Json(state.operations()?.rebuilds().await))
}

/// `POST /api/v1/backup`: it has work done, which no page of another site may ask for.
pub(crate) async fn backup(State(state): State<SharedState>) -> Result<Response, Problem> {
    let pieces = match state.operations()?.backup().await {
        Ok(pieces) => pieces,
        Err(refused @ OperationRefused::Unavailable(_)) => {
            return Ok(([(RETRY_AFTER, BACKUP_AGAIN)], problem(&refused)).into_response());
        }
        Err(refused) => return Err(problem(&refused)),
    };
    let pieces =
        stream::unfold(pieces, |mut pieces| async { Some((pieces.recv().await?, pieces)) });
    let headers = [
        (CONTENT_TYPE, "application/x-tar"),
        (CONTENT_DISPOSITION, "attachment; filename=backup.tar"),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, format!("the body is not what is expected: {error}"))
    })
}

fn problem(refused: &OperationRefused) -> Problem {
    let status = match refused {
        OperationRefused::Unknown(_) => StatusCode::NOT_FOUND,
        OperationRefused::Invalid(_) => StatusCode::BAD_REQUEST,
        OperationRefused::Conflict(_) => StatusCode::CONFLICT,
        OperationRefused::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Problem::new(status, refused.to_string())
}
