//! What every pipeline answers: health, metrics, streams, tables and dead letters.

use millrace_core::StreamName;
use millrace_plan::Plan;
use millrace_plan::model::ColumnType;
use serde_json::Value;
use serde_json::json;

use super::operation::Operation;
use super::operation::parameter_schema;
use super::routes::row_schema;
use crate::pipeline::table_of;

const BAD: (u16, &str) = (400, "A parameter is wrong.");
const LONG: (u16, &str) = (414, "The address is too long.");
const LARGE: (u16, &str) = (431, "The headers are too large.");
const BROKEN: (u16, &str) = (500, "The log or the tables cannot be read.");

/// The operations that every pipeline has.
pub(super) fn operations(plan: &Plan) -> Vec<Operation> {
    let mut operations = vec![
        get("/livez", "livez", "health", "Whether the process answers").answers(
            200,
            "It does.",
            &[("application/json", object(&["live"]))],
        ),
        get("/readyz", "readyz", "health", "Whether every part runs and the log accepts")
            .answers(200, "They do.", &[("application/json", object(&["ready"]))])
            .answers(
                503,
                "They do not, for these reasons.",
                &[("application/json", object(&["ready", "reasons"]))],
            ),
        get("/metrics", "metrics", "health", "Metrics for Prometheus")
            .answers(
                200,
                "OpenMetrics.",
                &[("application/openmetrics-text", json!({"type": "string"}))],
            )
            .problems(&[(500, "The metrics cannot be written.")]),
        get("/openapi.json", "openapi", "health", "This description").answers(
            200,
            "OpenAPI 3.1.",
            &[("application/json", json!({"type": "object"}))],
        ),
        get("/api/v1/pipeline", "pipeline", "management", "The pipeline as it was planned")
            .answers(
                200,
                "Its parts.",
                &[(
                    "application/json",
                    object(&[
                        "name",
                        "version",
                        "streams",
                        "ingest",
                        "processors",
                        "sinks",
                        "tables",
                    ]),
                )],
            ),
        get("/api/v1/status", "status", "management", "What the pipeline is doing").answers(
            200,
            "Parts, streams and the log.",
            &[(
                "application/json",
                object(&["ready", "reasons", "uptimeSeconds", "components", "streams", "log"]),
            )],
        ),
        get("/api/v1/tables", "tables", "management", "The tables and their columns").answers(
            200,
            "The tables.",
            &[("application/json", object(&["tables"]))],
        ),
    ];
    operations.extend(streams(plan));
    operations.extend(tables(plan));
    operations.extend(dead_letters());
    operations.extend(rebuilds());
    operations.extend(replays());
    operations.push(backup());
    operations
}

fn rebuilds() -> [Operation; 2] {
    let path = "/api/v1/rebuilds";
    let state = json!({"description": "The rebuild that goes on, or the last one."});
    let body = json!({
        "type": "object",
        "required": ["name"],
        "additionalProperties": false,
        "properties": {
            "name": {"type": "string", "description": "The table sink or processor."},
            "partial": {"type": "boolean", "description": "Whether what the log still has is enough."},
        },
    });
    let none = (404, "There is nothing of this name, or this process carries out no operations.");
    [
        get(path, "rebuilds", "management", "How far a rebuild has come")
            .answers(200, "It.", &[("application/json", state.clone())])
            .problems(&[none]),
        Operation::new("post", path, "rebuild", "management", "Rebuild from the log")
            .body([("application/json", body)].into())
            .answers(200, "It goes on.", &[("application/json", state)])
            .problems(&[
                (400, "The body is not what is expected."),
                (403, "A page of another site sent this."),
                none,
                (408, "The body has not come in time."),
                (409, "What there is does not allow it."),
                (413, "The body is too large."),
                (415, "The header `Content-Type: application/json` is missing."),
                (503, "It may succeed later."),
            ]),
    ]
}

