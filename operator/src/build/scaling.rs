//! Who decides how many pods there are, where that follows the load: a HorizontalPodAutoscaler by
//! processor time, and for workers a ScaledObject of KEDA by how far they are behind. The operator
//! itself scales workers elsewhere.

use k8s_openapi::api::autoscaling::v2::CrossVersionObjectReference;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerSpec;
use k8s_openapi::api::autoscaling::v2::MetricSpec;
use k8s_openapi::api::autoscaling::v2::MetricTarget;
use k8s_openapi::api::autoscaling::v2::ResourceMetricSource;
use kube::core::GroupVersionKind;
use serde_json::json;

use crate::build::process;
use crate::names::Part;
use crate::object;
use crate::object::Object;
use crate::pipeline::Pipeline;
use crate::pipeline::Replicas;
use crate::pipeline::WorkerReplicas;

/// The metric of query pods that says how far the group is behind that is furthest behind.
const LAG: &str = "millrace_workers_lag_records";

/// Failures in a row until KEDA takes the number that is meant for that.
const FAILURES: i32 = 3;

/// All autoscalers.
pub(crate) fn build_autoscalers(pipeline: &Pipeline) -> Vec<Object> {
    let parts = [
        (Part::Ingest, pipeline.ingest.as_ref()),
        (Part::Query, Some(&pipeline.query)),
        (Part::Edge, pipeline.edge.as_ref()),
    ];
    let by_processor = parts.into_iter().filter_map(|(part, scaled)| match scaled?.replicas {
        Replicas::ByProcessor { min, max, cpu } => {
            Some(Object::of(&by_processor(pipeline, part, min, max, cpu)))
        }
        Replicas::Fixed(_) => None,
    });
    by_processor.chain(by_keda(pipeline)).collect()
}

fn by_processor(
    pipeline: &Pipeline,
    part: Part,
    min: i32,
    max: i32,
    cpu: i32,
) -> HorizontalPodAutoscaler {
    let Pipeline { names, owner, .. } = pipeline;
    HorizontalPodAutoscaler {
        metadata: object::metadata(names, owner, part, names.part(part)),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: names.part(part),
            },
            min_replicas: Some(min),
            max_replicas: max,
            metrics: Some(vec![MetricSpec {
                type_: "Resource".to_owned(),
                resource: Some(ResourceMetricSource {
                    name: "cpu".to_owned(),
                    target: MetricTarget {
                        type_: "Utilization".to_owned(),
                        average_utilization: Some(cpu),
                        ..MetricTarget::default()
                    },
                }),
                ..MetricSpec::default()
            }]),
            ..HorizontalPodAutoscalerSpec::default()
        }),
        ..HorizontalPodAutoscaler::default()
    }
}

/// KEDA asks query pods, as the operator does, rather than Kafka: tables have their positions in
/// Postgres, and a rebuild has groups of its own.
fn by_keda(pipeline: &Pipeline) -> Option<Object> {
    let Pipeline { names, owner, kinds, workers, .. } = pipeline;
    let WorkerReplicas::ByKeda { min, max, lag } = workers.replicas else { return None };
    let kind = GroupVersionKind::gvk("keda.sh", kinds.scaled_object.as_ref()?, "ScaledObject");
    let name = names.part(Part::Workers);
    let max = max.min(workers.useful).max(1);
    let min = min.min(max);
    let metrics = format!("http://{}:{}/metrics", names.host(Part::Query), process::HTTP);
    let spec = json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": name },
        "minReplicaCount": min,
        "maxReplicaCount": max,
        "pollingInterval": 10,
        "cooldownPeriod": 300,
        // Whoever does not know how much waits had better not stop what works on it.
        "fallback": { "failureThreshold": FAILURES, "replicas": min.max(1) },
        "triggers": [{
            "type": "metrics-api",
            "metadata": {
                "url": metrics,
                "format": "prometheus",
                "valueLocation": LAG,
                "targetValue": lag.to_string(),
                "activationTargetValue": "0",
            },
        }],
    });
    let metadata = object::metadata(names, owner, Part::Workers, name);
    Some(Object::custom(&kind, metadata, spec))
}
