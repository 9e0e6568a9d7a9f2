//! Routes of the HTTP port.

use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::extract::Request;
use axum::http::Extensions;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::Version;
use axum::http::header::ALLOW;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn;
use axum::middleware::from_fn_with_state;
use axum::middleware::map_response;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::MethodRouter;
use axum::routing::get;
use axum::routing::post;
use tower::ServiceExt as _;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::Predicate;
use tower_http::compression::predicate::SizeAbove;

use crate::audience::Outsiders;
use crate::audience::is_of_operators;
use crate::dead_letters;
use crate::declared;
use crate::health;
use crate::live;
use crate::metrics;
use crate::openapi;
use crate::operations;
use crate::page;
use crate::pipeline;
use crate::protection;
use crate::rates;
use crate::records;
use crate::replay;
use crate::state::QueryState;
use crate::state::SharedState;
use crate::status;
use crate::tables;
use millrace_http::Problem;

/// What every process answers.
pub const PROBES: [&str; 3] = ["/livez", "/readyz", "/metrics"];

impl QueryState {
    /// The routes of the HTTP port. Requests that `ways_in` take go there; where they do not take
    /// a request's method, and for all other paths, the routes here answer.
    pub fn router(&self, ways_in: Router) -> Router {
        beside(ways_in, router(Arc::clone(&self.0), |_| true))
    }

    /// The same without what operators alone may see and do: for a port that others reach, where
    /// operators have one of their own.
    pub fn outside_router(&self, ways_in: Router) -> Router {
        let router = router(Arc::clone(&self.0), |path| !is_of_operators(path));
        beside(ways_in, router.layer(Extension(Outsiders)))
    }

    /// The routes of a process that shows nothing of the pipeline: [`PROBES`], beside `ways_in`.
    pub fn probes(&self, ways_in: Router) -> Router {
        let state = Arc::clone(&self.0);
        let probes = routes()
            .into_iter()
            .filter(|(path, _)| PROBES.contains(path))
            .fold(Router::new(), |router, (path, service)| router.route(path, service))
            .fallback(not_here)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(from_fn_with_state(state.clone(), metrics::count))
            .layer(from_fn(protection::protect))
            .with_state(state);
        beside(ways_in, probes)
    }

    /// Takes samples for the rates that are shown, until [`close`](Self::close).
    pub async fn sample(&self) {
        rates::sample(Arc::clone(&self.0), self.0.closing.clone()).await;
    }

    /// Ends live streams, since the process stops.
    pub fn close(&self) {
        self.0.closing.cancel();
    }
}

/// Requests that `ways_in` take go there, all others to `routes`.
fn beside(ways_in: Router, routes: Router) -> Router {
    let others = routes.clone();
    let ways_in = ways_in
        .fallback_service(routes)
        .method_not_allowed_fallback(|request: Request| others.oneshot(request));
    // Of ways in it is named what they take even if another route has answered.
    Router::new().fallback_service(ways_in).layer(map_response(without_allow))
}

async fn not_here() -> Problem {
    Problem::not_found(
        "this process does not answer here: tables, streams and the dashboard are with `millrace query`",
    )
}

/// `Allow` says something where a method is refused alone.
async fn without_allow(mut response: Response) -> Response {
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().remove(ALLOW);
    }
    response
}

/// All routes but the files of the page. They are those of
/// [`OWN_PATHS`](millrace_plan::OWN_PATHS), which the planner keeps free.
fn routes() -> [(&'static str, MethodRouter<SharedState>); 21] {
    let json_alone = || from_fn(protection::json_alone);
    [
        ("/", get(page::index)),
        ("/dashboard", get(page::index)),
        ("/livez", get(health::livez)),
        ("/readyz", get(health::readyz)),
        ("/metrics", get(metrics::metrics)),
        ("/api/v1/pipeline", get(pipeline::pipeline)),
        ("/api/v1/status", get(status::status)),
        ("/api/v1/streams/{stream}/events", get(live::stream)),
        ("/api/v1/events", get(live::streams)),
        ("/openapi.json", get(openapi::document)),
        ("/openapi", get(page::openapi)),
        ("/api/v1/streams/{stream}/records", get(records::records)),
        ("/api/v1/tables", get(tables::list)),
        ("/api/v1/tables/{table}", get(tables::rows)),
        ("/api/v1/dead-letters", get(dead_letters::list)),
        ("/api/v1/dead-letters/{offset}", get(dead_letters::show)),
        ("/api/v1/dead-letters/{offset}/replay", post(replay::replay).route_layer(json_alone())),
        (
            "/api/v1/rebuilds",
            get(operations::rebuilds).merge(post(operations::rebuild).route_layer(json_alone())),
        ),
        ("/api/v1/replays", post(operations::replay).route_layer(json_alone())),
        ("/api/v1/replays/{id}", get(operations::replay_progress)),
        ("/api/v1/backup", post(operations::backup).route_layer(json_alone())),
    ]
}

fn router(state: SharedState, shown: impl Fn(&str) -> bool) -> Router {
    routes()
        .into_iter()
        .filter(|(path, _)| shown(path))
        .fold(Router::new(), |router, (path, service)| router.route(path, service))
        .fallback(page::file)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(state.clone(), declared::answer))
        .layer(from_fn_with_state(state.clone(), metrics::count))
        .layer(CompressionLayer::new().gzip(true).compress_when(SizeAbove::new(512).and(is_text)))
        .layer(from_fn(protection::protect))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_planner_knows_all_routes() {
        let routes: BTreeSet<_> = routes().into_iter().map(|(path, _)| path).collect();
        let known = millrace_plan::OWN_PATHS.iter().map(|(path, _)| *path).collect();
        assert_eq!(routes, known);
    }
}
