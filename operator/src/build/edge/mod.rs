//! The edge: an nginx that all requests from outside pass. `nginx` is its configuration, `pods` and
//! `service` are what runs it and leads to it.

mod certificate;
mod nginx;
mod pods;
mod service;

use k8s_openapi::api::core::v1::ConfigMap;

pub(crate) use self::certificate::ISSUED;
pub(crate) use self::certificate::certificate_secret;
pub(crate) use self::pods::build_edge_deployment;
pub(crate) use self::service::build_edge_service;
use crate::names::Names;
use crate::names::Part;
use crate::object::Object;
use crate::object::metadata;
use crate::pipeline::Pipeline;

/// Port of plain HTTP in the pods.
pub(crate) const HTTP: u16 = 8080;

/// Port of HTTPS in the pods.
pub(crate) const HTTPS: u16 = 8443;

/// Port of MQTT over TLS, in the pods and of the Service.
pub(crate) const MQTT: u16 = 8883;

/// Folder of the configuration.
const CONFIGURATION_FOLDER: &str = "/etc/millrace/edge";

/// Folder of the certificate.
const CERTIFICATE_FOLDER: &str = "/etc/millrace/certificate";

/// What starts nginx.
const START: &str = include_str!("start.sh");

/// Its objects; none with `exposure.mode: none`.
pub(crate) fn build_edge(pipeline: &Pipeline) -> Vec<Object> {
    let Some(deployment) = build_edge_deployment(pipeline) else { return Vec::new() };
    vec![
        Object::of(&build_edge_config_map(pipeline)),
        Object::of(&build_edge_service(pipeline)),
        Object::of(&deployment),
    ]
}

/// Whether clients reach the pipeline over MQTT by the edge.
pub(crate) const fn has_mqtt(pipeline: &Pipeline) -> bool {
    pipeline.ways_in.mqtt && pipeline.ingest.is_some()
}

fn config_map_name(names: &Names) -> String {
    names.part(Part::Edge)
}

/// What nginx reads, and what starts it.
pub(crate) fn build_edge_config_map(pipeline: &Pipeline) -> ConfigMap {
    let Pipeline { names, owner, .. } = pipeline;
    ConfigMap {
        metadata: metadata(names, owner, Part::Edge, config_map_name(names)),
        data: Some(
            [
                ("nginx.conf".to_owned(), nginx::configuration(pipeline)),
                ("start.sh".to_owned(), START.to_owned()),
            ]
            .into(),
        ),
        ..ConfigMap::default()
    }
}
