//! The resource as a whole.

use kube::CustomResource;
use kube::KubeSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::cluster::BrokerSpec;
use crate::cluster::DatabaseSpec;
use crate::cluster::DeletionPolicy;
use crate::cluster::ImagesSpec;
use crate::cluster::PlacementSpec;
use crate::cluster::ResourcesSpec;
use crate::cluster::ScalingSpec;
use crate::exposure::ExposureSpec;
use crate::ingest::IngestSpec;
use crate::processors::ProcessorSpec;
use crate::query::QuerySpec;
use crate::sinks::SinkSpec;
use crate::status::TelemetryPipelineStatus;
use crate::streams::StreamSpec;
use crate::streams::by_name;

/// A telemetry system: what comes in, what is computed, where it goes and what can be asked.
#[derive(Debug, Clone, PartialEq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "millrace.dev",
    version = "v1alpha1",
    kind = "TelemetryPipeline",
    doc = "A telemetry system: what comes in, what is computed, where it goes and what can be asked.",
    derive = "PartialEq",
    namespaced,
    status = "TelemetryPipelineStatus",
    shortname = "tp",
    category = "all",
    validation = Rule::new(
        "self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')"
    )
    .message(
        "metadata.name is not a name; write the pipeline's name: 1 to 63 lower-case letters, digits and `-`, such as `race`"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url"),
    printcolumn(
        name = "Ingest",
        type_ = "integer",
        json_path = r#".status.components[?(@.name=="ingest")].ready"#,
        priority = 1
    ),
    printcolumn(
        name = "Workers",
        type_ = "integer",
        json_path = r#".status.components[?(@.name=="workers")].ready"#,
        priority = 1
    ),
    printcolumn(
        name = "Partitions",
        type_ = "integer",
        json_path = ".status.partitions",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct TelemetryPipelineSpec {
    /// Streams that events are written to, 1 to 64.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = by_name())]
    pub streams: Vec<StreamSpec>,
    /// Where events enter, at most 64. Default: nowhere, the streams are only read.
    #[serde(default)]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = by_name())]
    pub ingest: Vec<IngestSpec>,
    /// What is computed, at most 128. Default: nothing.
    #[serde(default)]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = by_name())]
    pub processors: Vec<ProcessorSpec>,
    /// Where results go, at most 128. Default: nowhere, they are only in the log.
    #[serde(default)]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = by_name())]
    pub sinks: Vec<SinkSpec>,
    /// What can be asked beside what every pipeline answers. Default: nothing.
    #[serde(default)]
    pub query: QuerySpec,
    /// How the pipeline is reached, and by whom. Default: plain HTTP, open to all who reach it.
    #[serde(default)]
    pub exposure: ExposureSpec,
    /// The Kafka that is the log on a cluster. Default: one node that the operator runs.
    #[serde(default)]
    pub broker: BrokerSpec,
    /// The Postgres that holds tables on a cluster. Default: one that the operator runs.
    #[serde(default)]
    pub database: DatabaseSpec,
    /// Processor and memory of each part on a cluster.
    #[serde(default)]
    pub resources: ResourcesSpec,
    /// How many pods each part has on a cluster. Default: one each.
    #[serde(default)]
    pub scaling: ScalingSpec,
    /// Where pods run on a cluster, and what is written on them.
    #[serde(default)]
    pub placement: PlacementSpec,
    /// Images that are not those of the operator's installation.
    #[serde(default)]
    pub images: ImagesSpec,
    /// Whether the operator leaves everything as it is, changes of this resource included. What
    /// runs goes on running. Default: false.
    #[serde(default)]
    pub paused: bool,
    /// What becomes of the volumes of a managed Kafka and Postgres when this resource is deleted:
    /// `delete` (default) or `keep`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}
