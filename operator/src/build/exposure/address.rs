//! Where a pipeline is reached, as far as it is known: for its status.

use k8s_openapi::api::core::v1::Service;
use millrace_api::Endpoint;
use millrace_api::ExposureMode;
use millrace_api::ServiceType;

use crate::build::edge::MQTT;
use crate::build::edge::has_mqtt;
use crate::names::Part;
use crate::pipeline::Pipeline;

/// The address of the dashboard. `service` is the edge's Service as it is in the cluster now.
///
/// The first host that is no pattern; else the load balancer's address, once there is one; else the
/// name within the cluster. None where it is that of an Ingress or a Gateway, which we do not know.
pub(crate) fn url(pipeline: &Pipeline, service: Option<&Service>) -> Option<String> {
    if pipeline.edge.is_none() {
        return Some(format!("http://{}:8080", pipeline.names.host(Part::Query)));
    }
    if let Some(host) = host(pipeline) {
        return Some(format!("https://{host}"));
    }
    match pipeline.exposure.mode {
        ExposureMode::Ingress | ExposureMode::Gateway => None,
        ExposureMode::Edge | ExposureMode::None => {
            service_host(pipeline, service).map(|host| format!("https://{host}"))
        }
    }
}

/// Where the pipeline is reached: `http`, and `mqtt` where clients speak it. Without an edge they are
/// addresses within the cluster, and `ingest` is where events go.
pub(crate) fn endpoints(pipeline: &Pipeline, service: Option<&Service>) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    let mut add = |name: &str, url: String| endpoints.push(Endpoint { name: name.to_owned(), url });
    if let Some(url) = url(pipeline, service) {
        add("http", url);
    }
    if pipeline.edge.is_none() {
        if pipeline.ingest.is_some() {
            let host = pipeline.names.host(Part::Ingest);
            if !pipeline.ways_in.http.is_empty() {
                add("ingest", format!("http://{host}:8080"));
            }
            if pipeline.ways_in.mqtt {
                add("mqtt", format!("mqtt://{host}:1883"));
            }
        }
    } else if has_mqtt(pipeline)
        && let Some(host) = mqtt_host(pipeline, service)
    {
        add("mqtt", format!("mqtts://{host}:{MQTT}"));
    }
    endpoints
}

/// With an Ingress, and with a Gateway that has no listener for it, MQTT goes by the edge's own
/// Service, where the declared hosts do not lead.
fn mqtt_host(pipeline: &Pipeline, service: Option<&Service>) -> Option<String> {
    let exposure = &pipeline.exposure;
    let is_by_gateway = exposure.gateway.as_ref().is_some_and(|it| it.mqtt_section.is_some())
        && pipeline.kinds.tls_route.is_some();
    let is_by_host = match exposure.mode {
        ExposureMode::Edge => true,
        ExposureMode::Gateway => is_by_gateway,
        ExposureMode::Ingress | ExposureMode::None => false,
    };
    if is_by_host && let Some(host) = host(pipeline) {
        return Some(host);
    }
    service_host(pipeline, service)
}

fn host(pipeline: &Pipeline) -> Option<String> {
    let mut hosts = pipeline.exposure.hosts.iter();
    hosts.find(|host| !host.starts_with('*')).map(ToString::to_string)
}

fn service_host(pipeline: &Pipeline, service: Option<&Service>) -> Option<String> {
    match pipeline.exposure.edge.service.service_type {
        ServiceType::LoadBalancer => {
            let balancer = service?.status.as_ref()?.load_balancer.as_ref()?;
            balancer.ingress.as_ref()?.iter().find_map(|ingress| {
                ingress.hostname.clone().or_else(|| ingress.ip.as_deref().map(address))
            })
        }
        ServiceType::ClusterIp | ServiceType::NodePort => Some(pipeline.names.host(Part::Edge)),
    }
}

/// An address as it is written in a URL.
fn address(ip: &str) -> String {
    if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::all_kinds;
    use crate::fixture::pipeline;

    fn with(exposure: &str) -> Pipeline {
        let mut pipeline = pipeline();
        pipeline.kinds = all_kinds();
        pipeline.exposure = serde_yaml_ng::from_str(exposure).unwrap();
        pipeline
    }

    fn balanced(ingress: &str) -> Service {
        serde_yaml_ng::from_str(&format!("status: {{loadBalancer: {{ingress: [{ingress}]}}}}"))
            .unwrap()
    }

    fn shown(pipeline: &Pipeline, service: Option<&Service>) -> Vec<String> {
        let endpoints = endpoints(pipeline, service).into_iter();
        endpoints.map(|endpoint| format!("{} {}", endpoint.name, endpoint.url)).collect()
    }

    #[test]
    fn a_declared_host_is_the_address() {
        let pipeline = with("{hosts: ['*.example.com', race.example.com]}");
        assert_eq!(
            shown(&pipeline, None),
            ["http https://race.example.com", "mqtt mqtts://race.example.com:8883"]
        );
    }

    #[test]
    fn without_a_host_it_is_that_of_the_service() {
        let pipeline = with("{}");
        assert_eq!(
            shown(&pipeline, None),
            [
                "http https://race-edge.factory.svc.cluster.local",
                "mqtt mqtts://race-edge.factory.svc.cluster.local:8883",
            ]
        );
    }

    #[test]
    fn a_load_balancer_has_an_address_once_it_is_given_one() {
        let pipeline = with("{edge: {service: {type: LoadBalancer}}}");
        assert_eq!(url(&pipeline, None), None);
        assert_eq!(url(&pipeline, Some(&Service::default())), None);
        let of = |ingress: &str| url(&pipeline, Some(&balanced(ingress))).unwrap();
        assert_eq!(of("{ip: 203.0.113.7}"), "https://203.0.113.7");
        assert_eq!(of("{ip: '2001:db8::7'}"), "https://[2001:db8::7]");
        assert_eq!(of("{hostname: lb.example.com}"), "https://lb.example.com");
    }

    #[test]
    fn with_an_ingress_mqtt_goes_by_the_edges_own_service() {
        let pipeline = with(
            "{mode: ingress, hosts: [race.example.com], ingress: {className: nginx}, edge: {service: {type: LoadBalancer}}}",
        );
        assert_eq!(
            shown(&pipeline, Some(&balanced("{ip: 203.0.113.7}"))),
            ["http https://race.example.com", "mqtt mqtts://203.0.113.7:8883"]
        );
        assert_eq!(shown(&pipeline, None), ["http https://race.example.com"]);
    }

    #[test]
    fn with_a_gateway_mqtt_goes_by_its_listener_where_one_is_named() {
        let pipeline = with(
            "{mode: gateway, hosts: [race.example.com], gateway: {name: front, mqttSection: mqtt}}",
        );
        assert_eq!(shown(&pipeline, None)[1], "mqtt mqtts://race.example.com:8883");
        let pipeline = with("{mode: gateway, gateway: {name: front}}");
        assert_eq!(
            shown(&pipeline, None),
            ["mqtt mqtts://race-edge.factory.svc.cluster.local:8883"]
        );
    }

    #[test]
    fn without_an_edge_the_parts_are_reached_within_the_cluster() {
        let mut pipeline = with("{mode: none}");
        pipeline.edge = None;
        assert_eq!(
            shown(&pipeline, None),
            [
                "http http://race-query.factory.svc.cluster.local:8080",
                "ingest http://race-ingest.factory.svc.cluster.local:8080",
                "mqtt mqtt://race-ingest.factory.svc.cluster.local:1883",
            ]
        );
    }
}
