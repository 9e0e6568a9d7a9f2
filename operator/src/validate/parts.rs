//! How many pods the parts have, and how large they are.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as KubeQuantity;
use millrace_api::AutoscalingSpec;
use millrace_api::PartResourcesSpec;
use millrace_api::Quantity;
use millrace_api::WorkerAutoscaler;
use millrace_api::WorkerScalingSpec;

use crate::names::Part;
use crate::pipeline::Replicas;
use crate::pipeline::WorkerReplicas;

const MEBIBYTE: i64 = 1 << 20;

/// Percentage of the processor where none is written.
const DEFAULT_CPU: i32 = 70;
/// Records that wait for each worker where none is written.
const DEFAULT_LAG: i32 = 1000;

/// What a part gets where the resource says nothing: processor and memory that it asks for.
const fn defaults(part: Part) -> (&'static str, &'static str) {
    match part {
        Part::Ingest | Part::Query => ("100m", "128Mi"),
        Part::Workers | Part::Postgres => ("100m", "256Mi"),
        Part::Kafka => ("250m", "768Mi"),
        Part::Edge | Part::Provision | Part::Backup => ("50m", "64Mi"),
    }
}

/// Processor and memory of a part's pods. The memory's limit is always set.
pub(crate) fn resources(part: Part, asked: Option<&PartResourcesSpec>) -> ResourceRequirements {
    let asked = asked.cloned().unwrap_or_default();
    let (cpu, memory) = defaults(part);
    let text = |quantity: &Option<Quantity>| quantity.as_ref().map(|q| q.as_str().to_owned());
    let request = text(&asked.requests.memory);
    // A limit without a request asks for as much, as Kubernetes has it.
    let memory =
        request.or_else(|| text(&asked.limits.memory)).unwrap_or_else(|| memory.to_owned());
    let limit = text(&asked.limits.memory).unwrap_or_else(|| twice(&memory));
    let cpu = text(&asked.requests.cpu)
        .or_else(|| text(&asked.limits.cpu))
        .unwrap_or_else(|| cpu.to_owned());
    let mut limits = BTreeMap::from([("memory".to_owned(), KubeQuantity(limit))]);
    if let Some(cpu) = text(&asked.limits.cpu) {
        limits.insert("cpu".to_owned(), KubeQuantity(cpu));
    }
    ResourceRequirements {
        requests: Some(BTreeMap::from([
            ("cpu".to_owned(), KubeQuantity(cpu)),
            ("memory".to_owned(), KubeQuantity(memory)),
        ])),
        limits: Some(limits),
        ..ResourceRequirements::default()
    }
}

/// The memory's limit in MiB.
pub(crate) fn limit_mebibytes(resources: &ResourceRequirements) -> i64 {
    let limit = resources.limits.as_ref().and_then(|limits| limits.get("memory"));
    let bytes = limit.and_then(|limit| Quantity::from(limit.0.as_str()).value());
    bytes.unwrap_or_default() / MEBIBYTE
}

/// Twice an amount of memory, in whole MiB.
fn twice(memory: &str) -> String {
    let bytes = Quantity::from(memory).value().unwrap_or_default();
    format!("{}Mi", (bytes * 2).div_euclid(MEBIBYTE).max(1))
}

/// How many pods a part has.
pub(crate) fn replicas(asked: Option<&AutoscalingSpec>) -> Replicas {
    match asked {
        None => Replicas::Fixed(1),
        Some(spec) => match spec.max {
            Some(max) => Replicas::ByProcessor {
                min: spec.min.unwrap_or(1),
                max,
                cpu: spec.cpu.unwrap_or(DEFAULT_CPU),
            },
            None => Replicas::Fixed(spec.replicas.unwrap_or(1)),
        },
    }
}

/// How many workers there are. `now` is how many the StatefulSet has.
pub(crate) fn workers(
    asked: Option<&WorkerScalingSpec>,
    useful: i32,
    now: Option<i32>,
    keda: bool,
) -> WorkerReplicas {
    let Some(spec) = asked else { return WorkerReplicas::Fixed(1) };
    let Some(max) = spec.max else {
        return WorkerReplicas::Fixed(spec.replicas.unwrap_or(1).min(useful));
    };
    let max = max.min(useful);
    let min = spec.min.unwrap_or(1).min(max);
    let lag = spec.lag.unwrap_or(DEFAULT_LAG);
    if keda && spec.autoscaler == WorkerAutoscaler::Keda {
        return WorkerReplicas::ByKeda { min, max, lag };
    }
    // The first one finds out what there is to do.
    let now = now.unwrap_or(1).clamp(min, max);
    WorkerReplicas::ByLag { min, max, lag, now }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(part: Part, asked: &str) -> (String, String) {
        let asked: PartResourcesSpec = serde_yaml_ng::from_str(asked).unwrap();
        let resources = resources(part, Some(&asked));
        let of = |map: Option<BTreeMap<String, KubeQuantity>>| map.unwrap()["memory"].0.clone();
        (of(resources.requests), of(resources.limits))
    }

    #[test]
    fn the_memory_limit_is_twice_what_is_asked_for() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(memory(Part::Ingest, "{}"), pair("128Mi", "256Mi"));
        assert_eq!(memory(Part::Ingest, "{requests: {memory: 1Gi}}"), pair("1Gi", "2048Mi"));
        assert_eq!(memory(Part::Ingest, "{limits: {memory: 1Gi}}"), pair("1Gi", "1Gi"));
        assert_eq!(limit_mebibytes(&resources(Part::Kafka, None)), 1536);
    }

    #[test]
    fn there_are_never_more_workers_than_partitions() {
        let of =
            |text: &str, now| workers(Some(&serde_yaml_ng::from_str(text).unwrap()), 4, now, false);
        assert_eq!(of("{replicas: 9}", None), WorkerReplicas::Fixed(4));
        assert_eq!(
            of("{min: 0, max: 9, lag: 10}", Some(0)),
            WorkerReplicas::ByLag { min: 0, max: 4, lag: 10, now: 0 }
        );
        assert_eq!(
            of("{min: 2, max: 9}", Some(7)),
            WorkerReplicas::ByLag { min: 2, max: 4, lag: 1000, now: 4 }
        );
    }

    #[test]
    fn without_keda_the_operator_scales_by_itself() {
        let asked = serde_yaml_ng::from_str("{max: 3, autoscaler: keda}").unwrap();
        assert_eq!(
            workers(Some(&asked), 4, None, false),
            WorkerReplicas::ByLag { min: 1, max: 3, lag: 1000, now: 1 }
        );
        assert_eq!(
            workers(Some(&asked), 4, None, true),
            WorkerReplicas::ByKeda { min: 1, max: 3, lag: 1000 }
        );
    }
}
