//! The description of the API in `OpenAPI` 3.1, made from the plan.
//!
//! It says what this pipeline takes and answers, as narrowly as the plan knows it: what is
//! described here as valid is accepted, and what is answered is described.

mod ingest;
mod operation;
mod own;
mod routes;
mod security;

use axum::Extension;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use millrace_plan::Plan;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::audience::Outsiders;
use crate::audience::is_of_operators;
use crate::state::SharedState;

/// `GET /openapi.json`
pub(crate) async fn document(
    State(state): State<SharedState>,
    outsiders: Option<Extension<Outsiders>>,
) -> Response {
    let document = if outsiders.is_some() { &state.openapi_outside } else { &state.openapi };
    ([(CONTENT_TYPE, "application/json")], document.clone()).into_response()
}

/// A description without what operators alone may use.
pub(crate) fn outside(mut document: Value) -> Value {
    if let Some(paths) = document["paths"].as_object_mut() {
        paths.retain(|path, _| !is_of_operators(path));
    }
    document
}

/// The description of a pipeline's API.
pub(crate) fn describe(plan: &Plan) -> Value {
    let mut paths = Map::new();
    let operations = ingest::operations(plan)
        .into_iter()
        .chain(routes::operations(plan))
        .chain(own::operations(plan));
    for operation in operations {
        // Paths that differ in the names of parameters alone are one path.
        let same = paths.keys().find(|other| general(other) == general(&operation.path)).cloned();
        let operation = match same {
            Some(path) => operation.at(path),
            None => operation,
        };
        let (method, path) = (operation.method, operation.path.clone());
        let described = operation.into_json(&plan.exposure);
        let item = paths.entry(path).or_insert_with(|| json!({}));
        // Of two, the declared one comes first and is the one that answers.
        if item.get(method).is_none() {
            item[method] = described;
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": plan.pipeline,
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What this pipeline takes and answers. Errors are problem documents as in RFC 9457.",
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "ingest", "description": "Where events enter."},
            {"name": "query", "description": "What this pipeline answers."},
            {"name": "live", "description": "Streams as they come; these answers do not end by themselves."},
            {"name": "management", "description": "What every pipeline answers: streams, tables, dead letters."},
            {"name": "health", "description": "Whether the process works."},
        ],
        "paths": paths,
        "components": {
            "schemas": {"Problem": problem()},
            "securitySchemes": security::schemes(&plan.exposure),
        },
    })
}

/// A path with all parameters alike.
fn general(path: &str) -> Vec<&str> {
    path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment }).collect()
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "Why a request is refused, as in RFC 9457.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "description": "What is wrong, and what to send instead."},
            "errors": {
                "type": "array",
                "description": "All that is wrong with an event, or each event of a batch that is refused.",
                "items": {"type": "object"},
            },
        },
    })
}

#[cfg(test)]
mod tests;
