//! An operation in the making, and the parts that all of them have.

use std::collections::BTreeMap;

use millrace_plan::model::ColumnType;
use millrace_plan::model::ExposurePlan;
use millrace_plan::model::ResponsePlan;
use serde_json::Value;
use serde_json::json;

use super::security;

/// An operation: a method at a path.
pub(super) struct Operation {
    /// The method, in lower case.
    pub(super) method: &'static str,
    /// The path, as `OpenAPI` writes it.
    pub(super) path: String,
    id: String,
    tag: &'static str,
    summary: String,
    parameters: Vec<Value>,
    body: Option<Value>,
    responses: BTreeMap<String, Value>,
}

impl Operation {
    /// An operation without parameters, of which no answer is known yet.
    pub(super) fn new(
        method: &'static str,
        path: &str,
        id: &str,
        tag: &'static str,
        summary: impl Into<String>,
    ) -> Self {
        Self {
            method,
            path: path.to_owned(),
            id: id.to_owned(),
            tag,
            summary: summary.into(),
            parameters: Vec::new(),
            body: None,
            responses: BTreeMap::new(),
        }
    }

    /// The operation at a path that differs in the names of its parameters alone.
    pub(super) fn at(mut self, path: String) -> Self {
        for (own, other) in self.path.split('/').zip(path.split('/')) {
            let (Some(own), Some(other)) = (name_in(own), name_in(other)) else { continue };
            let mut parameters = self.parameters.iter_mut();
            if let Some(parameter) = parameters.find(|p| p["in"] == "path" && p["name"] == own) {
                parameter["name"] = other.into();
            }
        }
        self.path = path;
        self
    }

    /// Adds a parameter; `place` is `path`, `query` or `header`.
    pub(super) fn parameter(
        mut self,
        place: &str,
        name: &str,
        required: bool,
        schema: &Value,
        description: &str,
    ) -> Self {
        let mut parameter =
            json!({"name": name, "in": place, "required": required, "schema": schema});
        if !description.is_empty() {
            parameter["description"] = description.into();
        }
        self.parameters.push(parameter);
        self
    }

    /// Sets the bodies that are taken, by media type.
    pub(super) fn body(mut self, content: BTreeMap<&'static str, Value>) -> Self {
        let content: BTreeMap<_, _> =
            content.into_iter().map(|(kind, schema)| (kind, json!({"schema": schema}))).collect();
        self.body = Some(json!({"required": true, "content": content}));
        self
    }

    /// Adds an answer with these kinds of bodies.
    pub(super) fn answers(
        mut self,
        status: u16,
        description: &str,
        content: &[(&str, Value)],
    ) -> Self {
        let described = self
            .responses
            .entry(status.to_string())
            .or_insert_with(|| json!({"description": description}));
        for (kind, schema) in content {
            described["content"][*kind] = json!({"schema": schema});
        }
        self
    }

    /// Adds a header to an answer that is there.
    pub(super) fn with_header(mut self, status: u16, name: &str, description: &str) -> Self {
        if let Some(answer) = self.responses.get_mut(&status.to_string()) {
            answer["headers"][name] =
                json!({"description": description, "schema": {"type": "string"}});
        }
        self
    }

    /// Adds problems.
    pub(super) fn problems(self, problems: &[(u16, &str)]) -> Self {
        problems.iter().fold(self, |operation, (status, description)| {
            let problem = json!({"$ref": "#/components/schemas/Problem"});
            operation.answers(*status, description, &[("application/problem+json", problem)])
        })
    }

    /// Adds what a resource declares to be answered; `fallback` is the body where it declares none.
    pub(super) fn declared(
        self,
        plan: Option<&ResponsePlan>,
        otherwise: (u16, &str),
        fallback: &[(&str, Value)],
    ) -> Self {
        let (status, description) = otherwise;
        let Some(plan) = plan else { return self.answers(status, description, fallback) };
        let declared = plan.content_type.as_deref();
        let content: Vec<(&str, Value)> = match &plan.body {
            None => fallback.to_vec(),
            Some(program) => {
                let text = ("text/plain", json!({"type": "string"}));
                match declared {
                    Some(kind) => vec![(kind, json!({}))],
                    None if program.returns_text() => vec![text],
                    None if program.may_return_text() => {
                        vec![("application/json", json!({})), text]
                    }
                    None => vec![("application/json", json!({}))],
                }
            }
        };
        let operation = self.answers(plan.status, description, &content);
        plan.headers.iter().fold(operation, |operation, (name, _)| {
            operation.with_header(plan.status, name, "As the resource declares it.")
        })
    }

    /// The operation as `OpenAPI` writes it, with what its path's rule of access adds.
    pub(super) fn into_json(mut self, exposure: &ExposurePlan) -> Value {
        let required = security::required(exposure, &self.path);
        for (status, description) in
            required.iter().flat_map(super::security::Credentials::problems)
        {
            self = self.problems(&[(*status, *description)]);
        }
        let mut json = json!({
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "responses": self.responses,
        });
        if !self.parameters.is_empty() {
            json["parameters"] = self.parameters.into();
        }
        if let Some(body) = self.body {
            json["requestBody"] = body;
        }
        if let Some(access) = required {
            json["security"] = json!([{(access.scheme()): access.scopes()}]);
        }
        json
    }
}

/// The name of the parameter that a segment of a path is.
fn name_in(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// UUIDs with hyphens.
const UUID_PATTERN: &str = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";

/// The schema of a column's value.
pub(super) fn column_schema(kind: ColumnType) -> Value {
    match kind {
        ColumnType::Text => json!({"type": "string"}),
        ColumnType::Integer => json!({
            "type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX,
        }),
        ColumnType::Double => json!({"type": "number", "format": "double"}),
        ColumnType::Boolean => json!({"type": "boolean"}),
        ColumnType::Timestamp => json!({"type": "string", "format": "date-time"}),
        ColumnType::Uuid => json!({"type": "string", "format": "uuid"}),
        ColumnType::Json => json!({}),
    }
}

/// The schema of a parameter that must equal a column: as its values, but texts cannot have NUL, ids
/// are told by a pattern as well (a format alone is only a note to many readers), and JSON is
/// written as a text.
pub(super) fn parameter_schema(kind: ColumnType) -> Value {
    match kind {
        ColumnType::Text => json!({"type": "string", "pattern": "^[^\\u0000]*$"}),
        ColumnType::Json => json!({"type": "string", "contentMediaType": "application/json"}),
        ColumnType::Uuid => json!({"type": "string", "format": "uuid", "pattern": UUID_PATTERN}),
        kind => column_schema(kind),
    }
}
