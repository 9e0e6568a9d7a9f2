//! Pipelines for tests of builders, as `validate` would make them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use millrace_api::DeletionPolicy;
use millrace_api::ExposureSpec;
use millrace_api::ExternalKafkaSpec;
use millrace_api::ExternalPostgresSpec;
use millrace_api::FlushSpec;
use millrace_api::ManagedPostgresSpec;
use millrace_api::PlacementSpec;
use millrace_api::StorageSpec;

use crate::dereference::wanted::Reader;
use crate::material::Authority;
use crate::material::BrokerMaterial;
use crate::material::DatabaseMaterial;
use crate::material::Hidden;
use crate::material::Leaf;
use crate::material::Login;
use crate::material::Material;
use crate::material::Spares;
use crate::names::Names;
use crate::outward::Outward;
use crate::pipeline::ContentHash;
use crate::pipeline::Group;
use crate::pipeline::HttpWayIn;
use crate::pipeline::Images;
use crate::pipeline::Kinds;
use crate::pipeline::Log;
use crate::pipeline::ManagedKafka;
use crate::pipeline::ManagedPostgres;
use crate::pipeline::NamedSecret;
use crate::pipeline::Pipeline;
use crate::pipeline::Replicas;
use crate::pipeline::Scaled;
use crate::pipeline::Tables;
use crate::pipeline::WaysIn;
use crate::pipeline::WorkerReplicas;
use crate::pipeline::Workers;

/// Of the password of every user: what no object but a Secret may hold.
pub(crate) const PASSWORD: &str = "never-to-be-seen";

/// The pipeline `race` of the namespace `factory`: a managed Kafka of one node, a managed Postgres,
/// an edge, and one pod of each part.
pub(crate) fn pipeline() -> Pipeline {
    Pipeline {
        names: Names::new("factory", "race"),
        owner: owner(),
        document:
            "apiVersion: millrace.dev/v1alpha1\nkind: TelemetryPipeline\nmetadata: {name: race}\n"
                .to_owned(),
        ways_in: WaysIn { http: vec![way_in("/cars", "POST")], mqtt: true },
        log: Log::Managed(ManagedKafka {
            nodes: 1,
            storage: StorageSpec::default(),
            flush: FlushSpec::EveryMessage,
            resources: resources("250m", "1Gi", "2Gi"),
            heap_mebibytes: 1024,
        }),
        tables: Some(Tables::Managed(ManagedPostgres {
            spec: ManagedPostgresSpec::default(),
            resources: resources("100m", "256Mi", "512Mi"),
            cache_mebibytes: 128,
        })),
        outward: Outward::default(),
        ingest: Some(one()),
        query: one(),
        workers: Workers {
            replicas: WorkerReplicas::Fixed(1),
            resources: resources("100m", "128Mi", "256Mi"),
            useful: 16,
            groups: vec![
                Group { name: "motion".to_owned(), streams: vec!["coordinates".to_owned()] },
                Group {
                    name: "standings".to_owned(),
                    streams: vec!["motion".to_owned(), "order".to_owned()],
                },
            ],
        },
        edge: Some(one()),
        exposure: ExposureSpec::default(),
        placement: PlacementSpec::default(),
        images: Images {
            millrace: "registry.example.com/millrace:0.1.0".to_owned(),
            nginx: "registry.example.com/nginx:1.31".to_owned(),
            kafka: "registry.example.com/kafka:4.1.0".to_owned(),
            postgres: "registry.example.com/postgres:15".to_owned(),
            pull_secrets: Vec::new(),
        },
        secrets: BTreeMap::from([(
            "multivac-users".to_owned(),
            secret("multivac-users", Reader::Requests),
        )]),
        config_maps: BTreeMap::from([("race-schemas".to_owned(), hash("race-schemas"))]),
        material: Material {
            authority: Authority {
                certificate: "the authority's certificate\n".to_owned(),
                key: Hidden::new(PASSWORD.to_owned()),
                trusted: "the authority's certificate\n".to_owned(),
                successor: None,
                expires: end(),
            },
            broker: Some(broker_material(1)),
            database: Some(DatabaseMaterial {
                owner: login("postgres"),
                worker: login("worker_a"),
                query: login("query_a"),
                analyst: login("analyst_a"),
                spares: Spares {
                    worker: login("worker_b"),
                    query: login("query_b"),
                    analyst: login("analyst_b"),
                },
                server: leaf("postgres"),
            }),
            edge: Some(leaf("edge")),
            notes: BTreeMap::new(),
        },
        kinds: Kinds::default(),
        deletion_policy: DeletionPolicy::Delete,
    }
}

/// The same with a managed Kafka of three nodes.
pub(crate) fn with_three_nodes() -> Pipeline {
    let mut pipeline = pipeline();
    if let Log::Managed(kafka) = &mut pipeline.log {
        kafka.nodes = 3;
        kafka.flush = FlushSpec::Background;
    }
    pipeline.material.broker = Some(broker_material(3));
    pipeline
}

