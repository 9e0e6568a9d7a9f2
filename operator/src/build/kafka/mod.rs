//! A managed Kafka: nodes that are broker and controller in one (KRaft), one or three of them. Who
//! connects comes over TLS: clients with a password, nodes and the admin with a certificate.

mod configuration;
mod network;
mod stateful_set;
#[cfg(test)]
mod tests;
mod users;

use crate::object::Object;
use crate::pipeline::Log;
use crate::pipeline::Pipeline;

pub(crate) use users::users_step;

/// Port of clients: SASL over TLS.
pub(crate) const CLIENTS: u16 = 9092;
/// Port of controllers among each other: mutual TLS.
pub(crate) const CONTROLLERS: u16 = 9093;
/// Port of brokers among each other, and of the admin: mutual TLS.
pub(crate) const NODES: u16 = 9094;

/// User and group in Apache's image.
const USER: i64 = 1000;

/// Where scripts and configuration are mounted.
const CONFIGURATION: &str = "/etc/millrace/kafka";
/// Where the ids are mounted.
const IDENTITY: &str = "/etc/millrace/identity";
/// Where the own keystore and the truststore are mounted: the nodes', or the admin's.
const CERTIFICATE: &str = "/etc/millrace/certificate";

/// All objects of a managed Kafka; none where it is another's.
pub(crate) fn build_kafka(pipeline: &Pipeline) -> Vec<Object> {
    let Log::Managed(kafka) = &pipeline.log else { return Vec::new() };
    let configuration = configuration::build_config_map(pipeline, kafka);
    vec![
        Object::of(&configuration),
        Object::of(&network::build_service(pipeline)),
        Object::of(&network::build_disruption_budget(pipeline)),
        Object::of(&stateful_set::build_stateful_set(pipeline, kafka, &configuration)),
    ]
}
