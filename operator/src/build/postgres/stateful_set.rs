//! The server: one pod. It ends by SIGINT, as the image says: open transactions are given up, and
//! the next start has nothing to repair.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::apps::v1::StatefulSetSpec;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::api::core::v1::ContainerPort;
use k8s_openapi::api::core::v1::EmptyDirVolumeSource;
use k8s_openapi::api::core::v1::EnvVar;
use k8s_openapi::api::core::v1::ExecAction;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::api::core::v1::Probe;
use k8s_openapi::api::core::v1::Volume;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::CERTIFICATE;
use super::CONFIGURATION;
use super::OWNER;
use super::PORT;
use super::USER;
use super::configuration;
use crate::build::pod;
use crate::build::pod::Pod;
use crate::build::pod::Reads;
use crate::build::volume;
use crate::labels;
use crate::material;
use crate::names::Part;
use crate::object;
use crate::pipeline::ManagedPostgres;
use crate::pipeline::Pipeline;

/// Texts that the server starts anew for.
const READS: [&str; 3] = ["postgresql.conf", "pg_hba.conf", "start.sh"];

/// The server.
pub(super) fn build_stateful_set(
    pipeline: &Pipeline,
    postgres: &ManagedPostgres,
    configuration: &ConfigMap,
) -> StatefulSet {
    let names = &pipeline.names;
    let name = names.part(Part::Postgres);
    let storage = &postgres.spec.storage;
    StatefulSet {
        metadata: object::metadata(names, &pipeline.owner, Part::Postgres, name.clone()),
        spec: Some(StatefulSetSpec {
            replicas: Some(1),
            service_name: Some(name),
            selector: LabelSelector {
                match_labels: Some(labels::selector(names, Part::Postgres)),
                ..LabelSelector::default()
            },
            template: template(pipeline, postgres, configuration),
            volume_claim_templates: Some(vec![volume::claim_template(
                pipeline,
                Part::Postgres,
                storage,
            )]),
            persistent_volume_claim_retention_policy: Some(volume::retention(pipeline)),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

fn template(
    pipeline: &Pipeline,
    postgres: &ManagedPostgres,
    configuration: &ConfigMap,
) -> PodTemplateSpec {
    let names = &pipeline.names;
    let texts = configuration.data.iter().flatten();
    let mut reads = Reads::default();
    for (key, text) in texts.filter(|(key, _)| READS.contains(&key.as_str())) {
        reads = reads.and(key, text);
    }
    let volumes = vec![
        pod::config_map_volume("configuration", &configuration::name(names), &[]),
        pod::secret_volume("certificate", &names.of("postgres-server"), &[]),
        pod::secret_volume("owner", &names.of("postgres-owner"), &[]),
        pod::empty_volume("run", "1Mi"),
        shared_memory(),
    ];
    pod::template(
        pipeline,
        Pod {
            part: Part::Postgres,
            user: USER,
            containers: vec![server(pipeline, postgres)],
            init_containers: Vec::new(),
            volumes,
            temporary: "64Mi",
            grace_seconds: 60,
            reads,
        },
    )
}

fn server(pipeline: &Pipeline, postgres: &ManagedPostgres) -> Container {
    let (mount, data) = configuration::folders(postgres.spec.version);
    Container {
        name: "postgres".to_owned(),
        image: Some(pipeline.images.postgres.clone()),
        command: Some(vec!["/bin/bash".to_owned(), format!("{CONFIGURATION}/start.sh")]),
        env: Some(vec![
            variable("PGDATA", &data),
            variable("POSTGRES_USER", material::OWNER),
            variable("POSTGRES_DB", material::DATABASE),
            variable("POSTGRES_PASSWORD_FILE", &format!("{OWNER}/password")),
            // Whatever the image's own language is: texts are compared by bytes.
            variable("POSTGRES_INITDB_ARGS", "--encoding=UTF8 --locale=C"),
        ]),
        ports: Some(vec![ContainerPort {
            name: Some("postgres".to_owned()),
            container_port: i32::from(PORT),
            ..ContainerPort::default()
        }]),
        resources: Some(postgres.resources.clone()),
        // Hours: after a crash it goes through its log before it answers.
        startup_probe: Some(Probe { failure_threshold: Some(10_000), ..probe(1) }),
        readiness_probe: Some(probe(5)),
        volume_mounts: Some(vec![
            pod::write_mount(volume::NAME, mount),
            pod::read_mount("configuration", CONFIGURATION),
            pod::read_mount("certificate", CERTIFICATE),
            pod::read_mount("owner", OWNER),
            pod::write_mount("run", "/var/run/postgresql"),
            pod::write_mount("shm", "/dev/shm"),
        ]),
        ..Container::default()
    }
}

/// By the network: while the data folder is made there is a server that only its maker reaches, by
/// a socket.
fn probe(period_seconds: i32) -> Probe {
    let command = ["pg_isready", "--quiet", "--host", "127.0.0.1", "--username", material::OWNER];
    Probe {
        exec: Some(ExecAction { command: Some(command.map(str::to_owned).into()) }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}

/// Queries that several processes work on share this memory; a container's own 64 MiB are too few.
fn shared_memory() -> Volume {
    Volume {
        name: "shm".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: Some("Memory".to_owned()),
            size_limit: Some(Quantity("128Mi".to_owned())),
        }),
        ..Volume::default()
    }
}

fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), ..EnvVar::default() }
}
