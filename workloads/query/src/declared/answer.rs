//! Answers of declared routes: look-ups, and what is always the same.

use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header::LINK;
use axum::response::Response;
use bytes::Bytes;
use millrace_core::Value;
use millrace_http::Problem;
use millrace_plan::model::QueryAnswer;
use millrace_plan::model::QueryRoute;
use millrace_plan::model::RowSelection;
use millrace_tables::Direction;
use millrace_tables::LookUp;
use millrace_tables::MAX_PAGE_ROWS;
use millrace_tables::Order;
use millrace_tables::Page;
use millrace_tables::TimeRange;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use super::respond::Request;
use super::respond::reads_query;
use super::respond::respond;
use super::values;
use crate::params::Params;
use crate::problem::IntoProblem;
use crate::state::Shared;
use crate::tables::RowView;

/// Longest look-up.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Answers a request of a declared route.
pub(super) async fn answer(
    state: &Shared,
    route: &QueryRoute,
    path: Vec<(String, String)>,
    params: Params,
    uri: &Uri,
) -> Result<Response, Problem> {
    let request = Request { path, query: params.all().to_vec() };
    match &route.answer {
        QueryAnswer::Constant => {
            finish(params, &[], reads_query(route.respond.as_ref()))?;
            let nothing = || Ok(Value::Object(std::collections::BTreeMap::new()));
            respond(route.respond.as_ref(), &nothing, &|| Ok(None), &request)
                .map_err(super::respond::RespondError::into_problem)
        }
        QueryAnswer::One { rows, otherwise } => {
            let any = reads_query(route.respond.as_ref()) || reads_query(otherwise.as_ref());
            let query = look_up(rows, &request, params, any)?;
            let page = read(state, &rows.table, &query).await?;
            one(route, otherwise.as_ref(), &page, &query, &request)
        }
        QueryAnswer::List { rows, time, limit } => {
            let any = reads_query(route.respond.as_ref());
            let query = page_look_up(rows, time.as_deref(), *limit, &request, params, any)?;
            let page = read(state, &rows.table, &query).await?;
            list(route, &page, &request, uri)
        }
    }
}

fn one(
    route: &QueryRoute,
    otherwise: Option<&millrace_plan::model::ResponsePlan>,
    page: &Page,
    query: &LookUp,
    request: &Request,
) -> Result<Response, Problem> {
    let Some(cells) = page.rows.first() else {
        let nothing = || Ok(Value::Object(std::collections::BTreeMap::new()));
        return match otherwise {
            Some(plan) => respond(Some(plan), &nothing, &|| Ok(None), request)
                .map_err(super::respond::RespondError::into_problem),
            None => Err(Problem::not_found(nothing_found(query))),
        };
    };
    let row = || values::row(&page.columns, cells);
    let json = || serde_json::to_vec(&RowView(&page.columns, cells)).map(|json| Some(json.into()));
    respond(route.respond.as_ref(), &row, &json, request)
        .map_err(super::respond::RespondError::into_problem)
}

fn list(
    route: &QueryRoute,
    page: &Page,
    request: &Request,
    uri: &Uri,
) -> Result<Response, Problem> {
    let found = || {
        let rows = page.rows.iter().map(|cells| values::row(&page.columns, cells));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        Ok(Value::Object([("rows".into(), Value::Array(rows))].into()))
    };
    let json = || {
        let rows: Vec<_> = page.rows.iter().map(|cells| RowView(&page.columns, cells)).collect();
        serde_json::to_vec(&rows).map(|json| Some(Bytes::from(json)))
    };
    let mut response = respond(route.respond.as_ref(), &found, &json, request)
        .map_err(super::respond::RespondError::into_problem)?;
    if let Some(cursor) = &page.next
        && let Ok(link) = HeaderValue::from_str(&next_link(uri, request, cursor))
    {
        response.headers_mut().append(LINK, link);
    }
    Ok(response)
}

/// The same address with the cursor of the next page.
fn next_link(uri: &Uri, request: &Request, cursor: &str) -> String {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let mut link = format!("<{}?", uri.path());
    for (name, value) in request.query.iter().filter(|(name, _)| name != "cursor") {
        link.push_str(&format!("{}={}&", encoded(name), encoded(value)));
    }
    link.push_str(&format!("cursor={}>; rel=\"next\"", encoded(cursor)));
    link
}

async fn read(state: &Shared, table: &str, query: &LookUp) -> Result<Page, Problem> {
    let Some(store) = &state.tables else {
        return Err(Problem::not_found(format!("there is no table `{table}`")));
    };
    tokio::time::timeout(TIMEOUT, store.look_up(table, query))
        .await
        .map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the look-up takes too long"))?
        .map_err(IntoProblem::into_problem)
}

fn page_look_up(
    rows: &RowSelection,
    time: Option<&str>,
    limit: usize,
    request: &Request,
    mut params: Params,
    any: bool,
) -> Result<LookUp, Problem> {
    let limit = params.limit(limit, MAX_PAGE_ROWS)?;
    let cursor = params.text("cursor")?;
    let mut known = vec!["limit", "cursor"];
    let range = match time {
        None => None,
        Some(column) => {
            known.extend(["from", "to"]);
            let mut bound = |name| match params.text(name)? {
                Some(text) => values::time(name, &text),
                None => Ok(None),
            };
            Some(TimeRange { column: column.to_owned(), from: bound("from")?, to: bound("to")? })
        }
    };
    let equals = conditions(rows, request, params, known, any)?;
    Ok(LookUp { equals, time: range, order: order(rows), limit, cursor })
}

fn look_up(
    rows: &RowSelection,
    request: &Request,
    params: Params,
    any: bool,
) -> Result<LookUp, Problem> {
    let equals = conditions(rows, request, params, Vec::new(), any)?;
    Ok(LookUp { equals, order: order(rows), limit: 1, ..LookUp::default() })
}

fn order(rows: &RowSelection) -> Option<Order> {
    rows.order.as_ref().map(|(column, descending)| Order {
        column: column.clone(),
        direction: if *descending { Direction::Descending } else { Direction::Ascending },
    })
}

fn conditions<'a>(
    rows: &'a RowSelection,
    request: &Request,
    mut params: Params,
    mut known: Vec<&'a str>,
    any: bool,
) -> Result<Vec<(String, millrace_tables::Cell)>, Problem> {
    let mut equals = Vec::new();
    for condition in &rows.conditions {
        let name = condition.parameter.as_str();
        let text = if condition.in_path {
            let found = request.path.iter().find(|(parameter, _)| parameter == name);
            found.map(|(_, text)| text.clone())
        } else {
            known.push(name);
            params.text(name)?
        };
        if let Some(text) = text {
            let cell = values::cell(name, &text, condition.kind)?;
            equals.push((condition.column.clone(), cell));
        }
    }
    finish(params, &known, any)?;
    Ok(equals)
}

/// Refuses parameters that mean nothing here, unless a program reads what it likes.
fn finish(params: Params, known: &[&str], any: bool) -> Result<(), Problem> {
    if any {
        return Ok(());
    }
    params.finish(&known.join(", "))
}

fn nothing_found(query: &LookUp) -> String {
    let conditions: Vec<String> = query
        .equals
        .iter()
        .map(|(column, cell)| {
            format!("`{column}` {}", serde_json::to_string(cell).unwrap_or_default())
        })
        .collect();
    if conditions.is_empty() {
        "nothing is stored yet".to_owned()
    } else {
        format!("nothing is stored with {}", conditions.join(" and "))
    }
}
