//! Answers: what an accepted event is answered, and how a refused one is told.

use axum::body::Body;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use millrace_core::EventId;
use millrace_core::Value;
use millrace_core::event::text;
use millrace_http::Problem;
use millrace_plan::model::ResponsePlan;
use millrace_plan::program::Evaluation;
use millrace_plan::program::Program;

use crate::acceptor::Admitted;
use crate::acceptor::Refusal;
use crate::acceptor::RefusalKind;
use crate::acceptor::Route;

const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The status of a batch of which some events are accepted and some are not.
const MULTI_STATUS: StatusCode = StatusCode::MULTI_STATUS;

/// What an accepted event is answered.
pub(super) fn accepted(
    respond: Option<&ResponsePlan>,
    request: &Admitted<'_>,
    event: Option<Value>,
    id: EventId,
) -> Response {
    // No event is checked in place whose answer is made of it.
    let Some((respond, event)) = respond.zip(event) else {
        return StatusCode::ACCEPTED.into_response();
    };
    match made(respond, request, event, id) {
        Ok(response) => response,
        Err(reason) => {
            let detail = format!("the event is stored, but its answer could not be made: {reason}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
                .with("id", id.to_string())
                .into_response()
        }
    }
}

/// The status of an answer to what is accepted.
pub(super) fn accepted_status(respond: Option<&ResponsePlan>) -> StatusCode {
    let status = respond.and_then(|respond| StatusCode::from_u16(respond.status).ok());
    status.unwrap_or(StatusCode::ACCEPTED)
}

fn made(
    respond: &ResponsePlan,
    request: &Admitted<'_>,
    event: Value,
    id: EventId,
) -> Result<Response, String> {
    let run = |program: &Program, event: Value| match program
        .evaluate(event, request.context(program, || id.to_string()))
    {
        Evaluation::Done { result, .. } => Ok(result),
        Evaluation::Aborted => Err("its program says `abort`".to_owned()),
        Evaluation::Failed(message) => Err(message),
    };
    let mut headers = Vec::with_capacity(respond.headers.len());
    for (name, program) in &respond.headers {
        let value = run(program, event.clone())?;
        let wrong = || format!("the header `{name}` cannot have this value");
        let value = text(&value).ok_or_else(wrong)?;
        let value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        headers.push((HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value));
    }
    let mut kind = None;
    let body = match &respond.body {
        None => Body::empty(),
        Some(program) => match run(program, event)? {
            value @ (Value::Bytes(_) | Value::String(_)) => {
                kind = Some(PLAIN_TEXT);
                Body::from(text(&value).ok_or("the body is not UTF-8")?.to_owned())
            }
            value => {
                kind = Some(JSON);
                Body::from(serde_json::to_vec(&value).map_err(|error| error.to_string())?)
            }
        },
    };
    if let Some(declared) = &respond.content_type {
        kind = HeaderValue::from_str(declared).ok();
    }
    let mut response = Response::new(body);
    *response.status_mut() = accepted_status(Some(respond));
    if let Some(kind) = kind {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    for (name, value) in headers {
        response.headers_mut().append(name, value);
    }
    Ok(response)
}

/// The status of a refused event.
pub(super) fn status_of(refusals: &[Refusal], invalid: StatusCode) -> StatusCode {
    match refusals.first() {
        Some(refusal) if refusal.is_unreadable() => StatusCode::BAD_REQUEST,
        Some(refusal) if refusal.kind() == RefusalKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        _ => invalid,
    }
}

/// Says why an event is refused.
pub(super) fn refused(route: &Route, refusals: &[Refusal], invalid: StatusCode) -> Problem {
    let status = status_of(refusals, invalid);
    let faults = route.faults(refusals);
    let detail = summary(refusals, faults.len());
    if refusals.iter().any(Refusal::is_unreadable) {
        return Problem::new(status, detail);
    }
    // Texts can always be written.
    Problem::new(status, detail).with("errors", serde_json::to_value(faults).unwrap_or_default())
}

fn summary(refusals: &[Refusal], faults: usize) -> String {
    match refusals {
        [refusal] if faults == 1 => refusal.to_string(),
        _ => format!("the event has {faults} errors"),
    }
}

/// What a batch has come to so far.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// Events that are accepted.
    pub(super) accepted: usize,
    /// Events that the mapping dropped.
    pub(super) dropped: usize,
    /// Events that are refused.
    pub(super) rejected: usize,
    /// What the answer says of them, of the first [`Summary::MAX_ERRORS`].
    errors: Vec<serde_json::Value>,
    /// The status of all that are refused, if it is the same.
    status: Option<StatusCode>,
}

impl Summary {
    /// Most refused events that an answer describes.
    const MAX_ERRORS: usize = 1000;

    /// Counts a refused event.
    pub(super) fn reject(
        &mut self,
        route: &Route,
        index: usize,
        line: Option<usize>,
        refusals: &[Refusal],
        invalid: StatusCode,
    ) {
        let status = status_of(refusals, invalid);
        self.rejected += 1;
        self.status = match self.status {
            None => Some(status),
            Some(same) if same == status => Some(same),
            Some(_) => Some(invalid),
        };
        if self.errors.len() == Self::MAX_ERRORS {
            return;
        }
        let faults = route.faults(refusals);
        let mut error = serde_json::json!({
            "index": index,
            "status": status.as_u16(),
            "detail": summary(refusals, faults.len()),
        });
        if let Some(line) = line {
            error["line"] = line.into();
        }
        if !refusals.iter().any(Refusal::is_unreadable) {
            error["errors"] = serde_json::to_value(faults).unwrap_or_default();
        }
        self.errors.push(error);
    }

    /// The answer to a batch.
    pub(super) fn answer(
        self,
        respond: Option<&ResponsePlan>,
        all_or_nothing: bool,
        invalid: StatusCode,
    ) -> Response {
        let events = self.accepted + self.dropped + self.rejected;
        let nothing = self.rejected == events || all_or_nothing;
        if self.rejected > 0 && nothing {
            let detail = if all_or_nothing {
                format!("nothing is stored: {} of {events} events are refused", self.rejected)
            } else {
                format!("all {events} events are refused")
            };
            let omitted = self.rejected - self.errors.len();
            let mut problem = Problem::new(self.status.unwrap_or(invalid), detail)
                .with("accepted", 0)
                .with("rejected", self.rejected)
                .with("errors", self.errors);
            if omitted > 0 {
                problem = problem.with("errorsOmitted", omitted);
            }
            return problem.into_response();
        }
        let mut summary = serde_json::json!({ "accepted": self.accepted });
        if self.dropped > 0 {
            summary["dropped"] = self.dropped.into();
        }
        let mut status = accepted_status(respond);
        if self.rejected > 0 {
            status = MULTI_STATUS;
            summary["rejected"] = self.rejected.into();
            let omitted = self.rejected - self.errors.len();
            summary["errors"] = self.errors.into();
            if omitted > 0 {
                summary["errorsOmitted"] = omitted.into();
            }
        }
        let mut response = Response::new(Body::from(summary.to_string()));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        response
    }
}
