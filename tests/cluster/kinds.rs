//! Objects of kinds that others define: Gateway API, cert-manager, KEDA and Prometheus' operator.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;

use serde_json::json;

use crate::say;
use crate::support::kubernetes::Namespace;
use crate::support::kubernetes::kubectl;
use crate::support::kubernetes::over_kubernetes;

/// Definitions that the objects are of, and the objects.
const KINDS: [(&str, &str); 5] = [
    ("httproutes.gateway.networking.k8s.io", "of-others-edge"),
    ("tlsroutes.gateway.networking.k8s.io", "of-others-edge"),
    ("certificates.cert-manager.io", "of-others-edge"),
    ("scaledobjects.keda.sh", "of-others-workers"),
    ("servicemonitors.monitoring.coreos.com", "of-others-metrics"),
];

/// `MILLRACE_CRDS` is a command that installs the definitions, called with their names; they are
/// deleted again if the cluster did not have them. No controller of theirs is needed: what is seen is
/// that the API server takes the objects.
#[test]
fn objects_of_kinds_that_others_define_are_made_as_soon_as_the_kinds_are_there() {
    let install = std::env::var("MILLRACE_CRDS");
    let (true, Ok(install)) = (over_kubernetes(), install) else { return };
    let begun = Instant::now();
    for (kind, _) in KINDS {
        assert!(kubectl(&["get", "crd", kind]).is_err(), "{kind}: it has to be missing at first");
    }

    let namespace = Namespace::new();
    // What is asked for has no servers to run with.
    namespace.kubectl(&["create", "quota", "none", "--hard=pods=0"]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pipeline().to_string()).unwrap();
    namespace.apply(file.path()).unwrap();
    let made = |namespace: &Namespace, kind: &str, name: &str| {
        namespace.kubectl(&["get", kind, name]).is_ok()
    };
    namespace.until("all else is made", |namespace| {
        made(namespace, "deployment", "of-others-edge")
            && made(namespace, "statefulset", "of-others-workers")
    });
    namespace.until("what is missing is told", |namespace| {
        let told = namespace.told("of-others");
        ["no HTTPRoute", "no Certificate", "install KEDA"].iter().all(|part| told.contains(part))
    });
    say(begun, "without the kinds all else is made");

    let _installed = Installed::by(&install);
    for (kind, name) in KINDS {
        namespace.until(&format!("{kind} {name} is made"), |namespace| made(namespace, kind, name));
        say(begun, &format!("{kind} {name} is made"));
    }
    namespace.until("nothing is missing any more", |namespace| {
        let told = namespace.told("of-others");
        told.contains("Valid=True Valid: the resource is valid")
            && told.contains("Degraded=True PodsRefused")
            && told.contains("describe certificate of-others-edge")
    });
    // An object of theirs that somebody takes away is made again.
    namespace.kubectl(&["delete", "httproute", "of-others-edge"]).unwrap();
    namespace.until("the route is made again", |namespace| {
        made(namespace, "httproute", "of-others-edge")
    });
    say(begun, "a route that was deleted is made again");
}

fn pipeline() -> serde_json::Value {
    json!({
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "TelemetryPipeline",
        "metadata": {"name": "of-others"},
        "spec": {
            "streams": [{"name": "readings", "key": [".id"], "partitions": 4}],
            "ingest": [
                {"name": "posted", "http": {"path": "/readings"}, "to": "readings"},
                {"name": "published", "mqtt": {"listen": {"topics": ["readings"]}}, "to": "readings"},
            ],
            "processors": [{"name": "same", "from": ["readings"], "map": ".seen = true"}],
            "broker": {"external": {"bootstrapServers": ["kafka.example.com:9092"]}},
            "scaling": {"workers": {"min": 1, "max": 4, "autoscaler": "keda"}},
            "exposure": {
                "mode": "gateway",
                "hosts": ["readings.example.com"],
                "gateway": {"name": "public", "httpsSection": "https", "mqttSection": "mqtt"},
                "tls": {"certManager": {"issuer": "letsencrypt", "kind": "ClusterIssuer"}},
            },
        },
    })
}

/// Definitions that were not there before, and are not afterwards.
struct Installed {
    before: BTreeSet<String>,
}

impl Installed {
    fn by(install: &str) -> Self {
        let installed = Self { before: definitions() };
        let mut words = install.split_whitespace();
        let output = Command::new(words.next().unwrap())
            .args(words)
            .args(["gateway", "cert-manager", "keda", "monitoring"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        installed
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let now = definitions();
        let new: Vec<&str> = now.difference(&self.before).map(String::as_str).collect();
        if !new.is_empty() {
            let _ = kubectl(&[&["delete", "--wait=false"], &new[..]].concat());
        }
    }
}

/// All definitions of the cluster, by name.
fn definitions() -> BTreeSet<String> {
    let names = kubectl(&["get", "crd", "--output", "name"]).unwrap_or_default();
    names.lines().map(ToOwned::to_owned).collect()
}
