//! A ServiceMonitor, where Prometheus' operator is there: metrics of ingest, workers and query.

use kube::core::GroupVersionKind;
use serde_json::json;

use crate::build::config::shared_metadata;
use crate::labels;
use crate::names::Part;
use crate::object::Object;
use crate::pipeline::Pipeline;

/// Parts that have metrics.
const PARTS: [Part; 3] = [Part::Ingest, Part::Workers, Part::Query];

/// The ServiceMonitor; none where the cluster has no such kind.
pub(crate) fn build_service_monitor(pipeline: &Pipeline) -> Option<Object> {
    let Pipeline { names, kinds, .. } = pipeline;
    let version = kinds.service_monitor.as_ref()?;
    let kind = GroupVersionKind::gvk("monitoring.coreos.com", version, "ServiceMonitor");
    let spec = json!({
        "selector": {
            "matchLabels": { labels::PIPELINE: names.pipeline() },
            "matchExpressions": [{
                "key": labels::COMPONENT,
                "operator": "In",
                "values": PARTS.map(Part::name),
            }],
        },
        "targetLabels": [labels::PIPELINE, labels::COMPONENT],
        "endpoints": [{ "port": "http", "path": "/metrics" }],
    });
    let metadata = shared_metadata(pipeline, names.of("metrics"));
    Some(Object::custom(&kind, metadata, spec))
}
