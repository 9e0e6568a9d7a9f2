//! What keeps other sites' pages and oversized requests away.
//!
//! There are no credentials on this port. A page of another site must not be able to use a
//! visitor's browser to change something here, so requests that change something must come from
//! the page itself or from no page.

use std::net::IpAddr;

use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::header::CONTENT_TYPE;
use axum::http::header::HOST;
use axum::http::header::ORIGIN;
use axum::http::header::REFERRER_POLICY;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::http::header::X_FRAME_OPTIONS;
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;

use millrace_http::Problem;

/// Longest path, in bytes.
const MAX_PATH_BYTES: usize = 1024;

/// Where the port listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// This machine alone.
    Loopback,
    /// Others as well.
    Network,
}

/// Refuses what must not pass, and adds headers to every answer.
pub(crate) async fn protect(State(reach): State<Reach>, request: Request, next: Next) -> Response {
    let mut response = match check(&request, reach) {
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

fn check(request: &Request, reach: Reach) -> Result<(), Problem> {
    if request.uri().path().len() > MAX_PATH_BYTES {
        return Err(Problem::new(
            StatusCode::URI_TOO_LONG,
            format!("the path has more than {MAX_PATH_BYTES} bytes"),
        ));
    }
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let headers = request.headers();
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let is_json = text(CONTENT_TYPE)
        .and_then(|media_type| media_type.split(';').next())
        .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"));
    let foreign_fetch =
        headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    if foreign_fetch || !has_own_origin(headers) || !has_own_host(headers, reach) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "requests that change something are accepted from this server's own page alone",
        ));
    }
    if !is_json {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send the header `Content-Type: application/json`",
        ));
    }
    Ok(())
}

/// Whether the page that sent the request, if one did, came from here.
fn has_own_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .is_some_and(|(_, authority)| Some(authority) == host)
}

/// Whether the host that was asked for can be this one. A page of a foreign name that its owner
/// has resolve to 127.0.0.1 has the same origin, but not a host of this kind.
fn has_own_host(headers: &HeaderMap, reach: Reach) -> bool {
    if reach == Reach::Network {
        return true;
    }
    let Some(host) = headers.get(HOST) else { return true };
    host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()).is_some_and(|authority| {
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
    })
}
