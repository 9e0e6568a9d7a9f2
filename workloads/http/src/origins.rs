//! Which pages may use a visitor's browser to come here.
//!
//! Requests without an origin, those of devices and programs, pass. A page of this server itself
//! and of the origins that are listed may do everything; others may not change anything and not
//! open a WebSocket, and their browsers do not show them answers.

use std::net::IpAddr;
use std::net::SocketAddr;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::header;
use axum::http::uri::Authority;
use axum::response::IntoResponse;
use axum::response::Response;

use crate::Problem;

/// Methods that other sites' pages may use.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH");

/// How long browsers may remember what they were allowed, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Headers of answers that scripts may always read.
const SAFE_HEADERS: [&str; 6] = [
    "cache-control",
    "content-language",
    "content-length",
    "content-type",
    "expires",
    "last-modified",
];

/// Where a port listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// This machine alone.
    Loopback,
    /// Others as well.
    Network,
}

impl Reach {
    /// Where a port with this address listens.
    #[must_use]
    pub const fn of(address: &SocketAddr) -> Self {
        if address.ip().is_loopback() { Self::Loopback } else { Self::Network }
    }
}

/// Pages that may come here.
#[derive(Debug, Clone)]
pub struct Origins {
    listed: Vec<HeaderValue>,
    reach: Reach,
}

/// Where the page that sent a request is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum From {
    /// From this server, or there is no page.
    Here,
    /// From an origin that is listed.
    Listed(HeaderValue),
    /// From elsewhere.
    Elsewhere,
}

impl Origins {
    /// Pages of these origins may come, such as `https://example.com`, beside those of this
    /// server.
    #[must_use]
    pub fn new(listed: &[String], reach: Reach) -> Self {
        let listed = listed.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
        Self { listed: listed.collect(), reach }
    }

    /// Where the page that sent a request is from; whether it may do what it asks for.
    pub(crate) fn check(&self, request: &Request) -> Result<From, Problem> {
        if !self.is_expected_host(request) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "this port serves its own machine alone, by the name localhost or by an address; list the origin of another name in exposure.origins",
            ));
        }
        let from = self.from(request);
        let headers = request.headers();
        let is_harmless = matches!(*request.method(), Method::GET | Method::HEAD)
            && !headers.contains_key(header::UPGRADE)
            || (*request.method() == Method::OPTIONS && !is_preflight(request));
        if from == From::Elsewhere && !is_harmless {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "pages of other sites may not do this; list their origin in exposure.origins if they should",
            ));
        }
        Ok(from)
    }

    fn from(&self, request: &Request) -> From {
        let headers = request.headers();
        let Some(origin) = headers.get(header::ORIGIN) else {
            let is_foreign = headers
                .get("sec-fetch-site")
                .is_some_and(|site| site != "same-origin" && site != "none");
            return if is_foreign { From::Elsewhere } else { From::Here };
        };
        if headers.get_all(header::ORIGIN).iter().count() > 1 {
            return From::Elsewhere;
        }
        if self.listed.contains(origin) {
            return From::Listed(origin.clone());
        }
        let host = host(request);
        let of_origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        let is_own = of_origin.is_some_and(|(_, authority)| Some(authority) == host)
            && self.is_own_host(host);
        if is_own { From::Here } else { From::Elsewhere }
    }

    /// Whether a request is for a host that this can be. A browser on this machine reads, by a
    /// foreign name that resolves to 127.0.0.1, for the page of that name.
    fn is_expected_host(&self, request: &Request) -> bool {
        if self.reach == Reach::Network {
            return true;
        }
        let is_named =
            request.uri().authority().is_some() || request.headers().contains_key(header::HOST);
        let host = host(request);
        let is_listed = |host: &str| {
            let mut listed = self.listed.iter().filter_map(|origin| origin.to_str().ok());
            listed.any(|origin| {
                let authority = origin.split_once("://").map(|(_, authority)| authority);
                authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
            })
        };
        !is_named || self.is_own_host(host) || host.is_some_and(is_listed)
    }

    /// Whether the host that was asked for can be this one. A page of a foreign name that its
    /// owner has resolve to 127.0.0.1 has the same origin, but not a host of this kind.
    fn is_own_host(&self, host: Option<&str>) -> bool {
        if self.reach == Reach::Network {
            return true;
        }
        host.and_then(|host| host.parse::<Authority>().ok()).is_some_and(|authority| {
            let name = authority.host().trim_start_matches('[').trim_end_matches(']');
            let name = name.to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
        })
    }

    /// Adds to an answer what the browser of the page needs to know.
    pub(crate) fn describe(&self, from: From, headers: &mut HeaderMap) {
        if !self.listed.is_empty() {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        let From::Listed(origin) = from else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        // With credentials a browser takes no `*` here.
        let readable: Vec<&str> = headers
            .keys()
            .map(header::HeaderName::as_str)
            .filter(|name| !SAFE_HEADERS.contains(name) && !name.starts_with("access-control-"))
            .collect();
        if let Ok(readable) = HeaderValue::try_from(readable.join(", ")) {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, readable);
        }
    }
}

