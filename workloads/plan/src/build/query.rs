//! Views of the dashboard.

use millrace_api as api;
use millrace_api::TelemetryPipelineSpec;

use super::checks::Checks;
use super::checks::stream_name;
use crate::model::BoardColumn;
use crate::model::BoardView;
use crate::model::DashboardPlan;
use crate::model::FeedView;
use crate::model::MapView;
use crate::model::QueryPlan;

/// What can be asked.
pub(super) fn query(spec: &TelemetryPipelineSpec, checks: &mut Checks) -> QueryPlan {
    let Some(dashboard) = &spec.query.dashboard else { return QueryPlan::default() };
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
    QueryPlan { dashboard: DashboardPlan { map, board, feed } }
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
