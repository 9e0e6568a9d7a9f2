//! Ways in over HTTP and WebSocket.

use axum::Router;
use millrace_observe::Observer;
use millrace_plan::Plan;
use tokio_util::sync::CancellationToken;

use crate::Acceptor;

/// The routes of all ways in over HTTP and WebSocket. `closing` ends WebSocket connections.
#[must_use]
pub fn routes(
    plan: &Plan,
    acceptor: &Acceptor,
    observer: &Observer,
    closing: &CancellationToken,
) -> Router {
    let _ = (plan, acceptor, observer, closing);
    Router::new()
}
