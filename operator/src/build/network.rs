//! Who may speak to whom: nobody to anybody, but for what a pipeline is made of. Where a host name is
//! given its port is open to every address, but for those of the link, such as a cloud's server of
//! metadata.

use std::collections::BTreeSet;

use k8s_openapi::api::networking::v1::IPBlock;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::networking::v1::NetworkPolicyEgressRule;
use k8s_openapi::api::networking::v1::NetworkPolicyIngressRule;
use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use k8s_openapi::api::networking::v1::NetworkPolicyPort;
use k8s_openapi::api::networking::v1::NetworkPolicySpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::build::config::shared_metadata;
use crate::build::edge;
use crate::build::kafka;
use crate::build::pod::some;
use crate::build::postgres;
use crate::build::process;
use crate::labels;
use crate::names::Part;
use crate::object;
use crate::outward::store_port;
use crate::pipeline::Log;
use crate::pipeline::Pipeline;
use crate::pipeline::Tables;
use crate::pipeline::WorkerReplicas;

/// Port of DNS.
const DNS: u16 = 53;

/// Label of pods that may read metrics, in any namespace.
const READS_METRICS: &str = "millrace.dev/reads-metrics";

/// Label of a namespace with its name.
const NAMESPACE: &str = "kubernetes.io/metadata.name";

/// Annotation of service accounts that stand for one of Google's.
const WORKLOAD_IDENTITY: &str = "iam.gke.io/gcp-service-account";

/// Addresses of Google's server of metadata, each with its port.
const METADATA_SERVERS: [(&str, u16); 2] =
    [("169.254.169.254/32", 80), ("169.254.169.252/32", 988)];

/// All policies.
pub(crate) fn build_network_policies(pipeline: &Pipeline) -> Vec<NetworkPolicy> {
    let mut policies = vec![nothing(pipeline)];
    let mut allow = |part, ingress, egress| policies.push(policy(pipeline, part, ingress, egress));
    if pipeline.ingest.is_some() {
        let mut out = vec![dns(), to_kafka(pipeline)];
        out.extend(outward(&pipeline.outward.ingest));
        let ports = [process::HTTP, process::MQTT];
        let mut ingress = vec![from(served(pipeline), &ports)];
        ingress.push(from(scrapers(), &[process::HTTP]));
        allow(Part::Ingest, ingress, out);
    }
    let mut out = vec![dns(), to_kafka(pipeline)];
    out.extend(to_postgres(pipeline));
    let provisioning = out.clone();
    let mut answering = out.clone();
    out.extend(outward(&pipeline.outward.workers));
    out.extend(to_identity(pipeline));
    allow(Part::Workers, vec![from(scrapers(), &[process::HTTP])], out);
    answering.extend(outward(&pipeline.outward.query));
    let mut askers = served(pipeline);
    askers.extend(scrapers());
    askers.push(operator());
    if matches!(pipeline.workers.replicas, WorkerReplicas::ByKeda { .. }) {
        askers.push(namespace("keda"));
    }
    allow(Part::Query, vec![from(askers, &[process::HTTP])], answering);
    allow(Part::Provision, Vec::new(), with_admin(pipeline, provisioning));
    if pipeline.edge.is_some() {
        let mut out = vec![dns(), to(vec![pods(pipeline, Part::Query)], &[process::HTTP])];
        if pipeline.ingest.is_some() {
            out.push(to(vec![pods(pipeline, Part::Ingest)], &[process::HTTP, process::MQTT]));
        }
        let ports = [edge::HTTP, edge::HTTPS, edge::MQTT];
        allow(Part::Edge, vec![from(Vec::new(), &ports)], out);
    }
    if matches!(pipeline.log, Log::Managed(_)) {
        let clients = [Part::Ingest, Part::Workers, Part::Query, Part::Provision];
        let among = [kafka::CONTROLLERS, kafka::NODES];
        let nodes = || vec![pods(pipeline, Part::Kafka)];
        allow(
            Part::Kafka,
            vec![
                from(clients.map(|part| pods(pipeline, part)).into(), &[kafka::CLIENTS]),
                from(nodes(), &among),
                from(vec![pods(pipeline, Part::Provision)], &[kafka::NODES]),
            ],
            vec![dns(), to(nodes(), &among)],
        );
    }
    if let Some(Tables::Managed(managed)) = &pipeline.tables {
        let clients = [Part::Workers, Part::Query, Part::Provision, Part::Backup];
        let clients = clients.map(|part| pods(pipeline, part)).into();
        allow(Part::Postgres, vec![from(clients, &[postgres::PORT])], Vec::new());
        if let Some(backup) = &managed.spec.backup {
            let mut out = vec![dns()];
            out.extend(to_postgres(pipeline));
            if let Some(store) = &backup.copy_to {
                let port = store_port(&store.url, store.endpoint.as_deref());
                out.extend(outward(&port.into_iter().collect()));
                out.extend(to_identity(pipeline));
            }
            allow(Part::Backup, Vec::new(), out);
        }
    }
    policies
}