/// Answers a browser that asks before it sends a page's request, where the page is listed.
pub(crate) fn answer_preflight(request: &Request, from: &From) -> Option<Response> {
    if !matches!(from, From::Listed(_)) || !is_preflight(request) {
        return None;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    // Any header is fine; what matters is checked when the request itself comes.
    if let Some(names) = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    Some(response)
}

fn is_preflight(request: &Request) -> bool {
    *request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The host that was asked for: over HTTP/2 it is part of the address.
fn host(request: &Request) -> Option<&str> {
    let of_address = request.uri().authority().map(Authority::as_str);
    of_address.or_else(|| request.headers().get(header::HOST)?.to_str().ok())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(method: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().method(method).uri("/telemetry");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    fn from(reach: Reach, headers: &[(&str, &str)]) -> From {
        Origins::new(&["https://listed.example".to_owned()], reach).from(&request("POST", headers))
    }

    #[test]
    fn a_page_is_from_here_if_its_host_was_asked_for() {
        let is = |reach, headers: &[(&str, &str)], expected: &From| {
            assert_eq!(&from(reach, headers), expected, "{headers:?}");
        };
        let listed = From::Listed(HeaderValue::from_static("https://listed.example"));
        is(Reach::Network, &[], &From::Here);
        is(Reach::Network, &[("host", "a.example"), ("origin", "https://a.example")], &From::Here);
        is(
            Reach::Network,
            &[("host", "a.example"), ("origin", "https://a.example:8443")],
            &From::Elsewhere,
        );
        is(Reach::Network, &[("host", "a.example"), ("origin", "null")], &From::Elsewhere);
        is(Reach::Network, &[("origin", "https://listed.example")], &listed);
        is(Reach::Network, &[("origin", "https://listed.example.evil")], &From::Elsewhere);
        is(Reach::Network, &[("origin", "http://listed.example")], &From::Elsewhere);
        is(Reach::Network, &[("sec-fetch-site", "cross-site")], &From::Elsewhere);
        is(Reach::Network, &[("sec-fetch-site", "same-origin")], &From::Here);
        let local = [("host", "localhost:80"), ("origin", "http://localhost:80")];
        is(Reach::Loopback, &local, &From::Here);
        let rebound = [("host", "rebound.example"), ("origin", "http://rebound.example")];
        is(Reach::Loopback, &rebound, &From::Elsewhere);
    }

    #[test]
    fn a_port_of_this_machine_alone_is_not_asked_for_by_a_foreign_name() {
        let listed = ["https://listed.example".to_owned()];
        let check = |reach, headers: &[(&str, &str)]| {
            Origins::new(&listed, reach).check(&request("GET", headers)).is_ok()
        };
        for host in [
            "localhost",
            "LocalHost:8080",
            "a.localhost",
            "127.0.0.1:80",
            "[::1]:80",
            "listed.example",
        ] {
            assert!(check(Reach::Loopback, &[("host", host)]), "{host}");
        }
        assert!(check(Reach::Loopback, &[]));
        for host in ["rebound.example:8080", "listed.example.evil", "127.0.0.1.evil", "", "a b"] {
            assert!(!check(Reach::Loopback, &[("host", host)]), "{host}");
            assert!(check(Reach::Network, &[("host", host)]), "{host}");
        }
    }

    #[test]
    fn pages_from_elsewhere_may_only_look() {
        let origins = Origins::new(&[], Reach::Network);
        let check = |method, headers: &[(&str, &str)]| {
            let evil = ("origin", "https://evil.example");
            origins.check(&request(method, &[&[evil], headers].concat())).is_ok()
        };
        assert!(check("GET", &[]) && check("HEAD", &[]) && check("OPTIONS", &[]));
        assert!(!check("POST", &[]) && !check("DELETE", &[]) && !check("CONNECT", &[]));
        assert!(!check("GET", &[("upgrade", "websocket")]));
        assert!(!check("OPTIONS", &[("access-control-request-method", "POST")]));
    }
}
