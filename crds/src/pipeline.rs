//! The resource as a whole.

use kube::CustomResource;
use kube::KubeSchema;
use serde::Deserialize;
use serde::Serialize;

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
}
