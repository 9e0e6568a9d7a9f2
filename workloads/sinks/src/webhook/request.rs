//! From a record to a request: body and headers, by programs.

use std::sync::Arc;

use bytes::Bytes;
use millrace_core::Event;
use millrace_core::Record;
use millrace_core::event::text;
use millrace_core::record::header;
use millrace_plan::model::WebhookSink;
use millrace_plan::program::Evaluation;
use millrace_plan::program::Stopped;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderName;
use reqwest::header::HeaderValue;

/// What is sent for a record, but for what changes with each attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    /// The event's id.
    pub(crate) id: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A record that cannot become a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildRequestError {
    #[error("the record is not JSON: {0}")]
    Parse(serde_json::Error),
    #[error("the body's program failed: {0}")]
    Body(String),
    #[error("the body cannot be written as JSON: {0}")]
    Write(serde_json::Error),
    #[error("the program of the header `{name}` failed: {reason}")]
    Header { name: String, reason: String },
    #[error("`{0}` is no name of a header")]
    HeaderName(String),
}

/// The request of a record of a stream; none where a program said `abort`.
pub(crate) fn build(
    sink: &WebhookSink,
    stream: &Arc<str>,
    record: &Record,
) -> Result<Option<Request>, BuildRequestError> {
    let mut headers = HeaderMap::new();
    let mut body = record.value.clone();
    if sink.body.is_some() || !sink.headers.is_empty() {
        let event =
            Event::parse(Arc::clone(stream), record.clone()).map_err(BuildRequestError::Parse)?;
        for (name, program) in &sink.headers {
            let failed = |reason| BuildRequestError::Header { name: name.clone(), reason };
            let value = match program.value_of(&event) {
                Ok(value) => value,
                Err(Stopped::Aborted) => return Ok(None),
                Err(Stopped::Failed(reason)) => return Err(failed(reason)),
            };
            let value = text(&value).ok_or_else(|| failed("it gave no text".to_owned()))?;
            let value = HeaderValue::from_str(value)
                .map_err(|_| failed("it gave a text that no header can have".to_owned()))?;
            let header = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| BuildRequestError::HeaderName(name.clone()))?;
            headers.insert(header, value);
        }
        match sink.body.as_ref().map(|program| program.transform(&event)) {
            None => {}
            Some(Evaluation::Done { event, .. }) => {
                body = serde_json::to_vec(&event).map_err(BuildRequestError::Write)?.into();
            }
            Some(Evaluation::Aborted) => return Ok(None),
            Some(Evaluation::Failed(reason)) => return Err(BuildRequestError::Body(reason)),
        }
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let trace = record.headers.get(header::TRACEPARENT);
    if let Some(trace) = trace.and_then(|trace| HeaderValue::from_bytes(trace).ok()) {
        headers.insert(header::TRACEPARENT, trace);
    }
    Ok(Some(Request { id: record.id.to_string(), headers, body }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use millrace_core::EventId;
    use millrace_core::Headers;
    use millrace_plan::program::Place;
    use millrace_plan::program::Program;

    use super::*;

    fn built(body: Option<&str>, header: Option<&str>, value: &str) -> Result<String, String> {
        let program = |source: &str| Program::compile(source, Place::Pipeline).unwrap();
        let sink = WebhookSink {
            url: String::new(),
            body: body.map(program),
            headers: header
                .map(|source| ("x-car".to_owned(), program(source)))
                .into_iter()
                .collect(),
            secret_headers: Vec::new(),
            signing_secret: None,
            timeout: Duration::from_secs(1),
            retries: 0,
            concurrent: 1,
        };
        let mut headers = Headers::default();
        headers.push("traceparent", "00-1");
        let record = Record {
            key: "spa".into(),
            event_time: 7,
            ingest_time: 8,
            id: EventId::from([1; 16]),
            headers,
            value: value.to_owned().into(),
        };
        match build(&sink, &"status".into(), &record) {
            Ok(Some(Request { id, headers, body })) => {
                let car = headers.get("x-car").map_or("-", |value| value.to_str().unwrap());
                let trace = headers["traceparent"].to_str().unwrap();
                Ok(format!("{id} {car} {trace} {}", String::from_utf8_lossy(&body)))
            }
            Ok(None) => Ok("none".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn without_programs_the_record_is_the_body() {
        let id = "01010101-0101-0101-0101-010101010101";
        assert_eq!(
            built(None, None, r#"{"b":1, "a":2}"#),
            Ok(format!(r#"{id} - 00-1 {{"b":1, "a":2}}"#))
        );
        assert_eq!(
            built(Some(". = {\"at\": %eventTime}"), Some("\"car \" + %key"), "{}"),
            Ok(format!(r#"{id} car spa 00-1 {{"at":7}}"#))
        );
    }

    #[test]
    fn an_abort_sends_nothing_and_failures_are_told() {
        assert_eq!(built(Some("abort"), None, "{}"), Ok("none".into()));
        assert_eq!(built(None, Some("abort"), "{}"), Ok("none".into()));
        assert!(built(Some("."), None, "{").unwrap_err().starts_with("the record is not JSON"));
        let failed = built(None, Some("\"a\\nb\""), "{}").unwrap_err();
        assert_eq!(
            failed,
            "the program of the header `x-car` failed: it gave a text that no header can have"
        );
    }
}
