//! `placement` and `images`: where pods run, and what runs in them.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::text::AnnotationValue;
use crate::text::ImageName;
use crate::text::LabelValue;
use crate::text::QualifiedName;
use crate::text::ResourceName;

/// Where the pipeline's pods run, and what is written on them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlacementSpec {
    /// Labels that a node must have, at most 16.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub node_selector: BTreeMap<String, LabelValue>,
    /// Taints of nodes that do not keep pods away, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<TolerationSpec>,
    /// Label of nodes over whose values the pods of a part are spread evenly where possible, such as
    /// `topology.kubernetes.io/zone`. Default `kubernetes.io/hostname`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<QualifiedName>,
    /// Priority class of all pods. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<ResourceName>,
    /// Labels for all pods, at most 16. Ours win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub labels: BTreeMap<String, LabelValue>,
    /// Annotations for all pods, at most 16.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub annotations: BTreeMap<String, AnnotationValue>,
    /// Annotations of the pods' service account, at most 16: Workload Identity on GKE is one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub service_account_annotations: BTreeMap<String, AnnotationValue>,
}

/// A taint of nodes that does not keep the pipeline's pods away.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.operator == 'Equal' || !has(self.value)",
    "value is compared by operator: Equal alone; write operator: Equal, or leave value out"
))]
#[x_kube(validation = (
    "self.operator == 'Exists' || has(self.key)",
    "operator: Equal needs the key of a taint; write key, or operator: Exists for all taints"
))]
#[x_kube(validation = (
    "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
    "tolerationSeconds is used with effect: NoExecute alone; write that, or leave tolerationSeconds out"
))]
pub struct TolerationSpec {
    /// Key of the taint. Default: all taints, with `operator: Exists`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<QualifiedName>,
    /// How the taint's value is compared: `Equal` (default) or `Exists`, which takes any.
    #[serde(default)]
    pub operator: TolerationOperator,
    /// Value of the taint, with `operator: Equal`. Default: the empty one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<LabelValue>,
    /// Effect of the taint: `NoSchedule`, `PreferNoSchedule` or `NoExecute`. Default: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// Seconds that a pod stays on a node that gets a taint of the effect `NoExecute`, 0 to
    /// 31536000. Default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub toleration_seconds: Option<i64>,
}

/// How a taint's value is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// It is this one.
    #[default]
    Equal,
    /// There is any.
    Exists,
}

/// What a taint does to pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// None begins there.
    NoSchedule,
    /// None begins there if there is another node.
    PreferNoSchedule,
    /// None begins or stays there.
    NoExecute,
}

/// Images that are not those of the operator's installation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImagesSpec {
    /// Of ingest, workers, query and provision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub millrace: Option<ImageName>,
    /// Of the edge: nginx without root, 1.27.4 or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nginx: Option<ImageName>,
    /// Of a managed Kafka: Apache's own layout, 4.0 or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<ImageName>,
    /// Of a managed Postgres: the official image's layout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<ImageName>,
    /// Secrets for pulling them, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub pull_secrets: Vec<ResourceName>,
}
