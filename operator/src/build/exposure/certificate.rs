//! The certificate that cert-manager gets and renews.

use kube::core::GroupVersionKind;
use millrace_api::IssuerKind;
use serde_json::json;

use crate::build::edge::certificate_secret;
use crate::names::Part;
use crate::object::Object;
use crate::object::metadata;
use crate::pipeline::Pipeline;

/// The `Certificate`, where one is asked for and cert-manager is there.
pub(super) fn build_certificate(pipeline: &Pipeline) -> Option<Object> {
    let Pipeline { names, owner, exposure, kinds, .. } = pipeline;
    let issuer = exposure.tls.as_ref()?.cert_manager.as_ref()?;
    let version = kinds.certificate.as_ref()?;
    if exposure.hosts.is_empty() {
        return None;
    }
    let kind = match issuer.kind {
        IssuerKind::Issuer => "Issuer",
        IssuerKind::ClusterIssuer => "ClusterIssuer",
    };
    Some(Object::custom(
        &GroupVersionKind::gvk("cert-manager.io", version, "Certificate"),
        metadata(names, owner, Part::Edge, names.part(Part::Edge)),
        json!({
            "secretName": certificate_secret(pipeline),
            "dnsNames": exposure.hosts,
            "issuerRef": { "group": "cert-manager.io", "kind": kind, "name": issuer.issuer },
            "privateKey": { "algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always" },
            "usages": ["digital signature", "server auth"],
        }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::all_kinds;
    use crate::fixture::pipeline;

    fn asked_for() -> Pipeline {
        let mut pipeline = pipeline();
        pipeline.kinds = all_kinds();
        pipeline.exposure = serde_yaml_ng::from_str(
            "{hosts: [race.example.com, '*.race.example.com'], tls: {certManager: {issuer: letsencrypt, kind: ClusterIssuer}}}",
        )
        .unwrap();
        pipeline
    }

    #[test]
    fn a_certificate_is_for_all_hosts_and_its_key_changes_with_it() {
        let object = build_certificate(&asked_for()).unwrap();
        assert_eq!(object.kind.api_version, "cert-manager.io/v1");
        assert_eq!(object.name(), "race-edge");
        assert_eq!(
            object.object.data["spec"],
            json!({
                "secretName": "race-issued-certificate",
                "dnsNames": ["race.example.com", "*.race.example.com"],
                "issuerRef": { "group": "cert-manager.io", "kind": "ClusterIssuer", "name": "letsencrypt" },
                "privateKey": { "algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always" },
                "usages": ["digital signature", "server auth"],
            })
        );
    }

    #[test]
    fn without_cert_manager_there_is_none() {
        let mut pipeline = asked_for();
        pipeline.kinds.certificate = None;
        assert!(build_certificate(&pipeline).is_none());
    }
}