fn replays() -> [Operation; 2] {
    let state = json!({"description": "The replay and how far it has come."});
    let text = |description: &str| json!({"type": "string", "description": description});
    let body = json!({
        "type": "object",
        "required": ["stream", "from", "to"],
        "additionalProperties": false,
        "properties": {
            "stream": text("The recorded stream."),
            "from": text("The first event: a time in RFC 3339, or an offset."),
            "until": text("The end, not included; the end of the stream by default."),
            "to": text("The stream that takes the events."),
            "restart": {"type": "boolean", "description": "Whether to begin anew."},
        },
    });
    let none =
        (404, "There is no such replay or stream, or this process carries out no operations.");
    [
        Operation::new("post", "/api/v1/replays", "replay", "management", "Append events again")
            .body([("application/json", body)].into())
            .answers(200, "It goes on.", &[("application/json", state.clone())])
            .problems(&[
                (400, "The body is not what is expected."),
                (403, "A page of another site sent this."),
                none,
                (408, "The body has not come in time."),
                (409, "What there is does not allow it."),
                (413, "The body is too large."),
                (415, "The header `Content-Type: application/json` is missing."),
                (503, "It may succeed later."),
            ]),
        get("/api/v1/replays/{id}", "replay-progress", "management", "How far a replay has come")
            .parameter("path", "id", true, &json!({"type": "string"}), "The replay's id.")
            .answers(200, "It.", &[("application/json", state)])
            .problems(&[LONG, LARGE, none]),
    ]
}

fn backup() -> Operation {
    let summary = "Make a backup of the log and the tables as of now";
    Operation::new("post", "/api/v1/backup", "backup", "management", summary)
        .answers(
            200,
            "A tar for `millrace restore`.",
            &[("application/x-tar", json!({"type": "string", "format": "binary"}))],
        )
        .problems(&[
            (403, "A page of another site sent this."),
            (404, "This process carries out no operations."),
            (409, "What there is does not allow it."),
            (415, "The header `Content-Type: application/json` is missing."),
            (503, "Another backup is being taken, or the copies cannot be made."),
        ])
}

fn streams(plan: &Plan) -> Vec<Operation> {
    let names: Vec<&str> = plan.streams.iter().map(|stream| stream.name.as_str()).collect();
    let stream = json!({"type": "string", "enum": names});
    let from = json!({"type": "string", "description": "`now`, `start`, or the id of an event."});
    let live = |operation: Operation| {
        operation
            .parameter("query", "from", false, &from, "Where to begin; `now` by default.")
            .answers(101, "The connection is a WebSocket from now on; an event a message.", &[])
            .answers(
                200,
                "Events as they come.",
                &[("text/event-stream", json!({"type": "string"}))],
            )
            .problems(&[BAD, LONG, LARGE, BROKEN])
            .problems(&[
                (403, "Pages of this origin may not follow streams."),
                (404, "There is no such stream or partition."),
                (426, "The request asks for another version of WebSocket."),
                (503, "Too many clients follow streams already."),
            ])
    };
    vec![
        get(
            "/api/v1/streams/{stream}/records",
            "records",
            "management",
            "A page of a stream's records",
        )
        .parameter("path", "stream", true, &stream, "The stream.")
        .parameter("query", "partition", false, &partition(), "The partition; 0 by default.")
        .parameter("query", "from", false, &start(), "Where to begin; the start by default.")
        .parameter("query", "limit", false, &limit(), "Records of a page.")
        .answers(
            200,
            "Records, and the offset to read on from.",
            &[("application/json", object(&["records", "next"]))],
        )
        .problems(&[
            BAD,
            LONG,
            LARGE,
            BROKEN,
            (404, "There is no such stream or partition."),
        ]),
        live(
            get(
                "/api/v1/streams/{stream}/events",
                "follow-stream",
                "live",
                "Follow a stream by server-sent events or WebSocket",
            )
            .parameter("path", "stream", true, &stream, "The stream.")
            .parameter(
                "query",
                "partition",
                false,
                &partition(),
                "One partition; all by default.",
            ),
        ),
        live(
            get(
                "/api/v1/events",
                "follow-streams",
                "live",
                "Follow several streams in one connection",
            )
            .parameter(
                "query",
                "streams",
                true,
                &json!({"type": "string"}),
                "1 to 16 streams with commas between them.",
            ),
        ),
    ]
}

