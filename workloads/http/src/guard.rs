//! What stands before every route: first where the page is from that sends a request, then who
//! sends it.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::middleware::Next;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::response::Response;

use crate::Auth;
use crate::Origins;
use crate::origins::From;
use crate::origins::answer_preflight;

struct Guard {
    auth: Arc<Auth>,
    origins: Origins,
}

/// The router with a guard before all of it: pages of other sites, and requests without the
/// credentials that their path needs, do not get to it.
pub fn guard(router: Router, auth: Arc<Auth>, origins: Origins) -> Router {
    // As a fallback of an outer router, so that nothing is matched before it may pass.
    Router::new()
        .fallback_service(router)
        .layer(from_fn_with_state(Arc::new(Guard { auth, origins }), pass))
}

async fn pass(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let (from, mut response) = match guard.origins.check(&request) {
        Err(problem) => (From::Elsewhere, problem.into_response()),
        Ok(from) => {
            let response = if let Some(response) = answer_preflight(&request, &from) {
                // Browsers ask without credentials.
                response
            } else if let Err(problem) = guard.auth.check(&mut request).await {
                problem.into_response()
            } else {
                next.run(request).await
            };
            (from, response)
        }
    };
    let headers = response.headers_mut();
    headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    guard.origins.describe(from, headers);
    response
}
