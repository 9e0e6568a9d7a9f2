//! Secrets and ConfigMaps that hold passwords, keys and certificates. Those without which a kept
//! volume could not be read have no owner when volumes are kept: only a pipeline of the same name
//! takes them up again.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use millrace_api::DeletionPolicy;

use super::BrokerMaterial;
use super::DatabaseMaterial;
use super::Leaf;
use super::Login;
use super::identity;
use crate::labels;
use crate::pipeline::Pipeline;

/// The Secrets of a pipeline. A spare comes before the user that it takes turns with: should only
/// the first of them be written, the next pass finds the exchange not done yet.
pub(crate) fn build_secrets(pipeline: &Pipeline) -> Vec<Secret> {
    let material = &pipeline.material;
    let mut secrets = vec![authority(pipeline)];
    if let Some(broker) = &material.broker {
        secrets.extend(of_kafka(pipeline, broker));
    }
    if let Some(database) = &material.database {
        secrets.extend(of_postgres(pipeline, database));
    }
    if let Some(edge) = &material.edge {
        let data = pair(edge);
        let secret = secret(pipeline, "edge-certificate", Stays::No, data);
        secrets.push(Secret { type_: Some("kubernetes.io/tls".to_owned()), ..secret });
    }
    secrets
}

/// The ConfigMaps: whom to trust, and who a managed Kafka is.
pub(crate) fn build_config_maps(pipeline: &Pipeline) -> Vec<ConfigMap> {
    let material = &pipeline.material;
    let trust = [("ca.crt".to_owned(), material.authority.trusted.clone())];
    let mut config_maps = vec![config_map(pipeline, "trust", Stays::No, trust.into())];
    if let Some(broker) = &material.broker {
        let data = identity::data(&broker.cluster_id, &broker.directory_ids, broker.formed);
        config_maps.push(config_map(pipeline, "kafka-identity", Stays::WithVolumes, data));
    }
    config_maps
}

/// What becomes of an object when the pipeline is deleted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stays {
    /// It is deleted, too.
    No,
    /// It stays if volumes do.
    WithVolumes,
}

fn authority(pipeline: &Pipeline) -> Secret {
    let authority = &pipeline.material.authority;
    let mut data = vec![
        ("tls.crt", authority.certificate.as_str()),
        ("tls.key", authority.key.reveal()),
        ("trusted.crt", &authority.trusted),
    ];
    if let Some(successor) = &authority.successor {
        data.push(("next.crt", &successor.certificate));
        data.push(("next.key", successor.key.reveal()));
    }
    secret(pipeline, "authority", Stays::WithVolumes, data)
}

fn of_kafka(pipeline: &Pipeline, broker: &BrokerMaterial) -> [Secret; 4] {
    [
        user(pipeline, "kafka-client-spare", &broker.spare),
        user(pipeline, "kafka-client", &broker.client),
        keystore(pipeline, "kafka-node", &broker.node),
        keystore(pipeline, "kafka-admin", &broker.admin),
    ]
}

fn of_postgres(pipeline: &Pipeline, database: &DatabaseMaterial) -> [Secret; 8] {
    let mut server = pair(&database.server);
    server.push(("ca.crt", &pipeline.material.authority.trusted));
    [
        user(pipeline, "postgres-worker-spare", &database.spares.worker),
        user(pipeline, "postgres-worker", &database.worker),
        user(pipeline, "postgres-query-spare", &database.spares.query),
        user(pipeline, "postgres-query", &database.query),
        user(pipeline, "postgres-analyst-spare", &database.spares.analyst),
        user(pipeline, "postgres-analyst", &database.analyst),
        user(pipeline, "postgres-owner", &database.owner),
        secret(pipeline, "postgres-server", Stays::No, server),
    ]
}

fn user(pipeline: &Pipeline, what: &str, login: &Login) -> Secret {
    let data = vec![("username", login.username.as_str()), ("password", login.password.reveal())];
    secret(pipeline, what, Stays::WithVolumes, data)
}

fn keystore(pipeline: &Pipeline, what: &str, leaf: &Leaf) -> Secret {
    let keystore = format!("{}{}", leaf.key.reveal(), leaf.certificate);
    let trusted = &pipeline.material.authority.trusted;
    let data = vec![("keystore.pem", keystore.as_str()), ("truststore.pem", trusted)];
    secret(pipeline, what, Stays::No, data)
}

fn pair(leaf: &Leaf) -> Vec<(&'static str, &str)> {
    vec![("tls.crt", leaf.certificate.as_str()), ("tls.key", leaf.key.reveal())]
}

fn secret(pipeline: &Pipeline, what: &str, stays: Stays, data: Vec<(&str, &str)>) -> Secret {
    let data = data.into_iter().map(|(key, text)| (key.to_owned(), bytes(text)));
    Secret {
        metadata: metadata(pipeline, what, stays),
        data: Some(data.collect()),
        ..Secret::default()
    }
}

fn config_map(
    pipeline: &Pipeline,
    what: &str,
    stays: Stays,
    data: BTreeMap<String, String>,
) -> ConfigMap {
    ConfigMap {
        metadata: metadata(pipeline, what, stays),
        data: Some(data),
        ..ConfigMap::default()
    }
}

fn metadata(pipeline: &Pipeline, what: &str, stays: Stays) -> ObjectMeta {
    let names = &pipeline.names;
    let name = names.of(what);
    let kept = stays == Stays::WithVolumes && pipeline.deletion_policy == DeletionPolicy::Keep;
    ObjectMeta {
        namespace: Some(names.namespace().to_owned()),
        labels: Some(labels::common(names)),
        annotations: pipeline.material.notes.get(&name).cloned(),
        owner_references: (!kept).then(|| vec![pipeline.owner.clone()]),
        name: Some(name),
        ..ObjectMeta::default()
    }
}

fn bytes(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}
