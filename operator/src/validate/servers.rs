//! The log and the tables: run by the operator, or by others.

use std::collections::BTreeMap;

use millrace_api::BrokerSpec;
use millrace_api::CloudNativePgSpec;
use millrace_api::DatabaseSpec;
use millrace_api::ExternalKafkaSpec;
use millrace_api::ExternalPostgresSpec;
use millrace_api::FlushSpec;
use millrace_api::HostPort;
use millrace_api::KafkaSaslMechanism;
use millrace_api::KafkaSaslSpec;
use millrace_api::KafkaTlsSpec;
use millrace_api::ManagedPostgresSpec;
use millrace_api::PostgresTlsMode;
use millrace_api::PostgresTlsSpec;
use millrace_api::ResourcesSpec;
use millrace_api::SecretKeySpec;
use millrace_api::SecretSpec;
use millrace_api::StrimziAuthentication;
use millrace_api::StrimziSpec;

use crate::dereference::Content;
use crate::names::Names;
use crate::names::Part;
use crate::pipeline::Log;
use crate::pipeline::ManagedKafka;
use crate::pipeline::ManagedPostgres;
use crate::pipeline::Tables;
use crate::validate::parts;

/// Name of the Secret that the operator makes of one that Strimzi made for a user.
pub(crate) const KAFKA_LOGIN: &str = "kafka-login";

/// The log.
pub(crate) fn log(names: &Names, broker: &BrokerSpec, resources: &ResourcesSpec) -> Log {
    if let Some(external) = &broker.external {
        return Log::External(external.clone());
    }
    if let Some(strimzi) = &broker.strimzi {
        return Log::External(of_strimzi(names, strimzi));
    }
    let managed = broker.managed.clone().unwrap_or_default();
    let resources = parts::resources(Part::Kafka, resources.broker.as_ref());
    let flush = if managed.nodes == 1 { FlushSpec::EveryMessage } else { FlushSpec::Background };
    Log::Managed(ManagedKafka {
        nodes: managed.nodes,
        storage: managed.storage,
        flush: managed.flush.unwrap_or(flush),
        heap_mebibytes: parts::limit_mebibytes(&resources) / 2,
        resources,
    })
}

/// The tables.
pub(crate) fn tables(names: &Names, database: &DatabaseSpec, resources: &ResourcesSpec) -> Tables {
    if let Some(external) = &database.external {
        return Tables::External(external.clone());
    }
    if let Some(cluster) = &database.cloud_native_pg {
        return Tables::External(of_cloud_native_pg(names, cluster));
    }
    let spec: ManagedPostgresSpec = database.managed.clone().unwrap_or_default();
    let resources = parts::resources(Part::Postgres, resources.database.as_ref());
    Tables::Managed(ManagedPostgres {
        spec,
        cache_mebibytes: parts::limit_mebibytes(&resources) / 4,
        resources,
    })
}

/// What the Secret [`KAFKA_LOGIN`] holds, from the one that Strimzi made for its user.
pub(crate) fn login(strimzi: &StrimziSpec, user: &Content) -> BTreeMap<String, Vec<u8>> {
    let copy = |from: &str, to: &str| user.get(from).map(|value| (to.to_owned(), value.to_vec()));
    match strimzi.authentication {
        StrimziAuthentication::Scram => {
            let username = ("username".to_owned(), strimzi.user.as_bytes().to_vec());
            [Some(username), copy("password", "password")].into_iter().flatten().collect()
        }
        StrimziAuthentication::Certificate => {
            [copy("user.crt", "tls.crt"), copy("user.key", "tls.key")]
                .into_iter()
                .flatten()
                .collect()
        }
    }
}

fn of_strimzi(names: &Names, strimzi: &StrimziSpec) -> ExternalKafkaSpec {
    let login = || SecretSpec { name: names.of(KAFKA_LOGIN).as_str().into() };
    let scram = strimzi.authentication == StrimziAuthentication::Scram;
    let address = format!(
        "{}-kafka-bootstrap.{}.svc.cluster.local:{}",
        strimzi.cluster,
        names.namespace(),
        strimzi.port
    );
    ExternalKafkaSpec {
        bootstrap_servers: vec![HostPort::from(address.as_str())],
        prefix: strimzi.prefix.clone(),
        replication_factor: strimzi.replication_factor,
        tls: Some(KafkaTlsSpec {
            certificate_authority: Some(SecretKeySpec {
                name: format!("{}-cluster-ca-cert", strimzi.cluster).as_str().into(),
                key: "ca.crt".into(),
            }),
            client_certificate: (!scram).then(login),
        }),
        sasl: scram
            .then(|| KafkaSaslSpec { mechanism: KafkaSaslMechanism::ScramSha512, secret: login() }),
    }
}

fn of_cloud_native_pg(names: &Names, cluster: &CloudNativePgSpec) -> ExternalPostgresSpec {
    let host = format!("{}-rw.{}.svc", cluster.cluster, names.namespace());
    ExternalPostgresSpec {
        host: host.as_str().into(),
        port: 5432,
        database: cluster.database.clone(),
        schema: None,
        credentials: SecretSpec { name: format!("{}-app", cluster.cluster).as_str().into() },
        tls: PostgresTlsSpec {
            mode: PostgresTlsMode::VerifyFull,
            certificate_authority: Some(SecretKeySpec {
                name: format!("{}-ca", cluster.cluster).as_str().into(),
                key: "ca.crt".into(),
            }),
        },
    }
}
