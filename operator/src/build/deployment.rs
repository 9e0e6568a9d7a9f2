//! Deployments and StatefulSets of our own processes.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::apps::v1::DeploymentSpec;
use k8s_openapi::api::apps::v1::DeploymentStrategy;
use k8s_openapi::api::apps::v1::RollingUpdateDeployment;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::apps::v1::StatefulSetSpec;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::labels;
use crate::names::Part;
use crate::object;
use crate::pipeline::Pipeline;
use crate::pipeline::Replicas;

/// Revisions that can be gone back to.
const REVISIONS: i32 = 3;

/// The number of pods, unless somebody else decides it.
pub(crate) const fn fixed(replicas: Replicas) -> Option<i32> {
    match replicas {
        Replicas::Fixed(replicas) => Some(replicas),
        Replicas::ByProcessor { .. } => None,
    }
}

/// Pods that are alike. A new one is there before an old one goes.
pub(crate) fn build_deployment(
    pipeline: &Pipeline,
    part: Part,
    replicas: Option<i32>,
    template: PodTemplateSpec,
) -> Deployment {
    let Pipeline { names, owner, .. } = pipeline;
    Deployment {
        metadata: object::metadata(names, owner, part, names.part(part)),
        spec: Some(DeploymentSpec {
            replicas,
            selector: selector(pipeline, part),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            revision_history_limit: Some(REVISIONS),
            template,
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

/// Pods that keep their names. They need not wait for one another.
pub(crate) fn build_stateful_set(
    pipeline: &Pipeline,
    part: Part,
    replicas: Option<i32>,
    template: PodTemplateSpec,
) -> StatefulSet {
    let Pipeline { names, owner, .. } = pipeline;
    StatefulSet {
        metadata: object::metadata(names, owner, part, names.part(part)),
        spec: Some(StatefulSetSpec {
            replicas,
            selector: selector(pipeline, part),
            service_name: Some(names.part(part)),
            pod_management_policy: Some("Parallel".to_owned()),
            revision_history_limit: Some(REVISIONS),
            template,
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

fn selector(pipeline: &Pipeline, part: Part) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels::selector(&pipeline.names, part)),
        ..LabelSelector::default()
    }
}