/// The same with a Kafka and a Postgres of others, each given as the resource says it, in YAML.
pub(crate) fn with_external(kafka: &str, postgres: &str) -> Pipeline {
    let kafka: ExternalKafkaSpec = serde_yaml_ng::from_str(kafka).unwrap();
    let postgres: ExternalPostgresSpec = serde_yaml_ng::from_str(postgres).unwrap();
    let mut pipeline = pipeline();
    let of_kafka = kafka
        .tls
        .iter()
        .flat_map(|tls| {
            let authority = tls.certificate_authority.iter().map(|key| &key.name);
            authority.chain(tls.client_certificate.iter().map(|secret| &secret.name))
        })
        .chain(kafka.sasl.iter().map(|sasl| &sasl.secret.name))
        .map(|name| (name, Reader::All));
    let authority = postgres.tls.certificate_authority.iter().map(|key| &key.name);
    let of_postgres =
        authority.chain([&postgres.credentials.name]).map(|name| (name, Reader::Tables));
    let named = of_kafka.chain(of_postgres);
    pipeline.secrets.extend(named.map(|(name, reader)| (name.to_string(), secret(name, reader))));
    pipeline.log = Log::External(kafka);
    pipeline.tables = Some(Tables::External(postgres));
    pipeline.material.broker = None;
    pipeline.material.database = None;
    pipeline
}

/// The same without tables, and so without a database.
pub(crate) fn without_tables() -> Pipeline {
    let mut pipeline = pipeline();
    pipeline.tables = None;
    pipeline.material.database = None;
    pipeline
}

/// All kinds of objects that a cluster may have beside Kubernetes' own.
pub(crate) fn all_kinds() -> Kinds {
    Kinds {
        http_route: Some("v1".to_owned()),
        tls_route: Some("v1".to_owned()),
        certificate: Some("v1".to_owned()),
        scaled_object: Some("v1alpha1".to_owned()),
        service_monitor: Some("v1".to_owned()),
    }
}

/// One pod.
pub(crate) fn one() -> Scaled {
    Scaled { replicas: Replicas::Fixed(1), resources: resources("100m", "64Mi", "128Mi") }
}

/// As many pods as the processor's load asks for.
pub(crate) fn by_processor(min: i32, max: i32, cpu: i32) -> Scaled {
    Scaled { replicas: Replicas::ByProcessor { min, max, cpu }, ..one() }
}

/// A path that takes events of at most a MiB.
pub(crate) fn way_in(path: &str, method: &str) -> HttpWayIn {
    HttpWayIn {
        path: path.to_owned(),
        method: method.to_owned(),
        websocket: false,
        max_body_bytes: 1 << 20,
    }
}

/// Processor that is asked for, and memory asked for and at most.
pub(crate) fn resources(cpu: &str, memory: &str, most: &str) -> ResourceRequirements {
    ResourceRequirements {
        requests: Some(BTreeMap::from([
            ("cpu".to_owned(), Quantity(cpu.to_owned())),
            ("memory".to_owned(), Quantity(memory.to_owned())),
        ])),
        limits: Some(BTreeMap::from([("memory".to_owned(), Quantity(most.to_owned()))])),
        ..ResourceRequirements::default()
    }
}

/// The hash of what a Secret or ConfigMap holds.
pub(crate) fn hash(content: &str) -> ContentHash {
    ContentHash(blake3::hash(content.as_bytes()).to_hex().to_string())
}

/// A Secret of this content that these read.
pub(crate) fn secret(content: &str, reader: Reader) -> NamedSecret {
    NamedSecret { hash: hash(content), readers: reader.parts().iter().copied().collect() }
}

/// A certificate that is called this.
pub(crate) fn leaf(name: &str) -> Leaf {
    Leaf {
        certificate: format!("the certificate of {name}\n"),
        key: Hidden::new(PASSWORD.to_owned()),
        expires: end(),
    }
}

/// What a managed Kafka of this many nodes needs.
pub(crate) fn broker_material(nodes: usize) -> BrokerMaterial {
    let ids = ["AAAAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBBBA", "CCCCCCCCCCCCCCCCCCCCCA"];
    BrokerMaterial {
        cluster_id: "MkU3OEVBNTcwNTJENDM2Qg".to_owned(),
        directory_ids: ids[..nodes].iter().map(|id| (*id).to_owned()).collect(),
        formed: false,
        client: login("millrace-a"),
        spare: login("millrace-b"),
        node: leaf("kafka"),
        admin: leaf("admin"),
    }
}

fn login(username: &str) -> Login {
    Login { username: username.to_owned(), password: Hidden::new(PASSWORD.to_owned()) }
}

fn owner() -> OwnerReference {
    OwnerReference {
        api_version: "millrace.dev/v1alpha1".to_owned(),
        kind: "TelemetryPipeline".to_owned(),
        name: "race".to_owned(),
        uid: "6f1f7a3e-0000-4000-8000-000000000001".to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

fn end() -> Timestamp {
    "2027-01-01T00:00:00Z".parse().unwrap()
}
