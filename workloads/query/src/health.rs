//! Whether the process lives, and whether it can do its work.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::Response;
use serde_json::json;

use crate::state::Shared;
use crate::state::SharedState;

/// `GET /livez`: the process answers.
pub(crate) async fn livez() -> Response {
    Json(json!({"live": true})).into_response()
}

/// `GET /readyz`: every part runs and the log accepts.
pub(crate) async fn readyz(State(state): State<SharedState>) -> Response {
    let reasons = reasons(&state).await;
    if reasons.is_empty() {
        Json(json!({"ready": true})).into_response()
    } else {
        let body = json!({"ready": false, "reasons": reasons});
        (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
    }
}

/// Why the process is not ready.
pub(crate) async fn reasons(state: &Shared) -> Vec<String> {
    let mut reasons = state.observer.not_ready();
    if let Err(error) = state.log.check_writable().await {
        reasons.push(error.to_string());
    }
    if state.closing.is_cancelled() {
        reasons.push("the process is stopping".to_owned());
    }
    reasons
}
