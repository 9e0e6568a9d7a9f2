//! Ways in over HTTP and WebSocket.

use std::collections::BTreeMap;

use millrace_plan::Plan;
use millrace_plan::model::BodyKind;
use millrace_plan::model::HeaderFormat;
use millrace_plan::model::HttpIngest;
use millrace_plan::model::HttpMethod;
use millrace_plan::model::HttpPath;
use millrace_plan::model::IngestPlan;
use millrace_plan::model::IngestSource;
use millrace_plan::model::RequestHeader;
use millrace_plan::model::StreamOrigin;
use serde_json::Value;
use serde_json::json;

use super::operation::Operation;

/// The operations of all ways in.
pub(super) fn operations(plan: &Plan) -> Vec<Operation> {
    plan.ingest
        .iter()
        .filter_map(|way| match &way.source {
            IngestSource::Http(http) => Some(http_operation(plan, way, http)),
            IngestSource::WebSocket(socket) => {
                let operation = Operation::new(
                    "get",
                    &socket.path.text,
                    &format!("ingest-{}", way.name),
                    "live",
                    format!("Send events to `{}` over WebSocket, a text message each", way.to),
                );
                Some(
                    headers(path(operation, &socket.path), &socket.headers)
                        .answers(101, "The connection is a WebSocket from now on.", &[])
                        .problems(&[
                            (
                                400,
                                "The request is no opening of a WebSocket, or a header is wrong.",
                            ),
                            (403, "Pages of this origin may not connect."),
                            (426, "The request asks for no WebSocket."),
                            (503, "There are too many connections, or nothing can be stored."),
                        ]),
                )
            }
            IngestSource::MqttListen(_) | IngestSource::MqttConnect(_) | IngestSource::Kafka(_) => {
                None
            }
        })
        .collect()
}

fn http_operation(plan: &Plan, way: &IngestPlan, http: &HttpIngest) -> Operation {
    let method = match http.method {
        HttpMethod::Post => "post",
        HttpMethod::Put => "put",
        HttpMethod::Patch => "patch",
    };
    let summary = format!("Send events to `{}`", way.to);
    let operation =
        Operation::new(method, &http.path.text, &format!("ingest-{}", way.name), "ingest", summary);
    let mut operation = headers(path(operation, &http.path), &http.headers).parameter(
        "header",
        "Idempotency-Key",
        false,
        &json!({"type": "string", "pattern": "^[!-~]{1,255}$"}),
        "The same key again is the same request: it is stored once and answered alike.",
    );
    let content = bodies(&event_schema(plan, way), http);
    if !content.is_empty() {
        operation = operation.body(content);
    }
    let takes = |kind| http.accept.contains(&kind);
    let batches = takes(BodyKind::JsonArray) || takes(BodyKind::Ndjson);
    let singles = takes(BodyKind::Json) || takes(BodyKind::Form) || takes(BodyKind::None);
    let accepted = (202, "The events are stored durably.");
    if singles {
        operation = operation.declared(http.respond.as_ref(), accepted, &[]);
    }
    if batches {
        let status = http.respond.as_ref().map_or(202, |respond| respond.status);
        // Where single events are answered without a body by the same status, the body of a batch's
        // answer cannot be told apart in the description.
        if !singles {
            operation =
                operation.answers(status, accepted.1, &[("application/json", summary_schema())]);
        }
        if !http.all_or_nothing {
            let description = "Some events of the batch are stored, and some are refused.";
            operation =
                operation.answers(207, description, &[("application/json", summary_schema())]);
        }
    }
    operation = operation.problems(&[
        (400, "The request or its body cannot be read."),
        (http.invalid_status, "The event is not valid; `errors` says all that is wrong with it."),
        (414, "The address is too long."),
        (431, "The headers are too large."),
        (500, "The event is stored, and its answer could not be made."),
        (503, "Nothing can be stored at present; come back after `Retry-After`."),
    ]);
    if !takes(BodyKind::None) {
        operation = operation.problems(&[
            (408, "The body did not arrive in time."),
            (413, "The body is too large."),
            (415, "The body's type or encoding is not taken."),
        ]);
    }
    if http.limits.rate.is_some() {
        operation = operation
            .problems(&[(429, "This address sends too much; come back after `Retry-After`.")]);
    }
    operation
}

