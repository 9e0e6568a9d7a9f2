//! `status`: what is true of a pipeline, as the operator writes it. Nothing in it changes by
//! itself, so that a steady pipeline is never written.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::streams::by_name;

/// What is true of a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TelemetryPipelineStatus {
    /// Generation of the resource that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Valid`, `Ready`, `Progressing` and `Degraded`, each with a reason and what to do next; and
    /// `Lagging` where the operator scales workers by their lag.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
    /// Parts of the pipeline that run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = by_name())]
    pub components: Vec<ComponentStatus>,
    /// Partitions of all streams together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
    /// Address of the dashboard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub url: Option<String>,
    /// Where the pipeline can be reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = by_name())]
    pub endpoints: Vec<Endpoint>,
    /// Secrets that the operator made and that people or programs beside the pipeline use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = by_name())]
    pub secrets: Vec<GeneratedSecret>,
    /// Name of the ConfigMap whose `ca.crt` says whom to trust where a certificate is of the
    /// operator's own authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub trust: Option<String>,
    /// When the certificate that is served expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_expiry: Option<Time>,
}

/// A part of the pipeline that runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// Name of the part: `ingest`, `workers`, `query`.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Replicas wanted.
    pub replicas: i32,
    /// Replicas that are ready.
    pub ready: i32,
}

/// A Secret that the operator made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GeneratedSecret {
    /// What it opens: `kafka`, `postgres-analyst`.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Name of the Secret, with `username` and `password`.
    #[schemars(length(max = 253))]
    pub secret: String,
}

/// Where the pipeline can be reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// What is served there: `http`, `mqtt`.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Its address.
    #[schemars(length(max = 512))]
    pub url: String,
}
