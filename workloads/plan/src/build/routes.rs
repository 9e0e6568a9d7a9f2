//! Routes that are answered from tables, and that no two ways lead to one address.

use millrace_api as api;

use super::checks::Checks;
use super::checks::hint_for;
use super::http;
use crate::model::ColumnType;
use crate::model::HttpPath;
use crate::model::IngestPlan;
use crate::model::IngestSource;
use crate::model::QueryAnswer;
use crate::model::QueryRoute;
use crate::model::RowCondition;
use crate::model::RowSelection;
use crate::model::SinkPlan;
use crate::model::SinkTarget;
use crate::model::TablePlan;
use crate::program::Place;

/// The routes.
pub(super) fn routes(
    specs: &[api::QueryRouteSpec],
    sinks: &[SinkPlan],
    checks: &mut Checks,
) -> Vec<QueryRoute> {
    let tables = sinks.iter().filter_map(|sink| match &sink.target {
        SinkTarget::Table(table) => Some(table),
        _ => None,
    });
    let tables = tables.collect::<Vec<_>>();
    let mut routes = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let at = format!("spec.query.routes[{index}]");
        let path = http::path(&format!("{at}.path"), &spec.path, "GET", checks);
        let Some(answer) = answer(&at, spec, &path, &tables, checks) else { continue };
        let shape = http::shape(&path, &[]);
        let respond = spec.respond.as_ref().map(|respond| {
            http::response(&format!("{at}.respond"), respond, Place::Query, &shape, checks)
        });
        if matches!(answer, QueryAnswer::Constant)
            && spec.respond.as_ref().is_none_or(|respond| respond.body.is_none())
        {
            checks.error_with_hint(
                format!("{at}.respond"),
                "does not say what is answered",
                "write a body, such as `{\"status\": \"UP\"}`",
            );
        }
        routes.push(QueryRoute { path, answer, respond });
    }
    routes
}

fn answer(
    at: &str,
    spec: &api::QueryRouteSpec,
    path: &HttpPath,
    tables: &[&TablePlan],
    checks: &mut Checks,
) -> Option<QueryAnswer> {
    match (&spec.one, &spec.list, &spec.constant) {
        (Some(one), None, None) => {
            let at = format!("{at}.one");
            let (rows, _) =
                rows(&at, &one.table, &one.conditions, one.order.as_ref(), path, tables, checks)?;
            let shape = http::shape(path, &[]);
            let otherwise = one.otherwise.as_ref().map(|otherwise| {
                http::response(&format!("{at}.otherwise"), otherwise, Place::Query, &shape, checks)
            });
            Some(QueryAnswer::One { rows, otherwise })
        }
        (None, Some(list), None) => {
            let at = format!("{at}.list");
            let (rows, table) = rows(
                &at,
                &list.table,
                &list.conditions,
                list.order.as_ref(),
                path,
                tables,
                checks,
            )?;
            if let Some(time) = &list.time {
                let at = format!("{at}.time");
                if column(&at, table, time, checks)? != ColumnType::Timestamp {
                    checks.error_with_hint(
                        at,
                        format!("the column `{time}` is no timestamp"),
                        "write a column of type timestamp",
                    );
                }
            }
            let bounds: &[&str] = if list.time.is_some() { &["from", "to"] } else { &[] };
            for (index, condition) in list.conditions.iter().enumerate() {
                let name = condition.parameter.as_ref().map_or(&*condition.column, |name| name);
                let taken = ["cursor", "limit"].contains(&name) || bounds.contains(&name);
                if taken && !path.parameters.iter().any(|parameter| parameter == name) {
                    checks.error_with_hint(
                        format!("{at}.where[{index}]"),
                        format!("the parameter `{name}` has a meaning of its own in a list"),
                        "write another name as its `parameter`",
                    );
                }
            }
            Some(QueryAnswer::List {
                rows,
                time: list.time.as_ref().map(ToString::to_string),
                limit: Checks::count(list.limit).clamp(1, 1000),
            })
        }
        (None, None, Some(_)) => Some(QueryAnswer::Constant),
        _ => {
            checks.error(at, "write exactly one of one, list and constant");
            None
        }
    }
}