/// Pods of the pipeline speak to nobody, and nobody to them.
fn nothing(pipeline: &Pipeline) -> NetworkPolicy {
    let name = pipeline.names.pipeline().to_owned();
    NetworkPolicy {
        metadata: shared_metadata(pipeline, pipeline.names.of("default-deny")),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector([(labels::PIPELINE.to_owned(), name)])),
            policy_types: Some(both_ways()),
            ..NetworkPolicySpec::default()
        }),
    }
}

fn policy(
    pipeline: &Pipeline,
    part: Part,
    ingress: Vec<NetworkPolicyIngressRule>,
    egress: Vec<NetworkPolicyEgressRule>,
) -> NetworkPolicy {
    let Pipeline { names, owner, .. } = pipeline;
    NetworkPolicy {
        metadata: object::metadata(names, owner, part, names.part(part)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(labels::selector(names, part))),
            policy_types: Some(both_ways()),
            ingress: some(ingress),
            egress: some(egress),
        }),
    }
}

fn both_ways() -> Vec<String> {
    vec!["Ingress".to_owned(), "Egress".to_owned()]
}

/// Whoever may send requests: the edge, or without one everyone in the cluster.
fn served(pipeline: &Pipeline) -> Vec<NetworkPolicyPeer> {
    match &pipeline.edge {
        Some(_) => vec![pods(pipeline, Part::Edge)],
        None => vec![everyone_in_the_cluster()],
    }
}

/// Whoever reads metrics: Prometheus, Google's collectors, and pods that say so.
fn scrapers() -> Vec<NetworkPolicyPeer> {
    let labelled = |key: &str, value: &str| NetworkPolicyPeer {
        pod_selector: Some(selector([(key.to_owned(), value.to_owned())])),
        ..everyone_in_the_cluster()
    };
    vec![
        labelled("app.kubernetes.io/name", "prometheus"),
        labelled(READS_METRICS, "true"),
        namespace("gmp-system"),
    ]
}

/// The operator, which asks how far workers are behind.
fn operator() -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(selector([(
            "app.kubernetes.io/name".to_owned(),
            labels::MANAGER.to_owned(),
        )])),
        ..everyone_in_the_cluster()
    }
}

fn to_kafka(pipeline: &Pipeline) -> NetworkPolicyEgressRule {
    match &pipeline.log {
        Log::Managed(_) => to(vec![pods(pipeline, Part::Kafka)], &[kafka::CLIENTS]),
        // A host's port is all that is known of other brokers. Those with other ports are named, too:
        // every broker is one to begin with.
        Log::External(kafka) => {
            let ports = kafka.bootstrap_servers.iter().filter_map(|server| {
                server.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
            });
            let ports: BTreeSet<u16> = ports.collect();
            to(anywhere(), &ports.into_iter().collect::<Vec<_>>())
        }
    }
}

