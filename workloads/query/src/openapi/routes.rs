//! Declared query routes.

use millrace_plan::Plan;
use millrace_plan::model::ColumnPlan;
use millrace_plan::model::QueryAnswer;
use millrace_plan::model::QueryRoute;
use millrace_plan::model::RowSelection;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::operation::Operation;
use super::operation::column_schema;
use super::operation::parameter_schema;

/// The operations of all query routes.
pub(super) fn operations(plan: &Plan) -> impl Iterator<Item = Operation> {
    plan.query.routes.iter().enumerate().map(|(index, route)| operation(plan, index, route))
}

fn operation(plan: &Plan, index: usize, route: &QueryRoute) -> Operation {
    let summary = match &route.answer {
        QueryAnswer::One { rows, .. } => format!("A row of `{}`", rows.table),
        QueryAnswer::List { rows, .. } => format!("Rows of `{}`, a page at a time", rows.table),
        QueryAnswer::Constant => "Always the same".to_owned(),
    };
    let id = format!("query-{index}");
    let operation = Operation::new("get", &route.path.text, &id, "query", summary);
    let respond = route.respond.as_ref();
    let operation = match &route.answer {
        QueryAnswer::Constant => operation.declared(respond, (200, "What is declared."), &[]),
        QueryAnswer::One { rows, otherwise } => {
            let row = row_schema(columns(plan, &rows.table));
            let operation = conditions(operation, rows).declared(
                respond,
                (200, "The first row that matches."),
                &[("application/json", row)],
            );
            match otherwise {
                Some(plan) => operation.declared(Some(plan), (200, "No row matches."), &[]),
                None => operation.problems(&[(404, "No row matches.")]),
            }
        }
        QueryAnswer::List { rows, time, limit } => {
            let row = row_schema(columns(plan, &rows.table));
            let mut operation = conditions(operation, rows);
            if time.is_some() {
                let time = json!({"type": "string", "format": "date-time"});
                operation = operation
                    .parameter("query", "from", false, &time, "The first time.")
                    .parameter("query", "to", false, &time, "The time after the last one.");
            }
            let limits =
                json!({"type": "integer", "minimum": 1, "maximum": 1000, "default": limit});
            let operation =
                operation.parameter("query", "limit", false, &limits, "Rows of a page.").declared(
                    respond,
                    (200, "The rows that match."),
                    &[("application/json", json!({"type": "array", "items": row}))],
                );
            let status = respond.map_or(200, |respond| respond.status);
            let link = "The next page, with `rel=\"next\"`, if there is one: the same address with a `cursor`.";
            operation.with_header(status, "Link", link)
        }
    };
    let problems = [
        (400, "A parameter is wrong."),
        (414, "The address is too long."),
        (431, "The headers are too large."),
        (500, "The answer could not be made."),
        (503, "The look-up takes too long at present."),
    ];
    operation.problems(&problems)
}

fn conditions(operation: Operation, rows: &RowSelection) -> Operation {
    rows.conditions.iter().fold(operation, |operation, condition| {
        let place = if condition.in_path { "path" } else { "query" };
        let schema = parameter_schema(condition.kind);
        operation.parameter(place, &condition.parameter, condition.in_path, &schema, "")
    })
}

pub(super) fn columns<'a>(plan: &'a Plan, table: &str) -> &'a [ColumnPlan] {
    plan.table(table).map_or(&[], |(_, table)| table.columns.as_slice())
}

/// The schema of a row as JSON.
pub(super) fn row_schema(columns: &[ColumnPlan]) -> Value {
    let properties: Map<String, Value> = columns
        .iter()
        .map(|column| {
            let mut schema = column_schema(column.kind);
            if column.nullable
                && let Some(kind) = schema.get("type").cloned()
            {
                schema["type"] = json!([kind, "null"]);
            }
            (column.name.clone(), schema)
        })
        .collect();
    let names: Vec<&String> = properties.keys().collect();
    json!({
        "type": "object",
        "required": names,
        "additionalProperties": false,
        "properties": properties,
    })
}
