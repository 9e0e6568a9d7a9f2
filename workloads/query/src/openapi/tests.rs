#![allow(clippy::unwrap_used, reason = "helpers fail as tests do")]

use serde_json::Value;
use serde_json::json;

use super::describe;

const RESOURCE: &str = r#"
apiVersion: millrace.dev/v1alpha1
kind: TelemetryPipeline
metadata: {name: shop}
spec:
  streams:
    - name: orders
      schema:
        inline:
          type: object
          required: [id, at, buyer]
          properties: {id: {type: integer}, at: {type: integer}, buyer: {type: string}}
      key: [.id]
  ingest:
    - name: orders
      http: {path: "/orders/{number}", headers: [{name: X-Shop, format: uuid}], limits: {rate: 10}}
      to: orders
    - name: forms
      http: {path: /forms, method: PUT, accept: [form], onInvalid: {status: 400}, respond: {body: '{"id": .id}'}}
      map: .id = to_int(.at) ?? 0
      to: orders
  sinks:
    - name: orders
      from: [orders]
      table:
        primaryKey: [id]
        columns:
          - {name: id, type: integer}
          - {name: buyer, type: text, nullable: true}
  query:
    routes:
      - {path: "/orders/{id}", one: {table: orders, where: [{column: id}]}}
      - {path: /orders, list: {table: orders, limit: 10}}
      - {path: /, constant: {}, respond: {status: 201, body: '"hello"'}}
  exposure:
    auth:
      - {path: /orders, basic: {users: {file: users}}}
      - {path: /api, bearer: {keysUrl: "https://id.example.com/keys", scopes: [read]}}
"#;

fn described() -> Value {
    let pipelines = millrace_api::load(RESOURCE, "a.yaml").unwrap();
    describe(&millrace_plan::plan(&pipelines[0]).unwrap())
}

