//! Exchanges over HTTP as cases write them: a request, and what it must be answered.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A request and its answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Exchange {
    /// What is sent.
    pub(crate) request: CaseRequest,
    /// What must come back.
    pub(crate) response: CaseResponse,
}

/// What is sent. At most one of `json`, `ndjson`, `form` and `text` is its body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct CaseRequest {
    /// Its method.
    #[serde(default = "get")]
    pub(crate) method: String,
    /// Its path, with the query.
    pub(crate) path: String,
    /// Its headers.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// A body of JSON.
    pub(crate) json: Option<Value>,
    /// A body of JSON, a line each.
    pub(crate) ndjson: Option<Vec<Value>>,
    /// A body of fields.
    pub(crate) form: Option<BTreeMap<String, String>>,
    /// Any other body.
    pub(crate) text: Option<String>,
    /// A user and password, `user:password`.
    pub(crate) basic: Option<String>,
    /// When it arrives, in milliseconds since 1970; without it now.
    pub(crate) at: Option<i64>,
}

/// What must come back. What is not written is not looked at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct CaseResponse {
    /// Its status.
    pub(crate) status: u16,
    /// Its headers; others are not looked at.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Value>,
    /// The body as JSON; fields of objects that are not written are not looked at.
    pub(crate) json: Option<Value>,
    /// The body, to the letter.
    pub(crate) text: Option<Value>,
}

fn get() -> String {
    "GET".to_owned()
}
