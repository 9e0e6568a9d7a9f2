//! What an HTTP port answers from the beginning, and what it answers once everything is there.

use std::sync::Arc;
use std::sync::OnceLock;

use axum::Json;
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use parking_lot::Mutex;
use serde_json::json;
use tower::ServiceExt as _;

/// Seconds after which a client may try again.
const AGAIN: &str = "5";

/// Routes that are known later than the port is open: until then the process says that it lives,
/// and why it is not ready.
#[derive(Clone, Default)]
pub(super) struct LateRoutes {
    routes: Arc<OnceLock<Router>>,
    reason: Arc<Mutex<String>>,
}

impl LateRoutes {
    /// Says what the process waits for.
    pub(super) fn wait_for(&self, reason: impl Into<String>) {
        *self.reason.lock() = reason.into();
    }

    /// From now on these answer.
    pub(super) fn set(&self, routes: Router) {
        // Set once: the first stay.
        let _ = self.routes.set(routes);
    }

    /// What the port serves.
    pub(super) fn router(&self) -> Router {
        let (late, waiting) = (Arc::clone(&self.routes), self.waiting());
        Router::new().fallback(move |request: Request| {
            let routes = late.get().unwrap_or(&waiting).clone();
            async move { routes.oneshot(request).await }
        })
    }

    fn waiting(&self) -> Router {
        let reason = Arc::clone(&self.reason);
        let not_ready = move || {
            let reasons = [reason.lock().clone()];
            let body = Json(json!({"ready": false, "reasons": reasons}));
            async {
                (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, AGAIN)], body).into_response()
            }
        };
        Router::new()
            .route(
                "/livez",
                get(async || -> Response { Json(json!({"live": true})).into_response() }),
            )
            .fallback(not_ready)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt as _;

    use super::*;

    async fn ask(router: &Router, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_process_lives_before_it_is_ready_and_says_what_it_waits_for() {
        let late = LateRoutes::default();
        let router = late.router();
        late.wait_for("Kafka is away");
        assert_eq!(ask(&router, "/livez").await, (200, r#"{"live":true}"#.to_owned()));
        let not_ready = r#"{"ready":false,"reasons":["Kafka is away"]}"#.to_owned();
        assert_eq!(ask(&router, "/readyz").await, (503, not_ready));
        late.set(Router::new().route("/readyz", get(async || "yes")));
        assert_eq!(ask(&router, "/readyz").await, (200, "yes".to_owned()));
    }
}
