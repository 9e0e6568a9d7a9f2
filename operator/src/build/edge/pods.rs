//! The edge's pods.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::api::core::v1::ContainerPort;
use k8s_openapi::api::core::v1::HTTPGetAction;
use k8s_openapi::api::core::v1::Lifecycle;
use k8s_openapi::api::core::v1::LifecycleHandler;
use k8s_openapi::api::core::v1::Probe;
use k8s_openapi::api::core::v1::SleepAction;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::build::deployment::build_deployment;
use crate::build::deployment::fixed;
use crate::build::edge::CERTIFICATE_FOLDER;
use crate::build::edge::CONFIGURATION_FOLDER;
use crate::build::edge::HTTP;
use crate::build::edge::HTTPS;
use crate::build::edge::MQTT;
use crate::build::edge::START;
use crate::build::edge::certificate_secret;
use crate::build::edge::config_map_name;
use crate::build::edge::has_mqtt;
use crate::build::pod::Pod;
use crate::build::pod::Reads;
use crate::build::pod::config_map_volume;
use crate::build::pod::read_mount;
use crate::build::pod::secret_volume;
use crate::build::pod::template;
use crate::names::Part;
use crate::pipeline::Pipeline;

/// The user of nginx images without root.
const USER: i64 = 101;

/// Seconds that a pod which is to end goes on as if nothing were, until nobody sends to it any more.
const FAREWELL_SECONDS: i64 = 10;

/// Seconds that it has to end: the farewell, 25 for requests that are under way (`start.sh`), and
/// some to spare.
const GRACE_SECONDS: i64 = FAREWELL_SECONDS + 35;

/// The pods; none with `exposure.mode: none`.
///
/// A changed configuration or certificate is read by nginx as it runs and rolls nothing.
pub(crate) fn build_edge_deployment(pipeline: &Pipeline) -> Option<Deployment> {
    let names = &pipeline.names;
    let edge = pipeline.edge.as_ref()?;
    let pod = Pod {
        part: Part::Edge,
        user: USER,
        containers: vec![Container {
            resources: Some(edge.resources.clone()),
            ..container(pipeline)
        }],
        init_containers: Vec::new(),
        volumes: vec![
            config_map_volume("configuration", &config_map_name(names), &[]),
            secret_volume(
                "certificate",
                &certificate_secret(pipeline),
                &[("tls.crt", "tls.crt"), ("tls.key", "tls.key")],
            ),
        ],
        temporary: "128Mi",
        grace_seconds: GRACE_SECONDS,
        reads: Reads::default().and("start.sh", START),
    };
    let template = template(pipeline, pod);
    Some(build_deployment(pipeline, Part::Edge, fixed(edge.replicas), template))
}

fn container(pipeline: &Pipeline) -> Container {
    let mut ports = vec![port("http", HTTP), port("https", HTTPS)];
    if has_mqtt(pipeline) {
        ports.push(port("mqtts", MQTT));
    }
    let start = format!("{CONFIGURATION_FOLDER}/start.sh");
    let command = ["/bin/sh", &start, CONFIGURATION_FOLDER, CERTIFICATE_FOLDER, "/tmp"];
    Container {
        name: Part::Edge.name().to_owned(),
        image: Some(pipeline.images.nginx.clone()),
        command: Some(command.map(ToOwned::to_owned).to_vec()),
        ports: Some(ports),
        volume_mounts: Some(vec![
            read_mount("configuration", CONFIGURATION_FOLDER),
            read_mount("certificate", CERTIFICATE_FOLDER),
        ]),
        // It waits for pods behind it, for a minute at most (`start.sh`).
        startup_probe: Some(Probe {
            period_seconds: Some(1),
            failure_threshold: Some(120),
            ..probe()
        }),
        readiness_probe: Some(Probe { period_seconds: Some(5), ..probe() }),
        liveness_probe: Some(Probe { period_seconds: Some(20), ..probe() }),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: FAREWELL_SECONDS }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        ..Container::default()
    }
}

/// Whether nginx answers; not whether anything is behind it.
fn probe() -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some("/healthz".to_owned()),
            port: IntOrString::Int(i32::from(HTTP)),
            ..HTTPGetAction::default()
        }),
        timeout_seconds: Some(3),
        failure_threshold: Some(3),
        ..Probe::default()
    }
}

fn port(name: &str, port: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(port),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::by_processor;
    use crate::fixture::pipeline;

    #[test]
    fn an_autoscaler_decides_alone_how_many_there_are() {
        let mut pipeline = pipeline();
        let replicas =
            |pipeline: &Pipeline| build_edge_deployment(pipeline).unwrap().spec.unwrap().replicas;
        assert_eq!(replicas(&pipeline), Some(1));
        pipeline.edge = Some(by_processor(2, 5, 70));
        assert_eq!(replicas(&pipeline), None);
        pipeline.edge = None;
        assert!(build_edge_deployment(&pipeline).is_none());
    }

    #[test]
    fn another_configuration_rolls_nothing() {
        let mut pipeline = pipeline();
        let template =
            |pipeline: &Pipeline| build_edge_deployment(pipeline).unwrap().spec.unwrap().template;
        let before = template(&pipeline);
        pipeline.exposure.hosts = vec!["race.example.com".into()];
        assert_eq!(template(&pipeline), before);
    }

    #[test]
    fn a_pod_that_ends_serves_until_nobody_sends_to_it() {
        let template = build_edge_deployment(&pipeline()).unwrap().spec.unwrap().template;
        let spec = template.spec.unwrap();
        assert_eq!(spec.termination_grace_period_seconds, Some(45));
        let stop = spec.containers[0].lifecycle.clone().unwrap().pre_stop.unwrap();
        assert_eq!(stop.sleep.unwrap().seconds, 10);
    }
}
