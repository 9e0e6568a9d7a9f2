//! Runs exchanges over HTTP through the pipeline's own routes, without a port.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::Uri;
use axum::http::header;
use axum::http::response::Parts;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use millrace_http::Auth;
use millrace_http::LoadAuthError;
use millrace_http::Origins;
use millrace_http::Reach;
use millrace_http::guard;
use millrace_ingest::Acceptor;
use millrace_ingest::http::Arrival;
use millrace_ingest::http::routes;
use millrace_query::QueryState;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::cases::captures::Captures;
use crate::cases::captures::UnknownName;
use crate::cases::compare::matches;
use crate::cases::compare::places;
use crate::cases::http::CaseRequest;
use crate::cases::http::CaseResponse;
use crate::cases::http::Exchange;
use crate::process::replayer::AcceptorReplayer;
use crate::process::storage::Storage;

/// An exchange that cannot be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// It has several bodies.
    #[error("`{0}` has several bodies: write one of json, ndjson, form and text")]
    Bodies(String),
    /// It is no request.
    #[error("`{0}` cannot be sent")]
    Request(String, #[source] axum::http::Error),
    /// A name in it is not known yet.
    #[error(transparent)]
    Name(#[from] UnknownName),
    /// Its answer breaks off.
    #[error("the answer to `{0}` breaks off")]
    Answer(String, #[source] axum::Error),
    /// The credentials cannot be read.
    #[error("cannot read the credentials: give them by `secrets` in the file of cases")]
    Auth(#[from] LoadAuthError),
}

/// The pipeline's routes, with all that stands before them but TLS.
pub(super) struct Port {
    router: Router,
    closing: CancellationToken,
}

impl Port {
    /// The routes of a pipeline; `secrets` has a folder for each Secret.
    pub(super) fn new(
        storage: &Storage,
        acceptor: &Acceptor,
        secrets: &Path,
    ) -> Result<Self, LoadAuthError> {
        let exposure = &storage.plan.exposure;
        let auth = Arc::new(Auth::load(exposure, secrets)?);
        let closing = CancellationToken::new();
        let ways_in = routes(&storage.plan, acceptor, &storage.observer, &closing);
        let state = QueryState::new(
            Arc::clone(&storage.plan),
            Arc::clone(&storage.log),
            Some(Arc::clone(&storage.tables)),
            Arc::clone(&storage.observer),
            Arc::new(AcceptorReplayer::new(acceptor.clone())),
            None,
        );
        let origins = Origins::new(&exposure.origins, Reach::Loopback);
        Ok(Self { router: guard(state.router(ways_in), auth, origins), closing })
    }

    /// Runs exchanges one after the other and returns what differs, a line each.
    pub(super) async fn run(
        &self,
        exchanges: &[Exchange],
        captures: &mut Captures,
    ) -> Result<Vec<String>, ExchangeError> {
        let mut lines = Vec::new();
        for exchange in exchanges {
            let name = format!("{} {}", exchange.request.method, exchange.request.path);
            let request = request(&name, &exchange.request, captures)?;
            let response =
                self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
            let (parts, body) = response.into_parts();
            let body = body.collect().await;
            let body = body.map_err(|source| ExchangeError::Answer(name.clone(), source))?;
            let body = body.to_bytes();
            let found = differences(&exchange.response, &parts, &body, captures)?;
            if !found.is_empty() {
                lines.push(format!("{name}:"));
                lines.extend(found);
            }
        }
        Ok(lines)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

fn request(
    name: &str,
    request: &CaseRequest,
    captures: &Captures,
) -> Result<Request<Body>, ExchangeError> {
    let (content_type, body) = body(name, request, captures)?;
    let path = captures.fill(&request.path)?;
    let mut builder = Request::builder().method(request.method.as_str());
    builder = builder.uri(
        path.parse::<Uri>()
            .map_err(|error| ExchangeError::Request(name.to_owned(), error.into()))?,
    );
    let is_named = |wanted: &header::HeaderName| {
        request.headers.keys().any(|name| name.eq_ignore_ascii_case(wanted.as_str()))
    };
    if !is_named(&header::HOST) {
        builder = builder.header(header::HOST, "localhost");
    }
    if let Some(content_type) = content_type.filter(|_| !is_named(&header::CONTENT_TYPE)) {
        builder = builder.header(header::CONTENT_TYPE, content_type);
    }
    if let Some(user) = &request.basic {
        let credentials = BASE64_STANDARD.encode(captures.fill(user)?);
        builder = builder.header(header::AUTHORIZATION, format!("Basic {credentials}"));
    }
    for (name, value) in &request.headers {
        builder = builder.header(name, captures.fill(value)?);
    }
    if let Some(at) = request.at {
        builder = builder.extension(Arrival(at));
    }
    builder.body(Body::from(body)).map_err(|error| ExchangeError::Request(name.to_owned(), error))
}

/// The type and the bytes of a request's body.
fn body(
    name: &str,
    request: &CaseRequest,
    captures: &Captures,
) -> Result<(Option<&'static str>, String), ExchangeError> {
    Ok(match (&request.json, &request.ndjson, &request.form, &request.text) {
        (None, None, None, None) => (None, String::new()),
        (Some(json), None, None, None) => {
            (Some("application/json"), captures.fill_value(json)?.to_string())
        }
        (None, Some(lines), None, None) => {
            let mut text = String::new();
            for line in lines {
                text += &captures.fill_value(line)?.to_string();
                text.push('\n');
            }
            (Some("application/x-ndjson"), text)
        }
        (None, None, Some(fields), None) => {
            let mut pairs = Vec::new();
            for (name, value) in fields {
                pairs.push(format!("{}={}", encoded(name), encoded(&captures.fill(value)?)));
            }
            (Some("application/x-www-form-urlencoded"), pairs.join("&"))
        }
        (None, None, None, Some(text)) => (None, captures.fill(text)?),
        _ => return Err(ExchangeError::Bodies(name.to_owned())),
    })
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// How an answer differs from what was expected.
fn differences(
    expected: &CaseResponse,
    parts: &Parts,
    body: &Bytes,
    captures: &mut Captures,
) -> Result<Vec<String>, ExchangeError> {
    let mut lines = Vec::new();
    let text = String::from_utf8_lossy(body);
    let status = parts.status.as_u16();
    if status != expected.status {
        lines.push(format!("  - status {}", expected.status));
        lines.push(format!("  + status {status}, body {text}"));
    }
    for (name, expected) in &expected.headers {
        let actual = parts.headers.get(name).map_or(Value::Null, |value| {
            Value::from(String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        compare(&format!("header {name} "), expected, &actual, captures, &mut lines)?;
    }
    if let Some(expected) = &expected.text {
        compare("body ", expected, &Value::from(text.as_ref()), captures, &mut lines)?;
    }
    if let Some(expected) = &expected.json {
        if let Ok(actual) = serde_json::from_slice(body) {
            compare("body ", expected, &actual, captures, &mut lines)?;
        } else {
            lines.push(format!("  - body {expected}"));
            lines.push(format!("  + body {text}, which is not JSON"));
        }
    }
    Ok(lines)
}

fn compare(
    what: &str,
    expected: &Value,
    actual: &Value,
    captures: &mut Captures,
    lines: &mut Vec<String>,
) -> Result<(), ExchangeError> {
    captures.take(expected, actual);
    let expected = captures.fill_value(expected)?;
    if !matches(&expected, actual) {
        lines.push(format!("  - {what}{expected}"));
        lines.push(format!("  + {what}{actual}"));
        lines.extend(places(&expected, actual).into_iter().map(|place| format!("    {place}")));
    }
    Ok(())
}
