//! Ways in over HTTP and WebSocket.
//!
//! A request is answered when its events are durable. One of a batch is answered by the number of
//! its events, `{"accepted": n}`, with the declared status where all are accepted; the programs of
//! an answer see one event and are run for requests of one. A request whose mapping says `abort` is
//! answered by 202 without a body.
//!
//! `exchange` takes one request from its headers to its answer; `content`, `encoding`, `form` and
//! `batch` read bodies; `answer` writes answers; `limits` bounds clients; `traced` records
//! spans; `websocket` serves
//! connections.

mod answer;
mod batch;
mod body;
mod content;
mod encoding;
mod exchange;
pub(crate) mod form;
mod limits;
mod metrics;
mod paths;
mod traced;
mod websocket;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::MethodFilter;
use axum::routing::on;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::HttpMethod;
use millrace_plan::model::IngestSource;
use tokio_util::sync::CancellationToken;

use crate::Acceptor;
use crate::http::exchange::HttpEntry;
use crate::http::metrics::Metrics;
use crate::http::paths::router_paths;
use crate::http::traced::Tracing;
use crate::http::websocket::WebSocketEntry;

/// When a request arrived, in milliseconds since 1970-01-01T00:00:00Z. As an extension of a request
/// it stands in for the clock, which only who calls the routes without a port can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival(pub i64);

/// The routes of all ways in over HTTP and WebSocket. `closing` ends WebSocket connections.
///
/// Parameters of paths are named `p0`, `p1` and so on, so that paths that differ in the names of
/// parameters alone are one. What is sent to one of the paths by another method is answered by 405
/// with `Allow`.
pub fn routes(
    plan: &Plan,
    acceptor: &Acceptor,
    observer: &Observer,
    closing: &CancellationToken,
) -> Router {
    let metrics = Metrics::register(observer);
    let room = body::room();
    let mut taken: Vec<(String, MethodFilter)> = Vec::new();
    // Paths may have segments that begin with `:` or `*`; they mean themselves.
    let mut router = Router::new().without_v07_checks();
    for ingest in &plan.ingest {
        let Some(route) = acceptor.route(&ingest.name) else { continue };
        let (acceptor, route) = (acceptor.clone(), Arc::clone(route));
        let (path, method, service) = match &ingest.source {
            IngestSource::Http(http) => {
                let method = match http.method {
                    HttpMethod::Post => MethodFilter::POST,
                    HttpMethod::Put => MethodFilter::PUT,
                    HttpMethod::Patch => MethodFilter::PATCH,
                };
                let usual = answer::accepted_status(http.respond.as_ref());
                let metrics = metrics.route(&ingest.name, usual.as_u16());
                let tracing = Tracing::new(observer, &ingest.name, ingest.to.as_str(), http);
                let entry = HttpEntry::new(
                    acceptor,
                    route,
                    http.clone(),
                    metrics,
                    tracing,
                    Arc::clone(&room),
                );
                let entry = Arc::new(entry);
                let service = on(method, move |request: Request| {
                    exchange::serve(Arc::clone(&entry), request)
                });
                (&http.path, method, service)
            }
            IngestSource::WebSocket(websocket) => {
                let method = MethodFilter::GET;
                let usual = StatusCode::SWITCHING_PROTOCOLS;
                let metrics = metrics.route(&ingest.name, usual.as_u16());
                let entry = WebSocketEntry::new(
                    acceptor,
                    route,
                    websocket.clone(),
                    metrics,
                    closing.clone(),
                );
                let entry = Arc::new(entry);
                let service = on(method, move |request: Request| {
                    websocket::open(Arc::clone(&entry), request)
                });
                (&websocket.path, method, service)
            }
            IngestSource::MqttListen(_) | IngestSource::MqttConnect(_) | IngestSource::Kafka(_) => {
                continue;
            }
        };
        for path in router_paths(path) {
            // The planner refuses two ways at one address; a second one never gets here.
            let known = taken.iter().any(|(other, by)| *other == path && *by == method);
            if !known {
                router = router.route(&path, service.clone());
                taken.push((path, method));
            }
        }
    }
    router
}
