#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use millrace_api::BackupSpec;
use millrace_api::DeletionPolicy;
use serde::de::DeserializeOwned;

use super::*;
use crate::fixture;

fn with_backup() -> Pipeline {
    with(|spec| {
        let text = "{schedule: '0 3 * * *', keep: 5, storage: {size: 20Gi}}";
        let backup: BackupSpec = serde_yaml_ng::from_str(text).unwrap();
        spec.backup = Some(backup);
    })
}

fn with(change: impl Fn(&mut millrace_api::ManagedPostgresSpec)) -> Pipeline {
    let mut pipeline = fixture::pipeline();
    let Some(Tables::Managed(postgres)) = &mut pipeline.tables else { panic!("another's") };
    change(&mut postgres.spec);
    pipeline
}

fn built<T: DeserializeOwned>(pipeline: &Pipeline, kind: &str) -> T {
    let objects = build_postgres(pipeline);
    let object = objects.into_iter().find(|object| object.kind.kind == kind).unwrap();
    serde_json::from_value(serde_json::to_value(object.object).unwrap()).unwrap()
}

fn data(pipeline: &Pipeline) -> std::collections::BTreeMap<String, String> {
    built::<ConfigMap>(pipeline, "ConfigMap").data.unwrap()
}

#[test]
fn from_elsewhere_all_come_over_tls_with_a_password() {
    let data = data(&fixture::pipeline());
    assert_eq!(
        data["pg_hba.conf"],
        "local   all postgres peer\nhostssl all all all scram-sha-256\n"
    );
    for line in [
        "ssl = on",
        "password_encryption = 'scram-sha-256'",
        "hba_file = '/etc/millrace/postgres/pg_hba.conf'",
        "shared_buffers = '128MB'",
        "include = '/var/lib/postgresql/data/pgdata/postgresql.conf'",
    ] {
        assert!(data["postgresql.conf"].lines().any(|one| one == line), "{line}");
    }
    assert!(!data.contains_key("backup.sh"));
}

#[test]
fn the_volume_is_where_the_image_of_the_version_wants_it() {
    let mount = |version| {
        let pipeline = with(|spec| spec.version = version);
        let set = built::<StatefulSet>(&pipeline, "StatefulSet").spec.unwrap();
        let container = set.template.spec.unwrap().containers.remove(0);
        let mounts = container.volume_mounts.unwrap();
        let mount = mounts.into_iter().find(|mount| mount.name == "data").unwrap();
        let variable = container.env.unwrap().into_iter().find(|env| env.name == "PGDATA").unwrap();
        (mount.mount_path, variable.value.unwrap())
    };
    let (below, data) = ("/var/lib/postgresql/data", "/var/lib/postgresql/data/pgdata");
    assert_eq!(mount(17), (below.to_owned(), data.to_owned()));
    let (above, data) = ("/var/lib/postgresql", "/var/lib/postgresql/18/docker");
    assert_eq!(mount(18), (above.to_owned(), data.to_owned()));
}

#[test]
fn the_owners_password_is_a_file() {
    let pipeline = with_backup();
    let set = built::<StatefulSet>(&pipeline, "StatefulSet").spec.unwrap();
    let container = set.template.spec.unwrap().containers.remove(0);
    let env: Vec<_> = container
        .env
        .unwrap()
        .into_iter()
        .map(|env| format!("{}={}", env.name, env.value.unwrap()))
        .collect();
    assert_eq!(
        env,
        [
            "PGDATA=/var/lib/postgresql/data/pgdata",
            "POSTGRES_USER=postgres",
            "POSTGRES_DB=millrace",
            "POSTGRES_PASSWORD_FILE=/etc/millrace/owner/password",
            "POSTGRES_INITDB_ARGS=--encoding=UTF8 --locale=C",
        ]
    );
    for object in build_postgres(&pipeline) {
        let text = serde_json::to_string(&object.object).unwrap();
        assert!(!text.contains(fixture::PASSWORD), "{}", object.name());
    }
}

#[test]
fn a_new_certificate_or_password_does_not_start_the_server_anew() {
    let mut pipeline = fixture::pipeline();
    let template =
        |pipeline: &Pipeline| built::<StatefulSet>(pipeline, "StatefulSet").spec.unwrap().template;
    let before = template(&pipeline);
    let database = pipeline.material.database.as_mut().unwrap();
    database.server.certificate = "another\n".to_owned();
    database.owner.password = crate::material::Hidden::new("another".to_owned());
    assert_eq!(template(&pipeline), before);
}