/// Where pods that stand for one of Google's service accounts get its token.
fn to_identity(pipeline: &Pipeline) -> Vec<NetworkPolicyEgressRule> {
    if !pipeline.placement.service_account_annotations.contains_key(WORKLOAD_IDENTITY) {
        return Vec::new();
    }
    let servers = METADATA_SERVERS.iter();
    servers.map(|(address, port)| to(vec![block(address, None)], &[*port])).collect()
}

/// Provision makes users of a managed Kafka.
fn with_admin(
    pipeline: &Pipeline,
    mut rules: Vec<NetworkPolicyEgressRule>,
) -> Vec<NetworkPolicyEgressRule> {
    if matches!(pipeline.log, Log::Managed(_)) {
        rules.push(to(vec![pods(pipeline, Part::Kafka)], &[kafka::NODES]));
    }
    rules
}

fn to_postgres(pipeline: &Pipeline) -> Option<NetworkPolicyEgressRule> {
    match pipeline.tables.as_ref()? {
        Tables::Managed(_) => Some(to(vec![pods(pipeline, Part::Postgres)], &[postgres::PORT])),
        Tables::External(postgres) => {
            let port = u16::try_from(postgres.port).unwrap_or(postgres::PORT);
            Some(to(anywhere(), &[port]))
        }
    }
}

fn outward(ports: &BTreeSet<u16>) -> Option<NetworkPolicyEgressRule> {
    let ports: Vec<u16> = ports.iter().copied().collect();
    (!ports.is_empty()).then(|| to(anywhere(), &ports))
}

/// Names are asked for wherever the cluster has them answered.
fn dns() -> NetworkPolicyEgressRule {
    let port = |protocol: &str| NetworkPolicyPort {
        port: Some(IntOrString::Int(i32::from(DNS))),
        protocol: Some(protocol.to_owned()),
        ..NetworkPolicyPort::default()
    };
    NetworkPolicyEgressRule { ports: Some(vec![port("UDP"), port("TCP")]), to: None }
}

/// Nobody in particular: everybody.
fn from(peers: Vec<NetworkPolicyPeer>, ports: &[u16]) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule { from: some(peers), ports: Some(tcp(ports)) }
}

fn to(peers: Vec<NetworkPolicyPeer>, ports: &[u16]) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule { to: some(peers), ports: Some(tcp(ports)) }
}

fn tcp(ports: &[u16]) -> Vec<NetworkPolicyPort> {
    let ports = ports.iter().map(|port| NetworkPolicyPort {
        port: Some(IntOrString::Int(i32::from(*port))),
        protocol: Some("TCP".to_owned()),
        ..NetworkPolicyPort::default()
    });
    ports.collect()
}

fn pods(pipeline: &Pipeline, part: Part) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(selector(labels::selector(&pipeline.names, part))),
        ..NetworkPolicyPeer::default()
    }
}

fn namespace(name: &str) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(selector([(NAMESPACE.to_owned(), name.to_owned())])),
        ..NetworkPolicyPeer::default()
    }
}

fn everyone_in_the_cluster() -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        ..NetworkPolicyPeer::default()
    }
}

/// Any address but those of the link. Some networks take pods for no address.
fn anywhere() -> Vec<NetworkPolicyPeer> {
    vec![
        block("0.0.0.0/0", Some("169.254.0.0/16")),
        block("::/0", Some("fe80::/10")),
        everyone_in_the_cluster(),
    ]
}

fn block(addresses: &str, except: Option<&str>) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: addresses.to_owned(),
            except: except.map(|except| vec![except.to_owned()]),
        }),
        ..NetworkPolicyPeer::default()
    }
}

fn selector(labels: impl IntoIterator<Item = (String, String)>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels.into_iter().collect()), ..LabelSelector::default() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]
mod tests;
