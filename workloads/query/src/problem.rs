//! Errors as RFC 9457 describes them.

use axum::Json;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use millrace_core::with_causes;
use millrace_log::AppendError;
use millrace_log::ReadError;
use millrace_tables::LookUpError;
use serde::Serialize;
use tracing::error;

/// The media type of problems.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Why a request gets no answer.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    /// What was asked for does not exist.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// A parameter is wrong.
    pub(crate) fn parameter(name: &str, detail: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("parameter `{name}`: {detail}"))
    }

    /// Something inside failed; its causes go to the log of the process, not to the client.
    pub(crate) fn internal(what: &str, cause: &dyn std::error::Error) -> Self {
        error!(message = "A request could not be answered.", what, error = with_causes(cause));
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, what)
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match &error {
            ReadError::UnknownStream { .. } => Self::not_found(error.to_string()),
            ReadError::Corrupt { .. } => Self::internal(&error.to_string(), &error),
            ReadError::Storage(_) => Self::internal("the log cannot be read", &error),
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<LookUpError> for Problem {
    fn from(error: LookUpError) -> Self {
        match &error {
            LookUpError::UnknownTable(_) => Self::not_found(error.to_string()),
            LookUpError::Cursor => Self::parameter("cursor", error),
            LookUpError::NotATime(_) => Self::parameter("timeColumn", error),
            LookUpError::UnknownColumn { column, .. } => Self::parameter(&column.clone(), error),
            LookUpError::Read { .. } => Self::internal("the table cannot be read", &error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        let mut response = (self.status, Json(body)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert("retry-after", HeaderValue::from_static("1"));
        }
        response
    }
}
