//! Routes of the Gateway API to the edge.

use kube::core::GroupVersionKind;
use millrace_api::ExposureMode;
use millrace_api::GatewaySpec;
use serde_json::Value;
use serde_json::json;

use crate::build::edge::MQTT;
use crate::build::edge::has_mqtt;
use crate::build::exposure::BEHIND;
use crate::names::Part;
use crate::object::Object;
use crate::object::metadata;
use crate::pipeline::Pipeline;

const GROUP: &str = "gateway.networking.k8s.io";

/// The route of HTTP, with `exposure.mode: gateway`.
pub(super) fn build_http_route(pipeline: &Pipeline) -> Option<Object> {
    let gateway = gateway(pipeline)?;
    let version = pipeline.kinds.http_route.as_ref()?;
    let mut spec = json!({
        "parentRefs": [parent(gateway, gateway.https_section.as_deref())],
        "rules": [{
            "matches": [{ "path": { "type": "PathPrefix", "value": "/" } }],
            "backendRefs": [backend(pipeline, BEHIND)],
        }],
    });
    if !pipeline.exposure.hosts.is_empty() {
        spec["hostnames"] = json!(pipeline.exposure.hosts);
    }
    Some(route(pipeline, version, "HTTPRoute", spec))
}

/// The route of MQTT over TLS, which the Gateway passes on as it is, where a listener is named for
/// it. It is told apart by its host, so without hosts there is none.
pub(super) fn build_tls_route(pipeline: &Pipeline) -> Option<Object> {
    let gateway = gateway(pipeline)?;
    let section = gateway.mqtt_section.as_deref()?;
    let version = pipeline.kinds.tls_route.as_ref()?;
    if !has_mqtt(pipeline) || pipeline.exposure.hosts.is_empty() {
        return None;
    }
    let spec = json!({
        "parentRefs": [parent(gateway, Some(section))],
        "hostnames": pipeline.exposure.hosts,
        "rules": [{ "backendRefs": [backend(pipeline, i32::from(MQTT))] }],
    });
    Some(route(pipeline, version, "TLSRoute", spec))
}

fn gateway(pipeline: &Pipeline) -> Option<&GatewaySpec> {
    let exposure = &pipeline.exposure;
    exposure.gateway.as_ref().filter(|_| exposure.mode == ExposureMode::Gateway)
}

fn parent(gateway: &GatewaySpec, section: Option<&str>) -> Value {
    let mut parent = json!({ "group": GROUP, "kind": "Gateway", "name": gateway.name });
    if let Some(namespace) = &gateway.namespace {
        parent["namespace"] = json!(namespace);
    }
    if let Some(section) = section {
        parent["sectionName"] = json!(section);
    }
    parent
}

fn backend(pipeline: &Pipeline, port: i32) -> Value {
    json!({ "group": "", "kind": "Service", "name": pipeline.names.part(Part::Edge), "port": port })
}

fn route(pipeline: &Pipeline, version: &str, kind: &str, spec: Value) -> Object {
    let Pipeline { names, owner, .. } = pipeline;
    Object::custom(
        &GroupVersionKind::gvk(GROUP, version, kind),
        metadata(names, owner, Part::Edge, names.part(Part::Edge)),
        spec,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::all_kinds;
    use crate::fixture::pipeline;

    fn behind_a_gateway() -> Pipeline {
        let mut pipeline = pipeline();
        pipeline.kinds = all_kinds();
        pipeline.exposure = serde_yaml_ng::from_str(
            "{mode: gateway, hosts: [race.example.com], gateway: {name: front, namespace: gateways, httpsSection: https, mqttSection: mqtt}}",
        )
        .unwrap();
        pipeline
    }

    #[test]
    fn http_goes_to_the_edge_by_the_named_listener() {
        let object = build_http_route(&behind_a_gateway()).unwrap();
        assert_eq!(object.kind.api_version, "gateway.networking.k8s.io/v1");
        assert_eq!(
            object.object.data["spec"],
            json!({
                "parentRefs": [{
                    "group": "gateway.networking.k8s.io",
                    "kind": "Gateway",
                    "name": "front",
                    "namespace": "gateways",
                    "sectionName": "https",
                }],
                "hostnames": ["race.example.com"],
                "rules": [{
                    "matches": [{ "path": { "type": "PathPrefix", "value": "/" } }],
                    "backendRefs": [{ "group": "", "kind": "Service", "name": "race-edge", "port": 80 }],
                }],
            })
        );
    }

    #[test]
    fn mqtt_has_a_route_of_its_own_that_leaves_tls_to_the_edge() {
        let object = build_tls_route(&behind_a_gateway()).unwrap();
        assert_eq!(object.kind.kind, "TLSRoute");
        assert_eq!(object.object.data["spec"]["parentRefs"][0]["sectionName"], "mqtt");
        assert_eq!(object.object.data["spec"]["rules"][0]["backendRefs"][0]["port"], 8883);
    }

    #[test]
    fn there_is_a_route_of_mqtt_only_where_one_can_be() {
        let mut pipeline = behind_a_gateway();
        pipeline.ways_in.mqtt = false;
        assert!(build_tls_route(&pipeline).is_none());
        let mut pipeline = behind_a_gateway();
        pipeline.exposure.hosts.clear();
        assert!(build_tls_route(&pipeline).is_none());
        let mut pipeline = behind_a_gateway();
        pipeline.exposure.gateway.as_mut().unwrap().mqtt_section = None;
        assert!(build_tls_route(&pipeline).is_none());
    }

    #[test]
    fn without_the_kinds_there_are_no_routes() {
        let mut pipeline = behind_a_gateway();
        pipeline.kinds = crate::pipeline::Kinds::default();
        assert!(build_http_route(&pipeline).is_none());
        assert!(build_tls_route(&pipeline).is_none());
    }
}
