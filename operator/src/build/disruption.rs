//! How many pods of a part may be taken away at once, as when a node is emptied: one. A managed Kafka
//! says so itself.

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::policy::v1::PodDisruptionBudgetSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::labels;
use crate::names::Part;
use crate::object;
use crate::pipeline::Pipeline;

/// The budgets of all parts that are there.
pub(crate) fn build_disruption_budgets(pipeline: &Pipeline) -> Vec<PodDisruptionBudget> {
    let ingest = pipeline.ingest.is_some().then_some(Part::Ingest);
    let edge = pipeline.edge.is_some().then_some(Part::Edge);
    let parts = [ingest, Some(Part::Workers), Some(Part::Query), edge];
    parts.into_iter().flatten().map(|part| budget(pipeline, part)).collect()
}

fn budget(pipeline: &Pipeline, part: Part) -> PodDisruptionBudget {
    let Pipeline { names, owner, .. } = pipeline;
    PodDisruptionBudget {
        metadata: object::metadata(names, owner, part, names.part(part)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            // What does not work anyway does not keep a node from being emptied.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            selector: Some(LabelSelector {
                match_labels: Some(labels::selector(names, part)),
                ..LabelSelector::default()
            }),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
