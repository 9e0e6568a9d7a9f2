//! What the running pipeline is doing: parts, streams and the log.

use axum::Extension;
use axum::Json;
use axum::extract::State;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_observe::Component;
use millrace_observe::ComponentId;
use serde::Serialize;

use crate::audience::Outsiders;
use crate::audience::without_reason;
use crate::audience::without_reasons;
use crate::health::pipeline_reasons;
use crate::state::Shared;
use crate::state::SharedState;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    ready: bool,
    reasons: Vec<String>,
    uptime_seconds: u64,
    components: Vec<ComponentStatus>,
    streams: Vec<StreamStatus>,
    log: LogStatus,
}

#[derive(Serialize)]
struct ComponentStatus {
    #[serde(flatten)]
    id: ComponentId,
    #[serde(flatten)]
    state: millrace_observe::State,
    lag: i64,
    watermark: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StreamStatus {
    name: StreamName,
    records: Offset,
    records_per_second: f64,
    partitions: Vec<PartitionStatus>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PartitionStatus {
    partition: Partition,
    start: Offset,
    end: Offset,
    highest_event_time: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogStatus {
    disk_bytes: u64,
    records: u64,
    syncs: u64,
    sync_seconds: f64,
}

/// `GET /api/v1/status`
pub(crate) async fn status(
    State(state): State<SharedState>,
    outsiders: Option<Extension<Outsiders>>,
) -> Json<Status> {
    let mut reasons = pipeline_reasons(&state).await;
    let mut components: Vec<_> =
        state.observer.components().iter().map(|part| component(part)).collect();
    if outsiders.is_some() {
        reasons = without_reasons(&reasons);
        for component in &mut components {
            component.state = without_reason(component.state.clone());
        }
    }
    let log = state.log.statistics();
    Json(Status {
        ready: reasons.is_empty(),
        reasons,
        uptime_seconds: state.started.elapsed().as_secs(),
        components,
        streams: streams(&state),
        log: LogStatus {
            disk_bytes: log.disk_bytes,
            records: log.records,
            syncs: log.syncs,
            sync_seconds: log.sync_seconds,
        },
    })
}

fn component(component: &Component) -> ComponentStatus {
    ComponentStatus {
        id: component.id.clone(),
        state: component.state(),
        lag: component.lag(),
        watermark: component.watermark(),
    }
}

fn streams(state: &Shared) -> Vec<StreamStatus> {
    state
        .plan
        .streams
        .iter()
        .map(|stream| {
            let partitions: Vec<PartitionStatus> = (0..stream.partitions)
                .filter_map(|partition| {
                    let info = state.log.partition_info(&stream.name, partition).ok()?;
                    Some(PartitionStatus {
                        partition,
                        start: info.start,
                        end: info.end,
                        highest_event_time: info.highest_event_time,
                    })
                })
                .collect();
            StreamStatus {
                name: stream.name.clone(),
                records: partitions.iter().map(|p| p.end - p.start).sum(),
                records_per_second: state.rates.per_second(&stream.name),
                partitions,
            }
        })
        .collect()
}
