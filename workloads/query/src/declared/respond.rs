//! Answers that programs make of what was found.

use axum::body::Body;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use millrace_core::Value;
use millrace_core::event::text;
use millrace_http::Problem;
use millrace_plan::model::ResponsePlan;
use millrace_plan::program::Evaluation;
use millrace_plan::program::Program;
use millrace_plan::program::context_of_request;

/// The media type of texts.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
/// The media type of everything else.
pub(super) const JSON: &str = "application/json";

/// Why a declared answer cannot be given.
#[derive(Debug, thiserror::Error)]
pub(super) enum RespondError {
    /// A program failed or gave up.
    #[error("the program of {part} failed: {reason}")]
    Program {
        /// What it makes: the body, or a header.
        part: String,
        /// The program's own message.
        reason: String,
    },
    /// A header's value is no text that a header can have.
    #[error("the program of the header `{0}` gave what no header can hold")]
    Header(String),
    /// The value cannot be written as JSON, or a cell cannot be read as such.
    #[error("the answer cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

impl RespondError {
    pub(super) fn into_problem(self) -> Problem {
        Problem::internal("the answer that is declared for this address cannot be made", &self)
    }
}

/// What programs see of a request.
pub(super) struct Request {
    /// Names and values of the path's parameters.
    pub(super) path: Vec<(String, String)>,
    /// Names and values of the query string, in order.
    pub(super) query: Vec<(String, String)>,
}

impl Request {
    fn context(&self, program: &Program) -> Value {
        let mut fields = Vec::new();
        if program.reads("path") {
            let path = self.path.iter().map(|(n, v)| (n.as_str().into(), Value::from(v.as_str())));
            fields.push(("path", Value::Object(path.collect())));
        }
        if program.reads("query") {
            fields.push(("query", self.query_object()));
        }
        context_of_request(fields)
    }

    /// A parameter that stands several times is an array.
    fn query_object(&self) -> Value {
        let mut object = std::collections::BTreeMap::new();
        for (name, value) in &self.query {
            let value = Value::from(value.as_str());
            match object.entry(name.as_str().into()) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(value);
                }
                std::collections::btree_map::Entry::Occupied(mut entry) => match entry.get_mut() {
                    Value::Array(values) => values.push(value),
                    first => {
                        *first = Value::Array(vec![std::mem::replace(first, Value::Null), value]);
                    }
                },
            }
        }
        Value::Object(object)
    }
}

/// Whether one of an answer's programs reads the query string, which then may have any parameter.
pub(super) fn reads_query(plan: Option<&ResponsePlan>) -> bool {
    plan.is_some_and(|plan| {
        plan.body
            .iter()
            .chain(plan.headers.iter().map(|(_, program)| program))
            .any(|p| p.reads("query"))
    })
}

/// The answer: `plan` with what was found, or `fallback` as its body where it declares none.
pub(super) fn respond(
    plan: Option<&ResponsePlan>,
    found: &dyn Fn() -> Result<Value, serde_json::Error>,
    fallback: &dyn Fn() -> Result<Option<Bytes>, serde_json::Error>,
    request: &Request,
) -> Result<Response, RespondError> {
    let (body, media_type) = match plan.and_then(|plan| plan.body.as_ref()) {
        Some(program) => {
            let result = run(program, found()?, request, || "the body".to_owned())?;
            match text(&result) {
                Some(text) => (Bytes::copy_from_slice(text.as_bytes()), Some(TEXT)),
                None => (serde_json::to_vec(&result)?.into(), Some(JSON)),
            }
        }
        None => match fallback()? {
            Some(body) => (body, Some(JSON)),
            None => (Bytes::new(), None),
        },
    };
    let mut response = Response::new(Body::from(body));
    if let Some(media_type) = media_type {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    let Some(plan) = plan else { return Ok(response) };
    *response.status_mut() = StatusCode::from_u16(plan.status).unwrap_or_default();
    if let Some(media_type) = &plan.content_type {
        let value = HeaderValue::from_str(media_type)
            .map_err(|_| RespondError::Header("Content-Type".to_owned()))?;
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    for (name, program) in &plan.headers {
        let wrong = || RespondError::Header(name.clone());
        let value = run(program, found()?, request, || format!("the header `{name}`"))?;
        let value = text(&value).and_then(|text| HeaderValue::from_str(text).ok());
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        response.headers_mut().insert(header, value.ok_or_else(wrong)?);
    }
    Ok(response)
}

fn run(
    program: &Program,
    found: Value,
    request: &Request,
    part: impl Fn() -> String,
) -> Result<Value, RespondError> {
    match program.evaluate(found, request.context(program)) {
        Evaluation::Done { result, .. } => Ok(result),
        Evaluation::Aborted => {
            Err(RespondError::Program { part: part(), reason: "it said `abort`".to_owned() })
        }
        Evaluation::Failed(reason) => Err(RespondError::Program { part: part(), reason }),
    }
}
