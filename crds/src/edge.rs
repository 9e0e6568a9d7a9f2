//! How a pipeline on a cluster is reached from outside: the nginx before it, and what leads there.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::text::AddressRange;
use crate::text::AnnotationValue;
use crate::text::HeaderName;
use crate::text::ParameterName;
use crate::text::QualifiedName;
use crate::text::ResourceName;

/// How a pipeline is reached from outside a cluster. Every way leads to the edge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ExposureMode {
    /// By the Service of the edge, which may be a load balancer's.
    #[default]
    Edge,
    /// By an Ingress in front of the edge. MQTT goes by the edge's own Service.
    Ingress,
    /// By routes of the Gateway API to the edge.
    Gateway,
    /// There is no edge: the pipeline is reached within the cluster alone.
    None,
}

/// The nginx of a cluster that all requests pass.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeSpec {
    /// Its Service.
    #[serde(default)]
    pub service: EdgeServiceSpec,
    /// Requests of each client address. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestRateSpec>,
    /// Connections of each client address at once, 1 to 100000. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub connections: Option<i32>,
    /// Which ingest pod takes a request. Default: one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<BalanceSpec>,
}

/// The Service of the edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.type == 'LoadBalancer' || (!has(self.loadBalancerClass) && self.sourceRanges.size() == 0)",
    "loadBalancerClass and sourceRanges are a load balancer's; write type: LoadBalancer"
))]
#[x_kube(validation = (
    "self.type != 'LoadBalancer' || oldSelf.type != 'LoadBalancer' || (has(self.loadBalancerClass) == has(oldSelf.loadBalancerClass) && (!has(self.loadBalancerClass) || self.loadBalancerClass == oldSelf.loadBalancerClass))",
    "loadBalancerClass cannot change while the load balancer is there; write type: ClusterIP first"
))]
pub struct EdgeServiceSpec {
    /// `ClusterIP` (default), `NodePort` or `LoadBalancer`.
    #[serde(default, rename = "type")]
    pub service_type: ServiceType,
    /// Annotations, at most 32.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, AnnotationValue>,
    /// Class of the load balancer. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer_class: Option<QualifiedName>,
    /// Addresses that the load balancer lets in, at most 32. Default: all.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub source_ranges: Vec<AddressRange>,
}

impl Default for EdgeServiceSpec {
    fn default() -> Self {
        Self {
            service_type: ServiceType::ClusterIp,
            annotations: BTreeMap::new(),
            load_balancer_class: None,
            source_ranges: Vec::new(),
        }
    }
}

/// Type of a Service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// An address within the cluster.
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// A port of every node.
    NodePort,
    /// An address from outside.
    LoadBalancer,
}

/// Requests of each client address. More get 429 with `Retry-After`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestRateSpec {
    /// Requests a second, 1 to 1000000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_second: i32,
    /// Requests that may come at once, ahead of that rate, 0 to 1000000. Default: as many as
    /// `perSecond`. With 0 they have to be as far apart as the rate says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub burst: Option<i32>,
}

/// What a request's pod is chosen by, so that requests alike go to the same one while it lives:
/// exactly one of `header` and `query`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.header) != has(self.query)",
    "write exactly one of header and query"
))]
#[x_kube(validation = (
    "!has(self.header) || !(self.header.contains('.') || self.header.contains('_'))",
    "the edge takes no header with a point or underscore in its name; write one of letters, digits and hyphens"
))]
pub struct BalanceSpec {
    /// A header of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderName>,
    /// A parameter of the request's query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<ParameterName>,
}

/// The Ingress in front of the edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressClassSpec {
    /// Its class.
    pub class_name: ResourceName,
    /// Annotations, at most 32.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, AnnotationValue>,
}

/// The Gateway of routes to the edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    /// Its name.
    pub name: ResourceName,
    /// Its namespace, where it lets routes of others in. Default: the pipeline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<ResourceName>,
    /// Its listener for HTTPS. Default: all that take the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https_section: Option<ResourceName>,
    /// Its listener that passes TLS on, for MQTT. Default: there is no route for MQTT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtt_section: Option<ResourceName>,
}

/// A certificate from cert-manager.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertManagerSpec {
    /// Name of the issuer.
    pub issuer: ResourceName,
    /// Kind of the issuer: `Issuer` (default; of the pipeline's namespace) or `ClusterIssuer`.
    #[serde(default)]
    pub kind: IssuerKind,
}

/// Kind of an issuer of cert-manager.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IssuerKind {
    /// One of the pipeline's namespace.
    #[default]
    Issuer,
    /// One of the cluster.
    ClusterIssuer,
}