fn statuses(operation: &Value) -> Vec<&str> {
    operation["responses"].as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_way_in_is_described_with_what_it_takes_and_answers() {
    let document = described();
    let operation = &document["paths"]["/orders/{number}"]["post"];
    assert_eq!(
        operation["parameters"],
        json!([
            {"name": "number", "in": "path", "required": true, "schema": {"type": "string"}},
            {"name": "X-Shop", "in": "header", "required": true, "schema": {"type": "string", "format": "uuid"}},
            {"name": "Idempotency-Key", "in": "header", "required": false,
             "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
             "description": "The same key again is the same request: it is stored once and answered alike."},
        ])
    );
    let content = operation["requestBody"]["content"].as_object().unwrap();
    assert_eq!(
        content.keys().collect::<Vec<_>>(),
        ["application/json", "application/jsonl", "application/x-ndjson"]
    );
    let either = &content["application/json"]["schema"]["anyOf"];
    assert_eq!(either[0]["required"], json!(["id", "at", "buyer"]));
    assert_eq!(either[1]["maxItems"], 10_000);
    assert_eq!(
        statuses(operation),
        ["202", "207", "400", "401", "408", "413", "414", "415", "422", "429", "431", "500", "503"]
    );
    assert_eq!(operation["security"], json!([{"basic": []}]));
}

#[test]
fn of_what_a_mapping_leaves_as_it_came_the_streams_schema_holds() {
    let document = described();
    let operation = &document["paths"]["/forms"]["put"];
    let content = &operation["requestBody"]["content"];
    let fields = json!({
        "type": "object",
        "properties": {"at": {"type": "integer"}, "buyer": {"type": "string"}},
        "required": ["at", "buyer"],
    });
    assert_eq!(content["application/x-www-form-urlencoded"]["schema"], fields);
    assert_eq!(content["multipart/form-data"]["schema"], fields);
    assert_eq!(
        operation["responses"]["200"],
        json!({"description": "The events are stored durably.", "content": {"application/json": {"schema": {}}}})
    );
    assert_eq!(operation.get("security"), None);
    assert!(!statuses(operation).contains(&"422"));
}

#[test]
fn a_query_route_is_described_by_its_tables_columns() {
    let document = described();
    let one = &document["paths"]["/orders/{number}"]["get"];
    // The way in has the same path with another name of the parameter.
    assert_eq!(document["paths"].get("/orders/{id}"), None);
    assert_eq!(one["parameters"][0]["name"], "number");
    assert_eq!(one["parameters"][0]["schema"]["minimum"], i64::MIN);
    assert_eq!(
        one["responses"]["200"]["content"]["application/json"]["schema"],
        json!({
            "type": "object", "required": ["buyer", "id"], "additionalProperties": false,
            "properties": {
                "buyer": {"type": ["string", "null"]},
                "id": {"type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX},
            },
        })
    );
    assert!(statuses(one).contains(&"404"));
    let list = &document["paths"]["/orders"]["get"];
    assert_eq!(list["parameters"][0]["schema"]["default"], 10);
    assert!(list["responses"]["200"]["headers"]["Link"].is_object());
    assert_eq!(
        document["paths"]["/"]["get"]["responses"]["201"]["content"],
        json!({"text/plain": {"schema": {"type": "string"}}})
    );
    let status = &document["paths"]["/api/v1/status"]["get"];
    assert_eq!(status["security"], json!([{"bearer": ["read"]}]));
    assert!(statuses(status).contains(&"403"));
}

/// The rules of `OpenAPI` 3.1 that a document made here could break.
#[test]
fn the_document_is_valid_openapi() {
    let document = described();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(path.starts_with('/'), "{path}");
        for (method, operation) in item.as_object().unwrap() {
            let at = format!("{method} {path}");
            assert!(["get", "post", "put", "patch"].contains(&method.as_str()), "{at}");
            ids.push(operation["operationId"].as_str().unwrap().to_owned());
            let tag = &operation["tags"][0];
            let tags = document["tags"].as_array().unwrap();
            assert!(tags.iter().any(|known| known["name"] == *tag), "{at}");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let in_path: Vec<_> = parameters.iter().filter(|p| p["in"] == "path").collect();
            assert_eq!(path.matches('{').count(), in_path.len(), "{at}");
            for (index, parameter) in parameters.iter().enumerate() {
                let name = parameter["name"].as_str().unwrap();
                assert!(parameter["schema"].is_object(), "{at} {name}");
                let again = |other: &Value| {
                    other["name"] == parameter["name"] && other["in"] == parameter["in"]
                };
                assert_eq!(parameters.iter().position(again), Some(index), "{at} {name}");
            }
            for parameter in in_path {
                let name = parameter["name"].as_str().unwrap();
                assert!(path.contains(&format!("{{{name}}}")), "{at} {name}");
                assert_eq!(parameter["required"], true, "{at} {name}");
            }
            let responses = operation["responses"].as_object().unwrap();
            assert!(!responses.is_empty(), "{at}");
            for (status, response) in responses {
                assert!(status.parse::<u16>().is_ok_and(|s| (100..600).contains(&s)), "{at}");
                assert!(response["description"].is_string(), "{at} {status}");
            }
            for needed in operation["security"].as_array().into_iter().flatten() {
                for scheme in needed.as_object().unwrap().keys() {
                    let known = &document["components"]["securitySchemes"][scheme];
                    assert_eq!(known["type"], "http", "{at} {scheme}");
                }
            }
        }
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
    references(&document, &document);
}

/// Every reference leads somewhere, and every schema is one.
fn references(document: &Value, at: &Value) {
    match at {
        Value::Object(fields) => {
            if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
            } else if let Some(schema) = fields.get("schema").filter(|s| s.get("$ref").is_none()) {
                assert!(jsonschema::draft202012::meta::is_valid(schema), "{schema}");
            }
            fields.values().for_each(|value| references(document, value));
        }
        Value::Array(items) => items.iter().for_each(|item| references(document, item)),
        _ => {}
    }
}
