//! The dashboard's files.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header::CACHE_CONTROL;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::header::CONTENT_TYPE;
use axum::http::header::ETAG;
use axum::http::header::IF_NONE_MATCH;
use axum::response::IntoResponse;
use axum::response::Response;
use millrace_dashboard::Asset;

use crate::params::short;
use millrace_http::Problem;

/// `GET /`
pub(crate) async fn index(headers: HeaderMap) -> Response {
    serve(millrace_dashboard::index(), &headers)
}

/// `GET /openapi`: a page to try the API.
pub(crate) async fn openapi(headers: HeaderMap) -> Response {
    match millrace_dashboard::file("openapi.html") {
        Some(page) => serve(page, &headers),
        None => Problem::not_found(
            "this build has no page to try the API; its description is at `/openapi.json`",
        )
        .into_response(),
    }
}

/// Every path that is no route: a file of the dashboard, or nothing.
pub(crate) async fn file(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    let readable = method == Method::GET || method == Method::HEAD;
    match millrace_dashboard::file(path).filter(|_| readable) {
        Some(asset) => serve(asset, &headers),
        None => Problem::not_found(format!("there is nothing at `{}`", short(uri.path())))
            .into_response(),
    }
}

fn serve(asset: Asset, headers: &HeaderMap) -> Response {
    let hash = blake3::hash(&asset.bytes).to_hex();
    let etag = format!("\"{}\"", &hash[..32]);
    let cache = if asset.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    let described: [(HeaderName, &str); 4] = [
        (CONTENT_TYPE, asset.content_type),
        (CACHE_CONTROL, cache),
        (ETAG, &etag),
        (CONTENT_SECURITY_POLICY, millrace_dashboard::CONTENT_SECURITY_POLICY),
    ];
    let known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| matches!(tag.trim().trim_start_matches("W/"), tag if tag == etag || tag == "*"));
    if known {
        (StatusCode::NOT_MODIFIED, described).into_response()
    } else {
        let bytes = match asset.bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        (described, bytes).into_response()
    }
}
