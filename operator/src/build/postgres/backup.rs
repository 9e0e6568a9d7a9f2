//! Dumps of the database at certain times, to a volume of their own, and copies of them in an object
//! store.

use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::batch::v1::CronJobSpec;
use k8s_openapi::api::batch::v1::JobSpec;
use k8s_openapi::api::batch::v1::JobTemplateSpec;
use k8s_openapi::api::batch::v1::PodFailurePolicy;
use k8s_openapi::api::batch::v1::PodFailurePolicyOnExitCodesRequirement;
use k8s_openapi::api::batch::v1::PodFailurePolicyRule;
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::core::v1::PersistentVolumeClaimVolumeSource;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::api::core::v1::Volume;
use millrace_api::BackupSpec;
use millrace_api::BackupStoreSpec;
use millrace_api::DeletionPolicy;

use super::CONFIGURATION;
use super::OWNER;
use super::USER;
use super::configuration;
use crate::build::config::SECRETS;
use crate::build::pod;
use crate::build::pod::Pod;
use crate::build::pod::Reads;
use crate::build::process::PROGRAM;
use crate::build::volume;
use crate::names::Part;
use crate::object;
use crate::pipeline::ManagedPostgres;
use crate::pipeline::Pipeline;

/// The container that copies dumps.
const COPY: &str = "copy";

/// Where the volume of dumps is mounted.
const FOLDER: &str = "/backup";

/// The volume of dumps. It stays where volumes stay.
pub(super) fn build_claim(pipeline: &Pipeline, spec: &BackupSpec) -> PersistentVolumeClaim {
    let names = &pipeline.names;
    let name = names.part(Part::Backup);
    let mut metadata = object::metadata(names, &pipeline.owner, Part::Backup, name);
    if pipeline.deletion_policy == DeletionPolicy::Keep {
        metadata.owner_references = None;
    }
    PersistentVolumeClaim {
        metadata,
        spec: Some(volume::claim(&spec.storage)),
        ..PersistentVolumeClaim::default()
    }
}

/// When dumps are made.
pub(super) fn build_cron_job(
    pipeline: &Pipeline,
    spec: &BackupSpec,
    postgres: &ManagedPostgres,
) -> CronJob {
    let names = &pipeline.names;
    let name = names.part(Part::Backup);
    CronJob {
        metadata: object::metadata(names, &pipeline.owner, Part::Backup, name),
        spec: Some(CronJobSpec {
            schedule: spec.schedule.to_string(),
            time_zone: Some("Etc/UTC".to_owned()),
            concurrency_policy: Some("Forbid".to_owned()),
            starting_deadline_seconds: Some(3600),
            successful_jobs_history_limit: Some(1),
            failed_jobs_history_limit: Some(3),
            job_template: JobTemplateSpec {
                spec: Some(JobSpec {
                    backoff_limit: Some(2),
                    pod_failure_policy: spec.copy_to.as_ref().map(|_| without_another_dump()),
                    template: template(pipeline, spec, postgres),
                    ..JobSpec::default()
                }),
                ..JobTemplateSpec::default()
            },
            ..CronJobSpec::default()
        }),
        ..CronJob::default()
    }
}

/// What could not be copied is copied by the next Job: another attempt of this one would make another
/// dump, which takes the place of an old one.
fn without_another_dump() -> PodFailurePolicy {
    let failed = PodFailurePolicyOnExitCodesRequirement {
        container_name: Some(COPY.to_owned()),
        operator: "NotIn".to_owned(),
        values: vec![0],
    };
    PodFailurePolicy {
        rules: vec![PodFailurePolicyRule {
            action: "FailJob".to_owned(),
            on_exit_codes: Some(failed),
            ..PodFailurePolicyRule::default()
        }],
    }
}

fn template(pipeline: &Pipeline, spec: &BackupSpec, postgres: &ManagedPostgres) -> PodTemplateSpec {
    let names = &pipeline.names;
    let dumps = Volume {
        name: "backup".to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: names.part(Part::Backup),
            ..PersistentVolumeClaimVolumeSource::default()
        }),
        ..Volume::default()
    };
    let dump = Container {
        name: "backup".to_owned(),
        image: Some(pipeline.images.postgres.clone()),
        command: Some(vec!["/bin/bash".to_owned(), format!("{CONFIGURATION}/backup.sh")]),
        resources: Some(postgres.resources.clone()),
        volume_mounts: Some(vec![
            pod::write_mount("backup", FOLDER),
            pod::read_mount("configuration", CONFIGURATION),
            pod::read_mount("owner", OWNER),
            pod::read_mount("trust", "/etc/millrace/trust"),
        ]),
        ..Container::default()
    };
    let mut volumes = vec![
        dumps,
        pod::config_map_volume("configuration", &configuration::name(names), &[]),
        pod::secret_volume("owner", &names.of("postgres-owner"), &[]),
        pod::config_map_volume("trust", &names.of("trust"), &[]),
    ];
    let (containers, init_containers) = match &spec.copy_to {
        Some(store) => {
            let credentials = store.credentials.as_ref();
            volumes.extend(
                credentials.map(|secret| pod::secret_volume("credentials", &secret.name, &[])),
            );
            (vec![copy(pipeline, spec.keep, store)], vec![dump])
        }
        None => (vec![dump], Vec::new()),
    };
    let mut template = pod::template(
        pipeline,
        Pod {
            part: Part::Backup,
            user: USER,
            containers,
            init_containers,
            volumes,
            temporary: "64Mi",
            grace_seconds: 30,
            reads: Reads::default(),
        },
    );
    if let Some(spec) = &mut template.spec {
        spec.restart_policy = Some("Never".to_owned());
    }
    template
}

/// Copies the dumps that the store does not have yet, once another one is made.
fn copy(pipeline: &Pipeline, keep: i32, store: &BackupStoreSpec) -> Container {
    let mut arguments = ["dumps", "copy", FOLDER, &store.url].map(str::to_owned).to_vec();
    arguments.extend(["--keep".to_owned(), keep.to_string()]);
    for (name, value) in [
        ("--endpoint", store.endpoint.as_deref()),
        ("--region", store.region.as_deref()),
        ("--credentials", store.credentials.as_ref().map(|secret| &*secret.name)),
    ] {
        arguments.extend(value.into_iter().flat_map(|value| [name.to_owned(), value.to_owned()]));
    }
    let mut mounts = vec![pod::write_mount("backup", FOLDER)];
    if let Some(secret) = &store.credentials {
        arguments.extend(["--secrets".to_owned(), SECRETS.to_owned()]);
        mounts.push(pod::read_mount("credentials", &format!("{SECRETS}/{}", secret.name)));
    }
    Container {
        name: COPY.to_owned(),
        image: Some(pipeline.images.millrace.clone()),
        command: Some(vec![PROGRAM.to_owned()]),
        args: Some(arguments),
        resources: Some(pod::job_resources()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}
