//! `resources` and `scaling`: how large and how many the parts of a pipeline are.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::quantity::Quantity;

/// Processor and memory of each part's pods. Default: what fits a small pipeline, shown by
/// `millrace plan`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourcesSpec {
    /// Of each ingest pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest: Option<PartResourcesSpec>,
    /// Of each worker pod: memory for the state of its partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<PartResourcesSpec>,
    /// Of each query pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<PartResourcesSpec>,
    /// Of each edge pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<PartResourcesSpec>,
    /// Of each node of a managed Kafka. Its heap is half of the memory's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<PartResourcesSpec>,
    /// Of a managed Postgres. A quarter of the memory's limit is its own cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<PartResourcesSpec>,
}

/// What a pod asks for, and what it gets at most.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartResourcesSpec {
    /// What is kept free for it.
    #[serde(default)]
    pub requests: QuantitiesSpec,
    /// What it gets at most. Default of memory: twice what it asks for; of the processor: none.
    #[serde(default)]
    pub limits: QuantitiesSpec,
}

/// Processor and memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuantitiesSpec {
    /// Processors, such as `500m` or `2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Memory, such as `256Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
}

/// How many pods each part has: a fixed number, or bounds within which it is scaled.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.query) || !has(self.query.replicas) || self.query.replicas > 0 || !has(self.workers) || !has(self.workers.max) || self.workers.autoscaler != 'builtIn'",
    "without query pods nobody measures the lag that workers follow; write query: {replicas: 1}, or workers: {replicas: …}"
))]
pub struct ScalingSpec {
    /// Ingest pods. Default: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest: Option<AutoscalingSpec>,
    /// Worker pods. Default: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<WorkerScalingSpec>,
    /// Query pods. Default: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<AutoscalingSpec>,
    /// Edge pods. Default: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<AutoscalingSpec>,
}

/// Either `replicas`, or `max` with `min` and `cpu`: then a HorizontalPodAutoscaler decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.replicas) != has(self.max)",
    "write either replicas (a fixed number) or max, with min and cpu (a number that follows the load)"
))]
#[x_kube(validation = (
    "has(self.max) || (!has(self.min) && !has(self.cpu))",
    "min and cpu are used with max alone; write max, or replicas without them"
))]
#[x_kube(validation = (
    "!has(self.max) || !has(self.min) || self.min <= self.max",
    "min is above max; write a min of at most max"
))]
pub struct AutoscalingSpec {
    /// A fixed number of pods, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub replicas: Option<i32>,
    /// Pods at least, 1 to 100. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub min: Option<i32>,
    /// Pods at most, 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max: Option<i32>,
    /// Percentage of the requested processor time that pods are to use on average, 1 to 100.
    /// Default 70.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub cpu: Option<i32>,
}

/// Either `replicas`, or `max` with `min` and `lag`: then their number follows the consumer lag,
/// never above the number of partitions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.replicas) != has(self.max)",
    "write either replicas (a fixed number) or max, with min and lag (a number that follows the load)"
))]
#[x_kube(validation = (
    "has(self.max) || (!has(self.min) && !has(self.lag))",
    "min and lag are used with max alone; write max, or replicas without them"
))]
#[x_kube(validation = (
    "has(self.max) || self.autoscaler == 'builtIn'",
    "autoscaler is used with max alone; write max, or replicas without it"
))]
#[x_kube(validation = (
    "!has(self.max) || !has(self.min) || self.min <= self.max",
    "min is above max; write a min of at most max"
))]
pub struct WorkerScalingSpec {
    /// A fixed number of pods, 0 to 100. With 0 events are accepted and nothing is computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub replicas: Option<i32>,
    /// Pods at least, 0 to 100. Default 1. With 0 there is none once nothing is left to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub min: Option<i32>,
    /// Pods at most, 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max: Option<i32>,
    /// Records that wait for each pod, 1 to 100000000. Default 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub lag: Option<i32>,
    /// Who decides: `builtIn` (default; the operator) or `keda` (a ScaledObject).
    #[serde(default)]
    pub autoscaler: WorkerAutoscaler,
}

/// Who decides how many workers there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum WorkerAutoscaler {
    /// The operator, by the lag that query pods measure.
    #[default]
    BuiltIn,
    /// KEDA, by a ScaledObject; its CRD has to be installed.
    Keda,
}