/// Each table has columns of its own, and so an entry of its own.
fn tables(plan: &Plan) -> impl Iterator<Item = Operation> {
    plan.sinks.iter().filter_map(table_of).map(|table| {
        let path = format!("/api/v1/tables/{}", table.name);
        let id = format!("table-{}", table.name);
        let orders: Vec<String> = table
            .columns
            .iter()
            .flat_map(|column| [column.name.clone(), format!("-{}", column.name)])
            .collect();
        let operation = get(&path, &id, "management", format!("Rows of `{}`", table.name));
        let taken = ["timeColumn", "from", "to", "order", "limit", "cursor"];
        table
            .columns
            .iter()
            .filter(|column| !taken.contains(&column.name.as_str()))
            // The whole text of a JSON value is seldom asked for, and has no schema as a parameter.
            .filter(|column| column.kind != ColumnType::Json)
            .fold(operation, |operation, column| {
                let schema = match column.kind {
                    ColumnType::Text => parameter_schema(column.kind),
                    // Times are taken in milliseconds since 1970 as well.
                    ColumnType::Timestamp => json!({"anyOf": [
                        parameter_schema(column.kind), {"type": "integer"}, {"const": "null"},
                    ]}),
                    kind => json!({"anyOf": [parameter_schema(kind), {"const": "null"}]}),
                };
                operation.parameter("query", &column.name, false, &schema, "Rows that have it.")
            })
            .parameter(
                "query",
                "order",
                false,
                &json!({"type": "string", "enum": orders}),
                "The column to order by; with `-` the highest first.",
            )
            .parameter("query", "limit", false, &limit(), "Rows of a page.")
            .answers(
                200,
                "Rows, and the `cursor` of the next page.",
                &[(
                    "application/json",
                    json!({
                        "type": "object",
                        "required": ["rows", "next"],
                        "properties": {
                            "rows": {"type": "array", "items": row_schema(&table.columns)},
                            "next": {"type": ["string", "null"]},
                        },
                    }),
                )],
            )
            .problems(&[BAD, LONG, LARGE, BROKEN, (503, "The look-up takes too long at present.")])
    })
}

fn dead_letters() -> Vec<Operation> {
    let offset = json!({"type": "integer", "format": "int64", "minimum": 0, "maximum": i64::MAX});
    let one = |operation: Operation| {
        operation
            .parameter("path", "offset", true, &offset, "Its offset, as the list shows it.")
            .parameter("query", "partition", false, &partition(), "Its partition; 0 by default.")
            .problems(&[BAD, LONG, LARGE, BROKEN, (404, "There is no such dead letter.")])
    };
    vec![
        get("/api/v1/dead-letters", "dead-letters", "management", "What could not be processed")
            .parameter("query", "partition", false, &partition(), "The partition; 0 by default.")
            .parameter("query", "from", false, &start(), "Where to begin; the start by default.")
            .parameter("query", "limit", false, &limit(), "Dead letters of a page.")
            .parameter(
                "query",
                "stage",
                false,
                &json!({"type": "string"}),
                "Only those that this part refused.",
            )
            .answers(
                200,
                "Dead letters, and the offset to read on from.",
                &[("application/json", object(&["deadLetters", "next"]))],
            )
            .problems(&[BAD, LONG, LARGE, BROKEN, (404, "There is no such partition.")]),
        one(get("/api/v1/dead-letters/{offset}", "dead-letter", "management", "A dead letter"))
            .answers(
                200,
                "It, with its original bytes.",
                &[(
                    "application/json",
                    object(&["offset", "stage", "reason", "originalBase64", "originalText"]),
                )],
            ),
        one(Operation::new(
            "post",
            "/api/v1/dead-letters/{offset}/replay",
            "replay-dead-letter",
            "management",
            format!("Send a letter of `{}` through its way in again", StreamName::dead_letters()),
        ))
        .parameter(
            "header",
            "Content-Type",
            true,
            &json!({"type": "string", "const": "application/json"}),
            "Keeps pages of other sites from sending this.",
        )
        .answers(
            200,
            "It is accepted.",
            &[("application/json", object(&["accepted", "id", "partition", "offset"]))],
        )
        .problems(&[
            (403, "A page of another site sent this."),
            (415, "The header `Content-Type: application/json` is missing."),
            (422, "It is refused again."),
        ]),
    ]
}

fn get(path: &str, id: &str, tag: &'static str, summary: impl Into<String>) -> Operation {
    Operation::new("get", path, id, tag, summary)
}

fn object(required: &[&str]) -> Value {
    json!({"type": "object", "required": required})
}

fn partition() -> Value {
    json!({"type": "integer", "format": "int32", "minimum": 0, "maximum": i32::MAX})
}

fn limit() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": 1000, "default": 100})
}

fn start() -> Value {
    json!({"type": "string", "pattern": "^(start|end|end-[0-9]{1,9}|[0-9]{1,15})$"})
}
