//! Plain HTTP on a port that speaks TLS: every request is shown the way.

use axum::Router;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header::CONNECTION;
use axum::http::header::HOST;
use axum::http::header::LOCATION;
use axum::http::uri::Authority;
use axum::response::IntoResponse;
use axum::response::Response;

use crate::Problem;

/// Answers every request by 301 to the same address over HTTPS.
pub(super) fn router() -> Router {
    Router::new().fallback(redirect)
}

async fn redirect(uri: Uri, headers: HeaderMap) -> Response {
    let mut response = match location(&uri, &headers) {
        Some(location) => (StatusCode::MOVED_PERMANENTLY, [(LOCATION, location)]).into_response(),
        None => Problem::new(
            StatusCode::BAD_REQUEST,
            "this port speaks HTTPS, and without the header `Host` it cannot be said where",
        )
        .into_response(),
    };
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn location(uri: &Uri, headers: &HeaderMap) -> Option<HeaderValue> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    if hosts.next().is_some() || host.contains('@') {
        return None;
    }
    let authority: Authority = host.parse().ok()?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path } else { "/" };
    HeaderValue::try_from(format!("https://{authority}{path}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirected(uri: &str, hosts: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_str(host).unwrap());
        }
        location(&uri.parse().unwrap(), &headers)
            .map(|location| location.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_same_address_is_named_with_https() {
        let to = |uri, host| redirected(uri, &[host]);
        assert_eq!(to("/a/b?c=d", "example.com"), Some("https://example.com/a/b?c=d".into()));
        assert_eq!(to("/", "localhost:8080"), Some("https://localhost:8080/".into()));
        assert_eq!(to("/x", "[::1]:8080"), Some("https://[::1]:8080/x".into()));
    }

    #[test]
    fn without_one_plain_host_there_is_no_way() {
        assert_eq!(redirected("/", &[]), None);
        assert_eq!(redirected("/", &["a.example", "b.example"]), None);
        assert_eq!(redirected("/", &["user@evil.example"]), None);
        assert_eq!(redirected("/", &["a b"]), None);
        assert_eq!(redirected("/", &[""]), None);
    }
}
