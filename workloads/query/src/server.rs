//! Routes, and the server's life.

use std::time::Duration;

use axum::Router;
use axum::http::Extensions;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::Version;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::Predicate;
use tower_http::compression::predicate::SizeAbove;

use crate::connections::LimitedListener;
use crate::dead_letters;
use crate::declared;
use crate::health;
use crate::metrics;
use crate::page;
use crate::pipeline;
use millrace_http::Problem;
use crate::protection;
use crate::protection::Reach;
use crate::rates;
use crate::records;
use crate::replay;
use crate::state::QueryState;
use crate::state::SharedState;
use crate::status;
use crate::stream_events;
use crate::tables;

/// Paths of the routes below, which no declared path with parameters takes.
pub(crate) const OWN_PATHS: [&str; 18] = [
    "/",
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/openapi",
    "/dashboard",
    "/api/v1/pipeline",
    "/api/v1/status",
    "/api/v1/events",
    "/api/v1/streams/{stream}/events",
    "/api/v1/streams/{stream}/records",
    "/api/v1/tables",
    "/api/v1/tables/{table}",
    "/api/v1/dead-letters",
    "/api/v1/dead-letters/{offset}",
    "/api/v1/dead-letters/{offset}/replay",
    "/_millrace",
];

/// How long answers that are under way may take once the process stops.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Serves until `shutdown`; then ends live streams at once and waits at most two seconds for
/// other answers.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    state: QueryState,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let reach = match listener.local_addr() {
        Ok(address) if address.ip().is_loopback() => Reach::Loopback,
        _ => Reach::Network,
    };
    let QueryState(state) = state;
    let closing = state.closing.clone();
    let sampler = tokio::spawn(rates::sample(state.clone(), closing.clone()));
    let end = closing.clone();
    let server = axum::serve(LimitedListener::new(listener), router(state, reach))
        .with_graceful_shutdown(async move { end.cancelled().await })
        .into_future();
    tokio::pin!(server);
    let result = tokio::select! {
        result = &mut server => result,
        () = shutdown.cancelled() => {
            closing.cancel();
            // A client that does not take its answer does not hold the process up.
            tokio::time::timeout(LAST_ANSWERS, server).await.unwrap_or(Ok(()))
        }
    };
    closing.cancel();
    // It has been told to stop, and has nothing to say.
    let _ = sampler.await;
    result
}

fn router(state: SharedState, reach: Reach) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/dashboard", get(page::index))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/api/v1/pipeline", get(pipeline::pipeline))
        .route("/api/v1/status", get(status::status))
        .route("/api/v1/streams/{stream}/events", get(stream_events::events))
        .route("/api/v1/streams/{stream}/records", get(records::records))
        .route("/api/v1/tables", get(tables::list))
        .route("/api/v1/tables/{table}", get(tables::rows))
        .route("/api/v1/dead-letters", get(dead_letters::list))
        .route("/api/v1/dead-letters/{offset}", get(dead_letters::show))
        .route("/api/v1/dead-letters/{offset}/replay", post(replay::replay))
        .fallback(page::file)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(state.clone(), declared::answer))
        .layer(from_fn_with_state(state.clone(), metrics::count))
        .layer(CompressionLayer::new().gzip(true).compress_when(SizeAbove::new(512).and(is_text)))
        .layer(from_fn_with_state(reach, protection::protect))
        .with_state(state)
}

async fn method_not_allowed() -> Response {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not take this method")
        .into_response()
}

/// What is worth compressing. Live streams are not: compression would hold events back.
fn is_text(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    headers.get(CONTENT_TYPE).and_then(|media_type| media_type.to_str().ok()).is_some_and(
        |media_type| {
            ["application/json", "application/openmetrics-text", "text/html", "text/css"]
                .iter()
                .chain(&["text/javascript", "image/svg+xml"])
                .any(|known| media_type.starts_with(known))
        },
    )
}
