//! How nodes are found, and how many of them may be taken away at once.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::core::v1::ServicePort;
use k8s_openapi::api::core::v1::ServiceSpec;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::policy::v1::PodDisruptionBudgetSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::CLIENTS;
use super::CONTROLLERS;
use super::NODES;
use crate::labels;
use crate::names::Part;
use crate::object;
use crate::pipeline::Pipeline;

/// The Service: a name for each node. It has those that are not ready, too: nodes need each other to
/// become it.
pub(super) fn build_service(pipeline: &Pipeline) -> Service {
    let names = &pipeline.names;
    let ports = [("clients", CLIENTS), ("controllers", CONTROLLERS), ("nodes", NODES)];
    let ports = ports.map(|(name, port)| ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(port),
        target_port: Some(IntOrString::Int(i32::from(port))),
        ..ServicePort::default()
    });
    Service {
        metadata: object::metadata(names, &pipeline.owner, Part::Kafka, names.part(Part::Kafka)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(labels::selector(names, Part::Kafka)),
            ports: Some(ports.into()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// At most one node is taken away at once.
pub(super) fn build_disruption_budget(pipeline: &Pipeline) -> PodDisruptionBudget {
    let names = &pipeline.names;
    PodDisruptionBudget {
        metadata: object::metadata(names, &pipeline.owner, Part::Kafka, names.part(Part::Kafka)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(labels::selector(names, Part::Kafka)),
                ..LabelSelector::default()
            }),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
