//! What a pipeline becomes: pure functions from a [`Pipeline`] to objects. No client, no clock.

mod account;
mod config;
mod connections;
mod deployment;
mod disruption;
pub(crate) mod edge;
pub(crate) mod exposure;
mod ingest;
pub(crate) mod kafka;
mod monitoring;
mod network;
pub(crate) mod pod;
pub(crate) mod postgres;
mod process;
mod provision;
mod query;
mod scaling;
pub(crate) mod volume;
mod workers;

use crate::material;
use crate::object::Object;
use crate::pipeline::Pipeline;

/// All objects of a pipeline, what is mounted before who mounts it.
#[must_use]
pub fn build(pipeline: &Pipeline) -> Vec<Object> {
    let mut objects = vec![Object::of(&account::build_account(pipeline))];
    objects.extend(network::build_network_policies(pipeline).iter().map(Object::of));
    objects.extend(material::build_config_maps(pipeline).iter().map(Object::of));
    objects.extend(material::build_secrets(pipeline).iter().map(Object::of));
    objects.push(Object::of(&config::build_document(pipeline)));
    objects.push(Object::of(&config::build_connections(pipeline)));
    objects.extend(kafka::build_kafka(pipeline));
    objects.extend(postgres::build_postgres(pipeline));
    objects.push(Object::of(&provision::build_provision(pipeline)));
    objects.extend(workers::build_workers(pipeline));
    objects.extend(query::build_query(pipeline));
    objects.extend(ingest::build_ingest(pipeline));
    objects.extend(edge::build_edge(pipeline));
    objects.extend(exposure::build_exposure(pipeline));
    objects.extend(disruption::build_disruption_budgets(pipeline).iter().map(Object::of));
    objects.extend(scaling::build_autoscalers(pipeline));
    objects.extend(monitoring::build_service_monitor(pipeline));
    objects
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]
mod tests;