fn path(operation: Operation, path: &HttpPath) -> Operation {
    path.parameters.iter().fold(operation, |operation, name| {
        operation.parameter("path", name, true, &json!({"type": "string"}), "")
    })
}

fn headers(operation: Operation, headers: &[RequestHeader]) -> Operation {
    headers.iter().fold(operation, |operation, header| {
        let schema = match header.format {
            HeaderFormat::Text => json!({"type": "string", "minLength": 1}),
            HeaderFormat::Uuid => json!({"type": "string", "format": "uuid"}),
        };
        operation.parameter("header", &header.name, header.required, &schema, "")
    })
}

fn bodies(event: &Value, http: &HttpIngest) -> BTreeMap<&'static str, Value> {
    let mut content = BTreeMap::new();
    let array = json!({"type": "array", "items": event, "maxItems": http.max_events});
    let takes = |kind| http.accept.contains(&kind);
    match (takes(BodyKind::Json), takes(BodyKind::JsonArray)) {
        (true, true) => {
            content.insert("application/json", json!({"anyOf": [event, array]}));
        }
        (true, false) => {
            content.insert("application/json", event.clone());
        }
        (false, true) => {
            content.insert("application/json", array);
        }
        (false, false) => {}
    }
    if takes(BodyKind::Ndjson) {
        let lines = json!({"type": "string", "description": "A JSON object a line."});
        content.insert("application/x-ndjson", lines.clone());
        content.insert("application/jsonl", lines);
    }
    if takes(BodyKind::Form) {
        content.insert("application/x-www-form-urlencoded", event.clone());
        content.insert("multipart/form-data", event.clone());
    }
    content
}

/// What a body must be. Where a mapping makes the event, of the stream's schema holds what the
/// mapping leaves as it came.
fn event_schema(plan: &Plan, way: &IngestPlan) -> Value {
    let schema = plan.stream(&way.to).and_then(|stream| match &stream.origin {
        StreamOrigin::Ingested(ingested) => ingested.schema.as_ref(),
        StreamOrigin::Derived { .. } | StreamOrigin::DeadLetters => None,
    });
    let Some(schema) = schema else { return json!({"type": "object"}) };
    let mut source = schema.source().clone();
    if source.get("type").is_none() && source.is_object() {
        source["type"] = "object".into();
    }
    let Some(program) = &way.map else { return inlined(source) };
    let kept = |name: &str| {
        let path = format!(".\"{name}\"").parse::<millrace_core::FieldPath>();
        path.is_ok_and(|path| !program.assigns(&path))
    };
    let mut own = json!({"type": "object"});
    if let Some(properties) = source.get("properties").and_then(Value::as_object) {
        let kept: serde_json::Map<_, _> = properties
            .iter()
            .filter(|(name, _)| kept(name))
            .map(|(name, schema)| (name.clone(), schema.clone()))
            .collect();
        own["properties"] = kept.into();
    }
    if let Some(required) = source.get("required").and_then(Value::as_array) {
        let kept: Vec<_> =
            required.iter().filter(|name| name.as_str().is_some_and(&kept)).cloned().collect();
        own["required"] = kept.into();
    }
    // References within the schema have lost what they refer to.
    if own.to_string().contains("\"$ref\"") { json!({"type": "object"}) } else { own }
}

/// The schema with an address of its own, so that references within it stay its own.
fn inlined(mut schema: Value) -> Value {
    if schema.to_string().contains("\"$ref\"") && schema.get("$id").is_none() {
        schema["$id"] = "urn:millrace:event".into();
    }
    schema
}

fn summary_schema() -> Value {
    json!({
        "type": "object",
        "required": ["accepted"],
        "properties": {
            "accepted": {"type": "integer", "minimum": 0},
            "dropped": {"type": "integer", "minimum": 1},
            "rejected": {"type": "integer", "minimum": 1},
            "errors": {"type": "array", "items": {"type": "object"}},
            "errorsOmitted": {"type": "integer", "minimum": 1},
        },
    })
}
