//! What can be asked: routes, and views of the dashboard.

use millrace_api as api;
use millrace_api::TelemetryPipelineSpec;

use super::checks::Checks;
use super::checks::stream_name;
use super::routes;
use crate::model::BoardColumn;
use crate::model::BoardView;
use crate::model::ChartView;
use crate::model::DashboardPlan;
use crate::model::FeedView;
use crate::model::MapView;
use crate::model::QueryPlan;
use crate::model::SinkPlan;

/// What can be asked.
pub(super) fn query(
    spec: &TelemetryPipelineSpec,
    sinks: &[SinkPlan],
    checks: &mut Checks,
) -> QueryPlan {
    let routes = routes::routes(&spec.query.routes, sinks, checks);
    let Some(dashboard) = &spec.query.dashboard else {
        return QueryPlan { routes, ..QueryPlan::default() };
    };
    let at = "spec.query.dashboard";
    let map = dashboard.map.as_ref().map(|map| MapView {
        from: stream_name(&map.from),
        entity: checks.path(&format!("{at}.map.entity"), &map.entity),
        latitude: checks.path(&format!("{at}.map.latitude"), &map.latitude),
        longitude: checks.path(&format!("{at}.map.longitude"), &map.longitude),
        group: checks.optional_path(&format!("{at}.map.group"), map.group.as_ref()),
    });
    let board = dashboard.board.as_ref().map(|board| BoardView {
        columns: columns(&format!("{at}.board.columns"), &board.columns, checks),
        group: checks.optional_path(&format!("{at}.board.group"), board.group.as_ref()),
    });
    let feed = dashboard.feed.as_ref().map(|feed| FeedView {
        from: stream_name(&feed.from),
        text: checks.path(&format!("{at}.feed.text"), &feed.text),
    });
    let charts = dashboard.charts.iter().enumerate();
    let charts = charts.map(|(index, spec)| chart(&format!("{at}.charts[{index}]"), spec, checks));
    let charts = charts.collect();
    QueryPlan { routes, dashboard: DashboardPlan { map, board, feed, charts } }
}

fn chart(at: &str, spec: &api::ChartSpec, checks: &mut Checks) -> ChartView {
    ChartView {
        title: spec.title.to_string(),
        from: stream_name(&spec.from),
        each: checks.optional_path(&format!("{at}.each"), spec.each.as_ref()),
        series: checks.optional_path(&format!("{at}.series"), spec.series.as_ref()),
        value: checks.path(&format!("{at}.value"), &spec.value),
        unit: spec.unit.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn columns(at: &str, columns: &[api::BoardColumnSpec], checks: &mut Checks) -> Vec<BoardColumn> {
    columns
        .iter()
        .enumerate()
        .map(|(index, column)| BoardColumn {
            title: column.title.to_string(),
            from: stream_name(&column.from),
            entity: checks.path(&format!("{at}[{index}].entity"), &column.entity),
            value: checks.path(&format!("{at}[{index}].value"), &column.value),
            unit: column.unit.as_ref().map(ToString::to_string).unwrap_or_default(),
            digits: u8::try_from(column.digits.clamp(0, 9)).unwrap_or_default(),
        })
        .collect()
}