fn rows<'a>(
    at: &str,
    name: &str,
    conditions: &[api::ConditionSpec],
    order: Option<&api::OrderSpec>,
    path: &HttpPath,
    tables: &[&'a TablePlan],
    checks: &mut Checks,
) -> Option<(RowSelection, &'a TablePlan)> {
    let Some(table) = tables.iter().find(|table| table.name == name) else {
        checks.error_with_hint(
            format!("{at}.table"),
            format!("no sink writes a table `{name}`"),
            hint_for(name, tables.iter().map(|table| table.name.as_str())),
        );
        return None;
    };
    let mut selected = Vec::new();
    for (index, condition) in conditions.iter().enumerate() {
        let at = format!("{at}.where[{index}]");
        let Some(kind) = column(&format!("{at}.column"), table, &condition.column, checks) else {
            continue;
        };
        refuse_json(&format!("{at}.column"), &condition.column, kind, "compared", checks);
        let parameter =
            condition.parameter.as_ref().map_or(condition.column.as_str(), |name| name.as_str());
        selected.push(RowCondition {
            column: condition.column.to_string(),
            kind,
            parameter: parameter.to_owned(),
            in_path: path.parameters.iter().any(|other| other == parameter),
        });
    }
    for parameter in &path.parameters {
        let reads = |condition: &api::ConditionSpec| {
            condition.parameter.as_ref().map_or(&*condition.column, |name| name) == parameter
        };
        if !conditions.iter().any(reads) {
            checks.error_with_hint(
                format!("{at}.where"),
                format!("nothing reads the parameter `{parameter}` of the path"),
                format!("write a condition with `parameter: {parameter}`"),
            );
        }
    }
    if let Some(order) = order {
        let at = format!("{at}.order.by");
        let kind = column(&at, table, &order.by, checks)?;
        refuse_json(&at, &order.by, kind, "ordered", checks);
    }
    let order = order.map(|order| (order.by.to_string(), order.descending));
    Some((RowSelection { table: table.name.clone(), conditions: selected, order }, table))
}

fn refuse_json(at: &str, name: &str, kind: ColumnType, what: &str, checks: &mut Checks) {
    if kind == ColumnType::Json {
        checks.error_with_hint(
            at,
            format!("the column `{name}` has the type json, which cannot be {what}"),
            "write a column of another type",
        );
    }
}

fn column(at: &str, table: &TablePlan, name: &str, checks: &mut Checks) -> Option<ColumnType> {
    let found = table.columns.iter().find(|column| column.name == name);
    if found.is_none() {
        let names = table.columns.iter().map(|column| column.name.as_str());
        checks.error_with_hint(
            at,
            format!("the table `{}` has no column `{name}`", table.name),
            hint_for(name, names),
        );
    }
    found.map(|column| column.kind)
}

/// Checks that no two ways in or routes take the same requests.
pub(super) fn check_addresses(ingest: &[IngestPlan], routes: &[QueryRoute], checks: &mut Checks) {
    let mut taken: Vec<(&str, Vec<String>, String)> = Vec::new();
    let ways = ingest.iter().enumerate().filter_map(|(index, way)| match &way.source {
        IngestSource::Http(http) => {
            Some((http.method.name(), &http.path, format!("spec.ingest[{index}].http.path")))
        }
        IngestSource::WebSocket(websocket) => {
            Some(("GET", &websocket.path, format!("spec.ingest[{index}].websocket.path")))
        }
        IngestSource::MqttListen(_) | IngestSource::MqttConnect(_) | IngestSource::Kafka(_) => None,
    });
    let routes = routes
        .iter()
        .enumerate()
        .map(|(index, route)| ("GET", &route.path, format!("spec.query.routes[{index}].path")));
    for (method, path, at) in ways.chain(routes) {
        let general = general(path);
        let same = |(other_method, others, _): &&(&str, Vec<String>, String)| {
            *other_method == method && others.iter().any(|other| general.contains(other))
        };
        if let Some((_, _, other_at)) = taken.iter().find(same) {
            checks.error_with_hint(
                at.clone(),
                format!("{method} {} is taken by {other_at} already", path.text),
                "write another path or method",
            );
        }
        taken.push((method, general, at));
    }
}

/// A path with all parameters alike; also that with an empty segment at its end, where a parameter
/// takes one.
fn general(path: &HttpPath) -> Vec<String> {
    let segments =
        path.text.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    let general = segments.collect::<Vec<_>>().join("/");
    let empty = general.strip_suffix("{}").map(str::to_owned);
    std::iter::once(general).chain(empty).collect()
}
