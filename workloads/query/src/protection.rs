//! What keeps oversized requests away, and tells browsers what they may do with answers.
//!
//! Pages of other sites are kept away before requests come here. A form of such a page would not
//! be JSON: so what changes something must be, lest a form ever comes through.

use std::time::Duration;

use axum::body::Body;
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
use http_body_util::BodyExt as _;
use http_body_util::LengthLimitError;
use http_body_util::Limited;
use millrace_http::Problem;

/// Longest path, in bytes.
const MAX_PATH_BYTES: usize = 1024;

/// Longest body of what is asked of the pipeline itself.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Longest time for such a body to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

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

/// Refuses what is not JSON, and reads the body: no handler waits for a client that dawdles.
pub(crate) async fn json_alone(request: Request, next: Next) -> Response {
    match read_json(request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn read_json(request: Request) -> Result<Request, Problem> {
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = media_type
        .and_then(|media_type| media_type.split(';').next())
        .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send the header `Content-Type: application/json`",
        ));
    }
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_BYTES).collect())
        .await
        .map_err(|_| {
            Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                format!("the body has not come within {} s", BODY_TIMEOUT.as_secs()),
            )
        })?
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("the body has more than {MAX_BODY_BYTES} bytes"),
                )
            } else {
                Problem::new(StatusCode::BAD_REQUEST, "the body has not come as a whole")
            }
        })?;
    Ok(Request::from_parts(head, Body::from(body.to_bytes())))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Bytes;
    use axum::middleware::from_fn;
    use axum::routing::post;
    use futures::StreamExt as _;
    use futures::stream;
    use tower::ServiceExt as _;

    use super::*;

    async fn status(body: Body) -> StatusCode {
        let handler = |body: Bytes| async move { body.len().to_string() };
        let router = Router::new().route("/", post(handler).layer(from_fn(json_alone)));
        let request = Request::post("/").header(CONTENT_TYPE, "application/json").body(body);
        router.oneshot(request.unwrap()).await.unwrap().status()
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_comes_within_ten_seconds_and_64_kib() {
        assert_eq!(status(Body::from(vec![b' '; 65_536])).await, StatusCode::OK);
        assert_eq!(status(Body::from(vec![b' '; 65_537])).await, StatusCode::PAYLOAD_TOO_LARGE);
        let drips = stream::once(async { Ok::<_, std::io::Error>("{") }).chain(stream::pending());
        let begin = tokio::time::Instant::now();
        assert_eq!(status(Body::from_stream(drips)).await, StatusCode::REQUEST_TIMEOUT);
        assert_eq!(begin.elapsed().as_secs(), 10);
    }
}
