//! The edge's Service.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::core::v1::ServicePort;
use k8s_openapi::api::core::v1::ServiceSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use millrace_api::ServiceType;

use crate::build::edge::HTTP;
use crate::build::edge::HTTPS;
use crate::build::edge::MQTT;
use crate::build::edge::has_mqtt;
use crate::labels;
use crate::names::Part;
use crate::object::metadata;
use crate::pipeline::Pipeline;

/// The Service by which everything reaches the edge.
pub(crate) fn build_edge_service(pipeline: &Pipeline) -> Service {
    let Pipeline { names, owner, exposure, .. } = pipeline;
    let spec = &exposure.edge.service;
    let mut metadata = metadata(names, owner, Part::Edge, names.part(Part::Edge));
    let annotations = spec.annotations.iter();
    metadata.annotations = (!spec.annotations.is_empty())
        .then(|| annotations.map(|(name, value)| (name.clone(), value.to_string())).collect());
    let (type_, is_outside) = match spec.service_type {
        ServiceType::ClusterIp => ("ClusterIP", false),
        ServiceType::NodePort => ("NodePort", true),
        ServiceType::LoadBalancer => ("LoadBalancer", true),
    };
    let counts_clients = exposure.edge.requests.is_some() || exposure.edge.connections.is_some();
    let mut ports =
        vec![port("http", 80, HTTP, Some("http")), port("https", 443, HTTPS, Some("https"))];
    if has_mqtt(pipeline) {
        ports.push(port("mqtts", i32::from(MQTT), MQTT, None));
    }
    let ranges: Vec<String> = spec.source_ranges.iter().map(ToString::to_string).collect();
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(type_.to_owned()),
            selector: Some(labels::selector(names, Part::Edge)),
            ports: Some(ports),
            load_balancer_class: spec.load_balancer_class.as_ref().map(ToString::to_string),
            load_balancer_source_ranges: (!ranges.is_empty()).then_some(ranges),
            // Otherwise clients would be counted by the addresses of nodes.
            external_traffic_policy: (is_outside && counts_clients).then(|| "Local".to_owned()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn port(name: &str, port: i32, target: u16, protocol: Option<&str>) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::Int(i32::from(target))),
        app_protocol: protocol.map(ToOwned::to_owned),
        ..ServicePort::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::pipeline;

    fn service(exposure: &str, mqtt: bool) -> ServiceSpec {
        let mut pipeline = pipeline();
        pipeline.exposure = serde_yaml_ng::from_str(exposure).unwrap();
        pipeline.ways_in.mqtt = mqtt;
        build_edge_service(&pipeline).spec.unwrap()
    }

    fn ports(spec: &ServiceSpec) -> Vec<(i32, String)> {
        let ports = spec.ports.iter().flatten();
        ports
            .map(|port| {
                let target = serde_json::to_string(&port.target_port).unwrap();
                (port.port, target)
            })
            .collect()
    }

    #[test]
    fn without_further_words_it_is_an_address_within_the_cluster() {
        let spec = service("{}", true);
        assert_eq!(spec.type_.as_deref(), Some("ClusterIP"));
        assert_eq!(
            ports(&spec),
            [(80, "8080".to_owned()), (443, "8443".to_owned()), (8883, "8883".to_owned())]
        );
        assert_eq!(spec.external_traffic_policy, None);
    }

    #[test]
    fn there_is_no_port_for_mqtt_where_nobody_speaks_it() {
        let spec = service("{}", false);
        assert_eq!(ports(&spec), [(80, "8080".to_owned()), (443, "8443".to_owned())]);
    }

    #[test]
    fn a_load_balancer_gets_its_class_and_the_addresses_that_it_lets_in() {
        let spec = service(
            "edge: {service: {type: LoadBalancer, loadBalancerClass: example.com/lb, sourceRanges: [10.0.0.0/8]}}",
            true,
        );
        assert_eq!(spec.load_balancer_class.as_deref(), Some("example.com/lb"));
        assert_eq!(spec.load_balancer_source_ranges, Some(vec!["10.0.0.0/8".to_owned()]));
        assert_eq!(spec.external_traffic_policy, None);
    }

    #[test]
    fn where_clients_are_counted_their_addresses_are_kept() {
        let spec =
            service("edge: {service: {type: LoadBalancer}, requests: {perSecond: 10}}", true);
        assert_eq!(spec.external_traffic_policy.as_deref(), Some("Local"));
    }
}