#[test]
fn dumps_are_made_at_their_times_and_only_so_many_are_kept() {
    let pipeline = with_backup();
    let job = built::<CronJob>(&pipeline, "CronJob").spec.unwrap();
    assert_eq!(job.schedule, "0 3 * * *");
    assert_eq!(job.time_zone.as_deref(), Some("Etc/UTC"));
    assert_eq!(job.concurrency_policy.as_deref(), Some("Forbid"));
    assert_eq!(
        data(&pipeline)["dumps.conf"],
        "PGHOST=race-postgres.factory.svc.cluster.local\nPGDATABASE=millrace\nKEEP=5\n"
    );
    // Another number of dumps does not start the server anew.
    let set = |pipeline: &Pipeline| built::<StatefulSet>(pipeline, "StatefulSet").spec.unwrap();
    assert_eq!(set(&pipeline).template, set(&fixture::pipeline()).template);
}

#[test]
fn dumps_are_copied_to_a_store_once_they_are_made() {
    let pipeline = with(|spec| {
        let text = "{schedule: '0 3 * * *', keep: 5, copyTo: {url: 's3://backups/race', endpoint: 'http://minio:9000', credentials: {name: store}}}";
        spec.backup = Some(serde_yaml_ng::from_str(text).unwrap());
    });
    let job = built::<CronJob>(&pipeline, "CronJob").spec.unwrap().job_template.spec.unwrap();
    // A store that is away does not lead to one dump more for each attempt.
    let rule = job.pod_failure_policy.unwrap().rules.remove(0);
    let container = rule.on_exit_codes.unwrap().container_name.unwrap();
    assert_eq!((rule.action.as_str(), container.as_str()), ("FailJob", "copy"));
    let pod = job.template.spec.unwrap();
    assert_eq!(pod.init_containers.unwrap()[0].name, "backup");
    let [copy] = &pod.containers[..] else { panic!("{:?}", pod.containers) };
    assert_eq!(
        copy.args.as_ref().unwrap().join(" "),
        "dumps copy /backup s3://backups/race --keep 5 --endpoint http://minio:9000 --credentials store --secrets /etc/millrace/secrets"
    );
    let mounts = copy.volume_mounts.as_ref().unwrap().iter();
    let paths: Vec<_> = mounts.map(|mount| mount.mount_path.as_str()).collect();
    assert_eq!(paths, ["/backup", "/etc/millrace/secrets/store", "/tmp"]);
}

#[test]
fn dumps_stay_where_volumes_stay() {
    let mut pipeline = with_backup();
    let claim: PersistentVolumeClaim = built(&pipeline, "PersistentVolumeClaim");
    assert!(claim.metadata.owner_references.is_some());
    pipeline.deletion_policy = DeletionPolicy::Keep;
    let claim: PersistentVolumeClaim = built(&pipeline, "PersistentVolumeClaim");
    assert!(claim.metadata.owner_references.is_none());
    assert_eq!(claim.spec.unwrap().resources.unwrap().requests.unwrap()["storage"].0, "20Gi");
}

#[test]
fn users_and_those_that_take_turns_with_them_are_made() {
    let pipeline = fixture::pipeline();
    let users = database_users(&pipeline.names, pipeline.material.database.as_ref().unwrap());
    let users: Vec<_> = users
        .iter()
        .map(|user| (user.name.as_str(), user.role.name(), user.secret.as_str()))
        .collect();
    assert_eq!(
        users,
        [
            ("worker_a", "worker", "race-postgres-worker"),
            ("worker_b", "worker", "race-postgres-worker-spare"),
            ("query_a", "query", "race-postgres-query"),
            ("query_b", "query", "race-postgres-query-spare"),
            ("analyst_a", "analysts", "race-postgres-analyst"),
            ("analyst_b", "analysts", "race-postgres-analyst-spare"),
        ]
    );
}

#[test]
fn no_server_is_made_for_a_pipeline_without_tables() {
    assert!(build_postgres(&fixture::without_tables()).is_empty());
}
