//! A pipeline as builders see it: everything that its objects depend on, resolved and checked.
//! There is nothing in it that a builder would have to ask for again.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use millrace_api::DeletionPolicy;
use millrace_api::ExposureSpec;
use millrace_api::ExternalKafkaSpec;
use millrace_api::ExternalPostgresSpec;
use millrace_api::FlushSpec;
use millrace_api::ManagedPostgresSpec;
use millrace_api::PlacementSpec;
use millrace_api::StorageSpec;

use crate::material::Material;
use crate::names::Names;
use crate::names::Part;
use crate::outward::Outward;

/// A pipeline that has been found valid.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Names of its objects.
    pub names: Names,
    /// The resource, as owner of what is made.
    pub owner: OwnerReference,
    /// The resource as pods read it, in YAML: what computes, without what is of the cluster alone.
    /// A change of replicas, for instance, does not change it.
    pub document: String,
    /// What is reached over HTTP and MQTT.
    pub ways_in: WaysIn,
    /// The log.
    pub log: Log,
    /// The tables; none where the pipeline has none.
    pub tables: Option<Tables>,
    /// What its pods connect to beside Kafka and Postgres.
    pub outward: Outward,
    /// Pods that take events in; none where nothing comes in and no viewer connects.
    pub ingest: Option<Scaled>,
    /// Pods that answer: always at least one.
    pub query: Scaled,
    /// Pods that compute.
    pub workers: Workers,
    /// The edge's pods; none with `exposure.mode: none`.
    pub edge: Option<Scaled>,
    /// How it is reached.
    pub exposure: ExposureSpec,
    /// Where pods run.
    pub placement: PlacementSpec,
    /// What runs in them.
    pub images: Images,
    /// Secrets of others that pods of ours mount, by their names.
    pub secrets: BTreeMap<String, NamedSecret>,
    /// ConfigMaps that all pods of ours mount: each of them makes its plan by all schemas. With a
    /// hash of what is in each now.
    pub config_maps: BTreeMap<String, ContentHash>,
    /// Passwords, keys and certificates of what the operator runs.
    pub material: Material,
    /// Kinds of objects that this cluster has beside Kubernetes' own.
    pub kinds: Kinds,
    /// What becomes of volumes.
    pub deletion_policy: DeletionPolicy,
}

/// A Secret that a resource names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSecret {
    /// Hash of what is in it now: a changed one is read by the pods themselves, unless a part has
    /// to start anew for it.
    pub hash: ContentHash,
    /// Parts whose processes read it: no other pod mounts it.
    pub readers: BTreeSet<Part>,
}

/// Hash of the content of a Secret or ConfigMap, as hexadecimal text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentHash(pub String);

/// What is reached over HTTP and MQTT.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaysIn {
    /// Paths that ingest answers; all others are query's.
    pub http: Vec<HttpWayIn>,
    /// Whether clients connect over MQTT, devices or viewers.
    pub mqtt: bool,
}

/// A path that ingest answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpWayIn {
    /// The path, with parameters in braces, such as `/devices/{id}`.
    pub path: String,
    /// Its method; `GET` for a WebSocket.
    pub method: String,
    /// Whether it is a WebSocket.
    pub websocket: bool,
    /// Largest body in bytes.
    pub max_body_bytes: i64,
}

/// The log of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Log {
    /// A Kafka that the operator runs.
    Managed(ManagedKafka),
    /// A Kafka of others; one of Strimzi is one with that cluster's addresses and Secrets.
    External(ExternalKafkaSpec),
}

/// A Kafka that the operator runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ManagedKafka {
    /// Nodes, 1 or 3.
    pub nodes: i32,
    /// Each one's volume.
    pub storage: StorageSpec,
    /// When what is confirmed is on the disk.
    pub flush: FlushSpec,
    /// Processor and memory of each node; the memory's limit is always set.
    pub resources: ResourceRequirements,
    /// Heap of each node in MiB.
    pub heap_mebibytes: i64,
}

/// The tables of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Tables {
    /// A Postgres that the operator runs.
    Managed(ManagedPostgres),
    /// A Postgres of others; one of CloudNativePG is one with that cluster's address and Secrets.
    External(ExternalPostgresSpec),
}

/// A Postgres that the operator runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ManagedPostgres {
    /// What the resource says of it.
    pub spec: ManagedPostgresSpec,
    /// Processor and memory; the memory's limit is always set.
    pub resources: ResourceRequirements,
    /// Its own cache in MiB.
    pub cache_mebibytes: i64,
}

/// How many pods a part has, and how large they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaled {
    /// How many.
    pub replicas: Replicas,
    /// Processor and memory of each.
    pub resources: ResourceRequirements,
}

/// How many pods a part has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replicas {
    /// This many.
    Fixed(i32),
    /// As many as a HorizontalPodAutoscaler decides.
    ByProcessor {
        /// At least.
        min: i32,
        /// At most.
        max: i32,
        /// Percentage of the requested processor time.
        cpu: i32,
    },
}

/// Pods that compute.
#[derive(Debug, Clone, PartialEq)]
pub struct Workers {
    /// How many.
    pub replicas: WorkerReplicas,
    /// Processor and memory of each.
    pub resources: ResourceRequirements,
    /// Most partitions of a stage or sink: more workers than that have nothing to do.
    pub useful: i32,
    /// Groups whose lag is that of the workers, with the topics that each reads, without prefix.
    pub groups: Vec<Group>,
}

/// A consumer group of the workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name without the prefix: that of a stage or sink.
    pub name: String,
    /// Streams that it reads, without prefix.
    pub streams: Vec<String>,
}

/// How many workers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerReplicas {
    /// This many.
    Fixed(i32),
    /// As many as the operator decided last by the lag.
    ByLag {
        /// At least.
        min: i32,
        /// At most.
        max: i32,
        /// Records that wait for each.
        lag: i32,
        /// How many there are to be now.
        now: i32,
    },
    /// As many as KEDA decides.
    ByKeda {
        /// At least.
        min: i32,
        /// At most.
        max: i32,
        /// Records that wait for each.
        lag: i32,
    },
}

/// Images of a pipeline's pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Of ingest, workers, query and provision.
    pub millrace: String,
    /// Of the edge.
    pub nginx: String,
    /// Of a managed Kafka.
    pub kafka: String,
    /// Of a managed Postgres.
    pub postgres: String,
    /// Secrets for pulling them.
    pub pull_secrets: Vec<String>,
}

/// Kinds of objects that a cluster has beside Kubernetes' own, found by discovery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Version of `HTTPRoute` of `gateway.networking.k8s.io`, such as `v1`.
    pub http_route: Option<String>,
    /// Version of `TLSRoute` of `gateway.networking.k8s.io`.
    pub tls_route: Option<String>,
    /// Version of `Certificate` of `cert-manager.io`.
    pub certificate: Option<String>,
    /// Version of `ScaledObject` of `keda.sh`.
    pub scaled_object: Option<String>,
    /// Version of `ServiceMonitor` of `monitoring.coreos.com`.
    pub service_monitor: Option<String>,
}
