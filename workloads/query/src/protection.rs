//! What keeps oversized requests away, and tells browsers what they may do with answers.
//!
//! Pages of other sites are kept away before requests come here. A form of such a page would not
//! be JSON: so what changes something must be, lest a form ever comes through.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::header::CONTENT_TYPE;
use axum::http::header::REFERRER_POLICY;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::http::header::X_FRAME_OPTIONS;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;

use millrace_http::Problem;

/// Longest path, in bytes.
const MAX_PATH_BYTES: usize = 1024;

/// Refuses what must not pass, and adds headers to every answer.
pub(crate) async fn protect(request: Request, next: Next) -> Response {
    let mut response = match check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn check(request: &Request) -> Result<(), Problem> {
    if request.uri().path().len() > MAX_PATH_BYTES {
        return Err(Problem::new(
            StatusCode::URI_TOO_LONG,
            format!("the path has more than {MAX_PATH_BYTES} bytes"),
        ));
    }
    Ok(())
}

/// Refuses what is not JSON.
pub(crate) async fn json_alone(request: Request, next: Next) -> Response {
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = media_type
        .and_then(|media_type| media_type.split(';').next())
        .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"));
    if is_json {
        return next.run(request).await;
    }
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "send the header `Content-Type: application/json`",
    )
    .into_response()
}
