//! Which kinds the operator works with, and with which verbs: what the chart's rules are compared
//! with.

use kube::core::ApiResource;

use crate::apply::resource;
use crate::discover;
use crate::owned::KindName;
use crate::pipeline::Kinds;

/// What the operator does with a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// API group; empty for Kubernetes' core.
    pub group: &'static str,
    /// The resource, in the plural, with its subresource.
    pub resource: &'static str,
    /// What is done with it.
    pub verbs: &'static [&'static str],
}

const fn rule(group: &'static str, resource: &'static str, verbs: &'static [&'static str]) -> Rule {
    Rule { group, resource, verbs }
}

/// Objects that are made: applied, and deleted when they are no longer needed.
const MADE: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

/// All that the operator does in the namespaces of pipelines.
pub const RULES: &[Rule] = &[
    rule("millrace.dev", "telemetrypipelines", &["list", "watch"]),
    rule("millrace.dev", "telemetrypipelines/status", &["patch"]),
    // Owner references that block the deletion of their owner need it.
    rule("millrace.dev", "telemetrypipelines/finalizers", &["update"]),
    rule("", "configmaps", MADE),
    rule("", "secrets", MADE),
    rule("", "services", MADE),
    rule("", "serviceaccounts", MADE),
    rule("", "persistentvolumeclaims", &["get", "list", "watch", "create", "patch"]),
    rule("", "pods", &["list"]),
    rule("apps", "deployments", MADE),
    rule("apps", "statefulsets", MADE),
    rule("batch", "jobs", MADE),
    rule("batch", "cronjobs", MADE),
    rule("autoscaling", "horizontalpodautoscalers", MADE),
    rule("policy", "poddisruptionbudgets", MADE),
    rule("networking.k8s.io", "networkpolicies", MADE),
    rule("networking.k8s.io", "ingresses", MADE),
    rule("gateway.networking.k8s.io", "httproutes", MADE),
    rule("gateway.networking.k8s.io", "tlsroutes", MADE),
    rule("cert-manager.io", "certificates", MADE),
    rule("keda.sh", "scaledobjects", MADE),
    rule("monitoring.coreos.com", "servicemonitors", MADE),
    rule("events.k8s.io", "events", &["create", "patch"]),
];

/// What the operator does in its own namespace, with leader election.
pub const LEASE_RULES: &[Rule] =
    &[rule("coordination.k8s.io", "leases", &["get", "create", "update"])];

/// How a kind is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// All of it, since its status counts.
    Whole,
    /// Its metadata, of those that are ours.
    Metadata,
    /// Its metadata, also of those of others, which resources name.
    Named,
}

/// Kinds that every cluster has, and how they are watched.
#[must_use]
pub fn kinds() -> Vec<(ApiResource, Watch)> {
    use Watch::Metadata;
    use Watch::Named;
    use Watch::Whole;
    vec![
        (resource("", "v1", "ConfigMap", "configmaps"), Named),
        (resource("", "v1", "Secret", "secrets"), Named),
        (resource("", "v1", "Service", "services"), Metadata),
        (resource("", "v1", "ServiceAccount", "serviceaccounts"), Metadata),
        (resource("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"), Metadata),
        (resource("apps", "v1", "Deployment", "deployments"), Whole),
        (resource("apps", "v1", "StatefulSet", "statefulsets"), Whole),
        (resource("batch", "v1", "Job", "jobs"), Whole),
        (resource("batch", "v1", "CronJob", "cronjobs"), Metadata),
        (
            resource("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
            Metadata,
        ),
        (resource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"), Metadata),
        (resource("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"), Metadata),
        (resource("networking.k8s.io", "v1", "Ingress", "ingresses"), Metadata),
    ]
}

/// Kinds that a cluster may have: group, kind and plural.
pub const OPTIONAL: [(&str, &str, &str); 5] = [
    ("gateway.networking.k8s.io", "HTTPRoute", "httproutes"),
    ("gateway.networking.k8s.io", "TLSRoute", "tlsroutes"),
    ("cert-manager.io", "Certificate", "certificates"),
    ("keda.sh", "ScaledObject", "scaledobjects"),
    ("monitoring.coreos.com", "ServiceMonitor", "servicemonitors"),
];

/// The kind of this name on a cluster with these optional ones.
#[must_use]
pub fn kind(name: &KindName, optional: &Kinds) -> Option<ApiResource> {
    let own = kinds().into_iter().map(|(kind, _)| kind);
    own.chain(discover::resources(optional)).find(|kind| KindName::of(kind) == *name)
}
