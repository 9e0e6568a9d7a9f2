//! The Ingress in front of the edge.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::HTTPIngressPath;
use k8s_openapi::api::networking::v1::HTTPIngressRuleValue;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::api::networking::v1::IngressBackend;
use k8s_openapi::api::networking::v1::IngressRule;
use k8s_openapi::api::networking::v1::IngressServiceBackend;
use k8s_openapi::api::networking::v1::IngressSpec;
use k8s_openapi::api::networking::v1::IngressTLS;
use k8s_openapi::api::networking::v1::ServiceBackendPort;
use millrace_api::ExposureMode;

use crate::build::edge::certificate_secret;
use crate::build::exposure::BEHIND;
use crate::names::Part;
use crate::object::metadata;
use crate::pipeline::Pipeline;

/// What the controller of ingress-nginx has to be told, so that it neither holds streams back nor
/// refuses bodies that the edge takes. Written for its class alone.
const OF_NGINX: [(&str, &str); 5] = [
    ("nginx.ingress.kubernetes.io/proxy-body-size", "0"),
    ("nginx.ingress.kubernetes.io/proxy-buffering", "off"),
    ("nginx.ingress.kubernetes.io/proxy-read-timeout", "86400"),
    ("nginx.ingress.kubernetes.io/proxy-request-buffering", "off"),
    ("nginx.ingress.kubernetes.io/proxy-send-timeout", "86400"),
];

/// The Ingress, with `exposure.mode: ingress`.
pub(super) fn build_ingress(pipeline: &Pipeline) -> Option<Ingress> {
    let Pipeline { names, owner, exposure, .. } = pipeline;
    let spec = exposure.ingress.as_ref().filter(|_| exposure.mode == ExposureMode::Ingress)?;
    let class = spec.class_name.to_string();
    let known: &[(&str, &str)] = if class == "nginx" { &OF_NGINX } else { &[] };
    let mut annotations: BTreeMap<String, String> =
        known.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    annotations
        .extend(spec.annotations.iter().map(|(name, value)| (name.clone(), value.to_string())));
    let mut metadata = metadata(names, owner, Part::Edge, names.part(Part::Edge));
    metadata.annotations = (!annotations.is_empty()).then_some(annotations);
    let hosts: Vec<String> = exposure.hosts.iter().map(ToString::to_string).collect();
    let rules = if hosts.is_empty() {
        vec![rule(pipeline, None)]
    } else {
        hosts.iter().map(|host| rule(pipeline, Some(host.clone()))).collect()
    };
    Some(Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: Some(class),
            rules: Some(rules),
            tls: Some(vec![IngressTLS {
                hosts: (!hosts.is_empty()).then_some(hosts),
                secret_name: Some(certificate_secret(pipeline)),
            }]),
            ..IngressSpec::default()
        }),
        ..Ingress::default()
    })
}

fn rule(pipeline: &Pipeline, host: Option<String>) -> IngressRule {
    let service = IngressServiceBackend {
        name: pipeline.names.part(Part::Edge),
        port: Some(ServiceBackendPort { number: Some(BEHIND), ..ServiceBackendPort::default() }),
    };
    IngressRule {
        host,
        http: Some(HTTPIngressRuleValue {
            paths: vec![HTTPIngressPath {
                path: Some("/".to_owned()),
                path_type: "Prefix".to_owned(),
                backend: IngressBackend { service: Some(service), ..IngressBackend::default() },
            }],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::pipeline;

    fn ingress(exposure: &str) -> Option<serde_json::Value> {
        let mut pipeline = pipeline();
        pipeline.exposure = serde_yaml_ng::from_str(exposure).unwrap();
        build_ingress(&pipeline).map(|ingress| serde_json::to_value(ingress).unwrap())
    }

    #[test]
    fn all_hosts_lead_to_the_edge_by_its_certificate() {
        let ingress = ingress(
            "{mode: ingress, hosts: [a.example.com, b.example.com], ingress: {className: traefik, annotations: {a/b: c}}, tls: {secret: {name: mine}}}",
        )
        .unwrap();
        let path = serde_json::json!([{
            "path": "/",
            "pathType": "Prefix",
            "backend": { "service": { "name": "race-edge", "port": { "number": 80 } } },
        }]);
        assert_eq!(
            ingress["spec"],
            serde_json::json!({
                "ingressClassName": "traefik",
                "rules": [
                    { "host": "a.example.com", "http": { "paths": path } },
                    { "host": "b.example.com", "http": { "paths": path } },
                ],
                "tls": [{ "hosts": ["a.example.com", "b.example.com"], "secretName": "mine" }],
            })
        );
        assert_eq!(ingress["metadata"]["annotations"], serde_json::json!({ "a/b": "c" }));
    }

    #[test]
    fn the_resources_annotations_win_over_those_for_a_known_class() {
        let ingress = ingress(
            "{mode: ingress, ingress: {className: nginx, annotations: {nginx.ingress.kubernetes.io/proxy-body-size: 1m}}}",
        )
        .unwrap();
        let annotations = &ingress["metadata"]["annotations"];
        assert_eq!(annotations["nginx.ingress.kubernetes.io/proxy-body-size"], "1m");
        assert_eq!(annotations["nginx.ingress.kubernetes.io/proxy-buffering"], "off");
    }

    #[test]
    fn in_other_modes_there_is_none() {
        assert_eq!(ingress("{mode: edge}"), None);
    }
}
