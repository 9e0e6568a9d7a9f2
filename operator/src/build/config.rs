//! What pods of our own read: the pipeline's document and the connection files in ConfigMaps, and of
//! the Secrets and ConfigMaps that the resource names those that this process reads, each as a folder
//! of its name.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Volume;
use k8s_openapi::api::core::v1::VolumeMount;
use kube::api::ObjectMeta;

use crate::build::connections;
use crate::build::connections::Role;
use crate::build::pod;
use crate::build::pod::Reads;
use crate::labels;
use crate::pipeline::Pipeline;

/// Folder of the pipeline's document.
const PIPELINE: &str = "/etc/millrace/pipeline";

/// The file of the pipeline's document.
const DOCUMENT: &str = "pipeline.yaml";

/// Folder that has a folder for each Secret.
pub(crate) const SECRETS: &str = "/etc/millrace/secrets";

/// Folder that has a folder for each ConfigMap.
pub(crate) const CONFIG_MAPS: &str = "/etc/millrace/config-maps";

/// Folder of the connection files.
const CONNECTIONS: &str = "/etc/millrace/connections";

/// What a pod of ours reads.
pub(crate) struct Configuration {
    /// Volumes of the pod.
    pub(crate) volumes: Vec<Volume>,
    /// Where they are in its container.
    pub(crate) mounts: Vec<VolumeMount>,
    /// What it reads once, at its start.
    pub(crate) reads: Reads,
    /// What the command begins with: the subcommand is followed by these.
    pub(crate) arguments: Vec<String>,
}

/// The ConfigMap of the pipeline's document.
pub(crate) fn build_document(pipeline: &Pipeline) -> ConfigMap {
    let data = [(DOCUMENT.to_owned(), pipeline.document.clone())];
    config_map(pipeline, "pipeline", data.into())
}

/// The ConfigMap of the connection files of all roles.
pub(crate) fn build_connections(pipeline: &Pipeline) -> ConfigMap {
    config_map(pipeline, "connections", connections::files(pipeline))
}

/// What a pod of this role reads.
pub(crate) fn of(pipeline: &Pipeline, role: Role) -> Configuration {
    let Pipeline { names, .. } = pipeline;
    let files = connections::files(pipeline);
    let chosen = role.files(pipeline);
    let mut reads = Reads::default().and(DOCUMENT, &pipeline.document);
    for (key, _) in &chosen {
        reads = reads.and(key, files.get(*key).map_or("", String::as_str));
    }
    let mut mounted = vec![
        (pod::config_map_volume("pipeline", &names.of("pipeline"), &[]), PIPELINE.to_owned()),
        (
            pod::config_map_volume("connections", &names.of("connections"), &chosen),
            CONNECTIONS.to_owned(),
        ),
    ];
    for name in connections::secrets_of(pipeline, role) {
        let volume = pod::secret_volume(&volume_name("secret", &name), &name, &[]);
        mounted.push((volume, format!("{SECRETS}/{name}")));
    }
    for name in connections::config_maps_of(pipeline, role) {
        // Schemas are read at the start.
        if let Some(hash) = pipeline.config_maps.get(&name) {
            reads = reads.and(&name, &hash.0);
        }
        let volume = pod::config_map_volume(&volume_name("config-map", &name), &name, &[]);
        mounted.push((volume, format!("{CONFIG_MAPS}/{name}")));
    }
    // A client of Kafka reads them at its start alone.
    for name in connections::kafka_secrets(pipeline) {
        if let Some(secret) = pipeline.secrets.get(&name) {
            reads = reads.and(&name, &secret.hash.0);
        }
    }
    // What a process knows of a log is nothing to the one that takes its place.
    if let Some(broker) = &pipeline.material.broker {
        reads = reads.and("kafka-cluster", &broker.cluster_id);
    }
    let mounts = mounted.iter().map(|(volume, path)| pod::read_mount(&volume.name, path)).collect();
    let mut arguments =
        vec![format!("{PIPELINE}/{DOCUMENT}"), "--connections".to_owned(), CONNECTIONS.to_owned()];
    if role != Role::Provision {
        arguments.extend(["--secrets".to_owned(), SECRETS.to_owned()]);
    }
    if !pipeline.config_maps.is_empty() {
        arguments.extend(["--config-maps".to_owned(), CONFIG_MAPS.to_owned()]);
    }
    let volumes = mounted.into_iter().map(|(volume, _)| volume).collect();
    Configuration { volumes, mounts, reads, arguments }
}

fn config_map(pipeline: &Pipeline, what: &str, data: BTreeMap<String, String>) -> ConfigMap {
    ConfigMap {
        metadata: shared_metadata(pipeline, pipeline.names.of(what)),
        data: Some(data),
        ..ConfigMap::default()
    }
}

/// Metadata of an object that is of no part alone.
pub(crate) fn shared_metadata(pipeline: &Pipeline, name: String) -> ObjectMeta {
    let Pipeline { names, owner, .. } = pipeline;
    ObjectMeta {
        name: Some(name),
        namespace: Some(names.namespace().to_owned()),
        labels: Some(labels::common(names)),
        owner_references: Some(vec![owner.clone()]),
        ..ObjectMeta::default()
    }
}

/// The name of a volume: those of Secrets may be too long for one, and have points.
fn volume_name(kind: &str, name: &str) -> String {
    format!("{kind}-{}", &blake3::hash(name.as_bytes()).to_hex()[..8])
}
