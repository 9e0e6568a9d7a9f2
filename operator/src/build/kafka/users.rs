//! The step that makes the users of clients: a container for the Job that provisions, before
//! anything else in it. It comes as the admin, by certificate; passwords are only in files.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::api::core::v1::Volume;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::CERTIFICATE;
use super::CONFIGURATION;
use super::configuration;
use crate::build::pod;
use crate::pipeline::Pipeline;

/// Where users and passwords are mounted, a folder for each.
const USERS: &str = "/etc/millrace/users";

/// The step, and the volumes that its pod needs for it.
pub(crate) struct UsersStep {
    /// An init container. It writes to `/tmp` alone, which every pod has.
    pub(crate) container: Container,
    /// Volumes whose names begin with `kafka-`.
    pub(crate) volumes: Vec<Volume>,
}

/// The step that makes the users of a managed Kafka. It waits until a node can be reached.
pub(crate) fn users_step(pipeline: &Pipeline) -> UsersStep {
    let names = &pipeline.names;
    let volumes = vec![
        pod::config_map_volume("kafka-configuration", &configuration::name(names), &[]),
        pod::secret_volume("kafka-admin", &names.of("kafka-admin"), &[]),
        pod::secret_volume("kafka-client", &names.of("kafka-client"), &[]),
        pod::secret_volume("kafka-spare", &names.of("kafka-client-spare"), &[]),
    ];
    let container = Container {
        name: "users".to_owned(),
        image: Some(pipeline.images.kafka.clone()),
        command: Some(vec!["/bin/bash".to_owned(), format!("{CONFIGURATION}/users.sh")]),
        resources: Some(ResourceRequirements {
            requests: Some(amounts("100m", "192Mi")),
            limits: Some(BTreeMap::from([("memory".to_owned(), Quantity("384Mi".to_owned()))])),
            ..ResourceRequirements::default()
        }),
        volume_mounts: Some(vec![
            pod::read_mount("kafka-configuration", CONFIGURATION),
            pod::read_mount("kafka-admin", CERTIFICATE),
            pod::read_mount("kafka-client", &format!("{USERS}/client")),
            pod::read_mount("kafka-spare", &format!("{USERS}/spare")),
        ]),
        ..Container::default()
    };
    UsersStep { container, volumes }
}

fn amounts(cpu: &str, memory: &str) -> BTreeMap<String, Quantity> {
    BTreeMap::from([
        ("cpu".to_owned(), Quantity(cpu.to_owned())),
        ("memory".to_owned(), Quantity(memory.to_owned())),
    ])
}
