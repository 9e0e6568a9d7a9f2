//! Errors as RFC 9457 describes them.

use std::time::Duration;

use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::header::RETRY_AFTER;
use axum::response::IntoResponse;
use axum::response::Response;
use millrace_core::with_causes;
use serde::Serialize;
use tracing::error;

/// The media type of problems.
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Why a request gets no answer.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    extensions: serde_json::Map<String, serde_json::Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(flatten)]
    extensions: &'a serde_json::Map<String, serde_json::Value>,
}

impl Problem {
    /// A problem of this status. The detail says what is wrong and, where it is not obvious, what
    /// to send instead.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            extensions: serde_json::Map::default(),
            headers: Vec::new(),
        }
    }

    /// What was asked for does not exist.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// A parameter is wrong.
    pub fn parameter(name: &str, detail: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("parameter `{name}`: {detail}"))
    }

    /// Nothing can be taken at present; the client may come again after `retry_after`.
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(retry_after)
    }

    /// Something inside failed; its causes go to the log of the process, not to the client.
    pub fn internal(what: &str, cause: &dyn std::error::Error) -> Self {
        error!(message = "A request could not be answered.", what, error = with_causes(cause));
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, what)
    }

    /// Adds a member, such as `errors`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.extensions.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Says when to come again, in whole seconds, at least one.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        self.header(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)))
    }

    /// Its status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong, for a person.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The problem as JSON, for places that are not answers of their own.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        // Texts, numbers and maps with names can always be written.
        serde_json::to_value(self.body()).unwrap_or_default()
    }

    fn body(&self) -> Body<'_> {
        Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: &self.detail,
            extensions: &self.extensions,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.to_json().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}
