//! Whether the process lives, and whether it can do its work.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::Response;
use millrace_observe::ComponentId;
use millrace_observe::ComponentKind;
use millrace_plan::Plan;
use millrace_plan::model::SinkTarget;
use serde_json::json;

use crate::state::Shared;
use crate::state::SharedState;

/// Knows whether a process can do its work, where that is another one than to run every part.
#[async_trait]
pub trait Readiness: Send + Sync + 'static {
    /// Why it cannot at present, a reason each; none if it can.
    async fn reasons(&self) -> Vec<String>;
}

/// Whether a part is a sink whose work depends on another system.
fn sends_outward(plan: &Plan, part: &ComponentId) -> bool {
    part.kind == ComponentKind::Sink
        && plan.sinks.iter().any(|sink| {
            sink.name == part.name
                && match &sink.target {
                    SinkTarget::Webhook(_) | SinkTarget::Archive(_) => true,
                    SinkTarget::Mqtt(mqtt) => mqtt.broker.is_some(),
                    SinkTarget::Table(_) => false,
                }
        })
}

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

/// Why the process is not ready. Sinks that send to other systems do not count: what is sent here
/// is taken while those are away, and what they answer is nobody's business who may not look
/// closer.
pub(crate) async fn reasons(state: &Shared) -> Vec<String> {
    let mut reasons = if let Some(readiness) = state.readiness.get() {
        readiness.reasons().await
    } else {
        let mut reasons = state.observer.not_ready_of(|part| !sends_outward(&state.plan, part));
        if let Err(error) = state.log.check_writable().await {
            reasons.push(error.to_string());
        }
        reasons
    };
    if state.draining.load(Ordering::Relaxed) || state.closing.is_cancelled() {
        reasons.push("the process is stopping".to_owned());
    }
    reasons
}

/// Why the pipeline is not as it should be, as far as this process knows: that it is not ready
/// itself, and what parts say that it watches in others.
pub(crate) async fn pipeline_reasons(state: &Shared) -> Vec<String> {
    let mut reasons = reasons(state).await;
    if state.readiness.get().is_some() {
        reasons.extend(state.observer.not_ready_of(|part| !sends_outward(&state.plan, part)));
    }
    reasons
}
