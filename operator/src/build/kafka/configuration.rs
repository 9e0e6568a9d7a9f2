//! What nodes and tools read: the broker's properties, the scripts that start it, and how tools
//! connect. What differs from node to node is added by the script that prepares it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use millrace_api::FlushSpec;

use super::CERTIFICATE;
use super::CLIENTS;
use super::CONTROLLERS;
use super::NODES;
use crate::names::Names;
use crate::names::Part;
use crate::object;
use crate::pipeline::ManagedKafka;
use crate::pipeline::Pipeline;

const PREPARE: &str = include_str!("scripts/prepare.sh");
const START: &str = include_str!("scripts/start.sh");
const JOIN: &str = include_str!("scripts/join.sh");
const READY: &str = include_str!("scripts/ready.sh");
const USERS: &str = include_str!("scripts/users.sh");

/// To the standard output alone: Kafka's own settings write files without end.
const LOGGING: &str = "\
status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{yyyy-MM-dd'T'HH:mm:ss.SSSX}{UTC} %p %c{1}: %m%n
rootLogger.level=info
rootLogger.appenderRef.out.ref=out
";

/// The name of the ConfigMap.
pub(super) fn name(names: &Names) -> String {
    names.of("kafka-configuration")
}

/// The ConfigMap.
pub(super) fn build_config_map(pipeline: &Pipeline, kafka: &ManagedKafka) -> ConfigMap {
    let names = &pipeline.names;
    let texts = [
        ("server.properties", server(names, kafka)),
        ("client.properties", client()),
        ("log4j2.properties", LOGGING.to_owned()),
        ("cluster.sh", cluster(names, kafka.nodes)),
        ("prepare.sh", PREPARE.to_owned()),
        ("start.sh", START.to_owned()),
        ("join.sh", JOIN.to_owned()),
        ("ready.sh", READY.to_owned()),
        ("users.sh", USERS.to_owned()),
    ];
    ConfigMap {
        metadata: object::metadata(names, &pipeline.owner, Part::Kafka, name(names)),
        data: Some(texts.into_iter().map(|(key, text)| (key.to_owned(), text)).collect()),
        ..ConfigMap::default()
    }
}

/// The texts that a node has to start anew for, and no others.
pub(super) fn of_nodes(config_map: &ConfigMap) -> BTreeMap<&str, &str> {
    let data = config_map.data.iter().flatten();
    let data = data.map(|(key, text)| (key.as_str(), text.as_str()));
    data.filter(|(key, _)| *key != "users.sh").collect()
}

fn server(names: &Names, kafka: &ManagedKafka) -> String {
    let nodes = kafka.nodes;
    let in_sync = if nodes == 1 { 1 } else { 2 };
    let flush = match kafka.flush {
        FlushSpec::EveryMessage => "log.flush.interval.messages=1\n",
        FlushSpec::Background => "",
    };
    // Clients are super users: nothing but this pipeline is in this Kafka, and all of it is theirs.
    format!(
        "process.roles=broker,controller
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers={controllers}
listeners=CLIENT://:{CLIENTS},CONTROLLER://:{CONTROLLERS},NODE://:{NODES}
listener.security.protocol.map=CLIENT:SASL_SSL,CONTROLLER:SSL,NODE:SSL
inter.broker.listener.name=NODE
listener.name.controller.ssl.client.auth=required
listener.name.node.ssl.client.auth=required
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.client.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
{tls}authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:CN=kafka-node;User:CN=kafka-admin;User:millrace-a;User:millrace-b
log.dirs=/var/lib/kafka/data/kraft
auto.create.topics.enable=false
num.partitions=1
default.replication.factor={nodes}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={nodes}
offsets.topic.num.partitions=16
transaction.state.log.replication.factor={nodes}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=16
share.coordinator.state.topic.replication.factor={nodes}
share.coordinator.state.topic.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
{flush}",
        controllers = addresses(names, nodes, CONTROLLERS),
        tls = tls(),
    )
}

/// How tools connect to the brokers' port for nodes and the admin.
fn client() -> String {
    format!("security.protocol=SSL\n{}", tls())
}

fn tls() -> String {
    format!(
        "ssl.keystore.type=PEM
ssl.keystore.location={CERTIFICATE}/keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location={CERTIFICATE}/truststore.pem
"
    )
}

/// What scripts know of the cluster.
fn cluster(names: &Names, nodes: i32) -> String {
    format!(
        "NODES={nodes}\nSET={}\nSERVICE={}\nBROKERS={}\nIDENTITY={}\n",
        names.part(Part::Kafka),
        names.host(Part::Kafka),
        addresses(names, nodes, NODES),
        names.of("kafka-identity"),
    )
}

/// The addresses of all nodes under a port.
fn addresses(names: &Names, nodes: i32, port: u16) -> String {
    let (set, service) = (names.part(Part::Kafka), names.host(Part::Kafka));
    let addresses = (0..nodes).map(|node| format!("{set}-{node}.{service}:{port}"));
    addresses.collect::<Vec<_>>().join(",")
}
