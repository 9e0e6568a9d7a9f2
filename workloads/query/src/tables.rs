//! Look-ups in tables.

use std::time::Duration;

use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use millrace_plan::model::ColumnPlan;
use millrace_plan::model::ColumnType;
use millrace_plan::model::TablePlan;
use millrace_tables::Cell;
use millrace_tables::Direction;
use millrace_tables::LookUp;
use millrace_tables::MAX_PAGE_ROWS;
use millrace_tables::Order;
use millrace_tables::TimeRange;
use serde::Serialize;
use serde::Serializer;
use serde::ser::SerializeMap;
use serde_json::json;

use crate::params::Params;
use crate::params::short;
use crate::pipeline::table;
use crate::pipeline::table_of;
use crate::problem::IntoProblem;
use crate::state::Shared;
use crate::state::SharedState;
use millrace_http::Problem;

/// Longest look-up.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct Answer<'a> {
    rows: Vec<RowView<'a>>,
    next: Option<String>,
}

/// A row as an object, its columns in declared order.
pub(crate) struct RowView<'a>(pub(crate) &'a [ColumnPlan], pub(crate) &'a [Cell]);

impl Serialize for RowView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (column, cell) in self.0.iter().zip(self.1) {
            map.serialize_entry(&column.name, cell)?;
        }
        map.end()
    }
}

/// `GET /api/v1/tables`
pub(crate) async fn list(State(state): State<SharedState>) -> impl IntoResponse {
    let tables: Vec<_> = state.plan.sinks.iter().filter_map(table_of).map(table).collect();
    Json(json!({"tables": tables}))
}

/// `GET /api/v1/tables/{table}`: `<column>=<value>` for rows that have it (`null`, except in
/// texts, for rows without a value), `timeColumn`, `from` (included) and `to` (not included),
/// `order=column` or `order=-column`, `limit` and `cursor`. A column of the name of another
/// parameter cannot be filtered by.
pub(crate) async fn rows(
    State(state): State<SharedState>,
    Path(name): Path<String>,
    params: Params,
) -> Result<impl IntoResponse, Problem> {
    let (Some(store), Some(plan)) = (&state.tables, find(&state, &name)) else {
        return Err(Problem::not_found(format!("there is no table `{}`", short(&name))));
    };
    let query = look_up(plan, params)?;
    let page = tokio::time::timeout(TIMEOUT, store.look_up(&plan.name, &query))
        .await
        .map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the look-up takes too long"))?
        .map_err(IntoProblem::into_problem)?;
    let rows = page.rows.iter().map(|cells| RowView(&page.columns, cells)).collect();
    Ok(Json(Answer { rows, next: page.next.clone() }).into_response())
}

fn find<'a>(state: &'a Shared, name: &str) -> Option<&'a TablePlan> {
    state.plan.sinks.iter().filter_map(table_of).find(|table| table.name == name)
}

fn look_up(table: &TablePlan, mut params: Params) -> Result<LookUp, Problem> {
    let column = |parameter: &str, name: &str| {
        table.columns.iter().find(|column| column.name == name).ok_or_else(|| {
            let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
            let detail = format!("no column `{}`; there are {}", short(name), names.join(", "));
            Problem::parameter(parameter, detail)
        })
    };
    let time = time_range(&mut params, |name| column("timeColumn", name))?;
    let order = match params.text("order")? {
        None => None,
        Some(text) => {
            let (name, direction) = match text.strip_prefix('-') {
                Some(name) => (name, Direction::Descending),
                None => (text.as_str(), Direction::Ascending),
            };
            Some(Order { column: column("order", name)?.name.clone(), direction })
        }
    };
    let limit = params.limit(100, MAX_PAGE_ROWS)?;
    let cursor = params.text("cursor")?;
    let mut equals = Vec::new();
    for (name, text) in params.rest() {
        let column = column(short(&name), &name)?;
        let cell = if text == "null" && column.kind != ColumnType::Text {
            Cell::Null
        } else {
            Cell::parse(&text, column.kind).map_err(|error| Problem::parameter(&name, error))?
        };
        if equals.iter().any(|(other, _)| *other == name) {
            return Err(Problem::parameter(&name, "is given more than once"));
        }
        equals.push((name, cell));
    }
    Ok(LookUp { equals, time, order, limit, cursor })
}

fn time_range<'a>(
    params: &mut Params,
    column: impl Fn(&str) -> Result<&'a ColumnPlan, Problem>,
) -> Result<Option<TimeRange>, Problem> {
    let name = params.text("timeColumn")?;
    let from = time(params, "from")?;
    let to = time(params, "to")?;
    let Some(name) = name else {
        return match (from, to) {
            (None, None) => Ok(None),
            _ => Err(Problem::parameter("timeColumn", "`from` and `to` need it")),
        };
    };
    let found = column(&name)?;
    if found.kind != ColumnType::Timestamp {
        return Err(Problem::parameter(
            "timeColumn",
            format_args!("column `{name}` is not a timestamp"),
        ));
    }
    Ok(Some(TimeRange { column: name, from, to }))
}

fn time(params: &mut Params, name: &str) -> Result<Option<i64>, Problem> {
    let Some(text) = params.text(name)? else { return Ok(None) };
    match Cell::parse(&text, ColumnType::Timestamp) {
        Ok(Cell::Timestamp(micros)) => Ok(Some(micros)),
        Ok(_) => Ok(None),
        Err(error) => Err(Problem::parameter(name, error)),
    }
}
