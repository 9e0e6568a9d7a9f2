//! The pipeline as it was planned, for the dashboard and the command line.

use axum::Json;
use axum::extract::State;
use millrace_plan::model::BoardView;
use millrace_plan::model::ChartView;
use millrace_plan::model::ColumnType;
use millrace_plan::model::DashboardPlan;
use millrace_plan::model::FeedView;
use millrace_plan::model::IngestSource;
use millrace_plan::model::MapView;
use millrace_plan::model::OperatorInput;
use millrace_plan::model::SinkPlan;
use millrace_plan::model::SinkTarget;
use millrace_plan::model::StagePlan;
use millrace_plan::model::StreamOrigin;
use millrace_plan::model::StreamPlan;
use millrace_plan::model::TablePlan;
use serde_json::Value;
use serde_json::json;

use crate::state::SharedState;

/// `GET /api/v1/pipeline`
pub(crate) async fn pipeline(State(state): State<SharedState>) -> Json<Value> {
    let plan = &state.plan;
    Json(json!({
        "name": plan.pipeline,
        "version": env!("CARGO_PKG_VERSION"),
        "mqtt": state.mqtt_address.as_ref().map(|address| json!({"address": address})),
        "streams": plan.streams.iter().map(stream).collect::<Vec<_>>(),
        "ingest": plan.ingest.iter().map(|ingest| {
            let (protocol, addresses) = match &ingest.source {
                IngestSource::Http(http) => ("http", vec![http.path.text.clone()]),
                IngestSource::WebSocket(websocket) => {
                    ("websocket", vec![websocket.path.text.clone()])
                }
                IngestSource::MqttListen(listen) => ("mqtt", listen.topics.clone()),
                IngestSource::MqttConnect(connect) => ("mqtt", connect.topics.clone()),
                IngestSource::Kafka(kafka) => ("kafka", vec![kafka.topic.clone()]),
            };
            json!({"name": ingest.name, "to": ingest.to, "protocol": protocol, "topics": addresses})
        }).collect::<Vec<_>>(),
        "processors": plan.stages.iter().flat_map(processors).collect::<Vec<_>>(),
        "sinks": plan.sinks.iter().map(sink).collect::<Vec<_>>(),
        "tables": plan.sinks.iter().filter_map(table_of).map(table).collect::<Vec<_>>(),
        "dashboard": dashboard(&plan.query.dashboard),
    }))
}

/// The table of a sink that fills one.
pub(crate) fn table_of(sink: &SinkPlan) -> Option<&TablePlan> {
    match &sink.target {
        SinkTarget::Table(table) => Some(table),
        SinkTarget::Mqtt(_) | SinkTarget::Webhook(_) | SinkTarget::Archive(_) => None,
    }
}

/// A table's columns and key.
pub(crate) fn table(table: &TablePlan) -> Value {
    let columns: Vec<Value> = table
        .columns
        .iter()
        .map(|column| json!({"name": column.name, "type": type_name(column.kind)}))
        .collect();
    json!({"name": table.name, "columns": columns, "primaryKey": table.primary_key})
}

fn type_name(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text => "text",
        ColumnType::Integer => "integer",
        ColumnType::Double => "double",
        ColumnType::Boolean => "boolean",
        ColumnType::Timestamp => "timestamp",
        ColumnType::Uuid => "uuid",
        ColumnType::Json => "json",
    }
}

fn stream(stream: &StreamPlan) -> Value {
    let kind = match stream.origin {
        StreamOrigin::Ingested(_) => "ingested",
        StreamOrigin::Derived { .. } => "derived",
        StreamOrigin::DeadLetters => "deadLetters",
    };
    json!({"name": stream.name, "kind": kind, "partitions": stream.partitions})
}

fn processors(stage: &StagePlan) -> Vec<Value> {
    let source = |input: &OperatorInput| match input {
        OperatorInput::Stream(stream) => Some(stream.as_str().to_owned()),
        OperatorInput::Operator(index) => stage.operators.get(*index).map(|o| o.name.clone()),
    };
    stage
        .operators
        .iter()
        .map(|operator| {
            json!({
                "name": operator.name,
                "kind": operator.operation.kind(),
                "from": operator.inputs.iter().filter_map(source).collect::<Vec<_>>(),
                "output": operator.output,
                "stage": stage.name,
            })
        })
        .collect()
}

fn sink(sink: &SinkPlan) -> Value {
    let kind = match &sink.target {
        SinkTarget::Table(table) => {
            return json!({"name": sink.name, "kind": "table", "from": sink.from, "table": table.name});
        }
        SinkTarget::Mqtt(_) => "mqtt",
        SinkTarget::Webhook(_) => "webhook",
        SinkTarget::Archive(_) => "archive",
    };
    json!({"name": sink.name, "kind": kind, "from": sink.from})
}

fn dashboard(plan: &DashboardPlan) -> Value {
    json!({
        "map": plan.map.as_ref().map(map_view),
        "board": plan.board.as_ref().map(board_view),
        "feed": plan.feed.as_ref().map(feed_view),
        "charts": plan.charts.iter().map(chart_view).collect::<Vec<_>>(),
    })
}

fn map_view(view: &MapView) -> Value {
    json!({
        "from": view.from,
        "entity": view.entity.as_str(),
        "latitude": view.latitude.as_str(),
        "longitude": view.longitude.as_str(),
        "group": view.group.as_ref().map(millrace_core::FieldPath::as_str),
    })
}

fn board_view(view: &BoardView) -> Value {
    let columns: Vec<Value> = view
        .columns
        .iter()
        .map(|column| {
            json!({
                "title": column.title,
                "from": column.from,
                "entity": column.entity.as_str(),
                "value": column.value.as_str(),
                "unit": column.unit,
                "digits": column.digits,
            })
        })
        .collect();
    json!({
        "columns": columns,
        "group": view.group.as_ref().map(millrace_core::FieldPath::as_str),
    })
}

fn feed_view(view: &FeedView) -> Value {
    json!({"from": view.from, "text": view.text.as_str()})
}

fn chart_view(view: &ChartView) -> Value {
    json!({
        "title": view.title,
        "from": view.from,
        "each": view.each.as_ref().map(millrace_core::FieldPath::as_str),
        "series": view.series.as_ref().map(millrace_core::FieldPath::as_str),
        "value": view.value.as_str(),
        "unit": view.unit,
    })
}
