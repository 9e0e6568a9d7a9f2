use super::*;
use crate::dereference::wanted::Reader;
use crate::fixture;

fn file(pipeline: &Pipeline, key: &str) -> Value {
    serde_yaml_ng::from_str(&files(pipeline)[key]).unwrap()
}

#[test]
fn a_managed_kafka_is_reached_by_all_its_nodes_over_tls_with_a_password() {
    let kafka = file(&fixture::with_three_nodes(), "kafka.yaml");
    assert_eq!(
        kafka,
        json!({
            "bootstrapServers": [
                "race-kafka-0.race-kafka.factory.svc.cluster.local:9092",
                "race-kafka-1.race-kafka.factory.svc.cluster.local:9092",
                "race-kafka-2.race-kafka.factory.svc.cluster.local:9092",
            ],
            "prefix": "factory.race.",
            "replicationFactor": 3,
            "tls": {"certificateAuthority": "/etc/millrace/config-maps/race-trust/ca.crt"},
            "sasl": {
                "mechanism": "SCRAM-SHA-512",
                "usernameFile": "/etc/millrace/secrets/race-kafka-client/username",
                "passwordFile": "/etc/millrace/secrets/race-kafka-client/password",
            },
        })
    );
}

#[test]
fn each_role_comes_to_a_managed_postgres_as_a_user_of_its_own() {
    let pipeline = fixture::pipeline();
    let user = |key: &str| file(&pipeline, key)["usernameFile"].as_str().unwrap().to_owned();
    assert_eq!(
        file(&pipeline, "postgres-worker.yaml"),
        json!({
            "host": "race-postgres.factory.svc.cluster.local",
            "port": 5432,
            "database": "millrace",
            "usernameFile": "/etc/millrace/secrets/race-postgres-worker/username",
            "passwordFile": "/etc/millrace/secrets/race-postgres-worker/password",
            "tls": {
                "mode": "verify-full",
                "certificateAuthority": "/etc/millrace/config-maps/race-trust/ca.crt",
            },
        })
    );
    assert_eq!(user("postgres-query.yaml"), "/etc/millrace/secrets/race-postgres-query/username");
    assert_eq!(
        user("postgres-provision.yaml"),
        "/etc/millrace/secrets/race-postgres-owner/username"
    );
    let roles = file(&pipeline, "roles.yaml");
    assert_eq!(roles["worker"], "telemetry_worker");
    assert_eq!(
        roles["users"][1],
        json!({
            "name": "worker_b",
            "role": "worker",
            "passwordFile": "/etc/millrace/secrets/race-postgres-worker-spare/password",
        })
    );
    assert_eq!(roles["users"].as_array().unwrap().len(), 6);
}

fn external(kafka: &str, postgres: &str) -> Pipeline {
    fixture::with_external(kafka, postgres)
}

const DATABASE_OF_OTHERS: &str = "{host: db.example.com, port: 6432, database: telemetry, schema: races, credentials: {name: db}}";

#[test]
fn another_kafka_is_reached_as_the_resource_says() {
    let kafka = |kafka: &str| file(&external(kafka, DATABASE_OF_OTHERS), "kafka.yaml");
    assert_eq!(
        kafka(
            "{bootstrapServers: ['a:9093', 'b:9093'], prefix: mine., replicationFactor: 2,
              tls: {certificateAuthority: {name: ca, key: root.pem}, clientCertificate: {name: me}}}"
        ),
        json!({
            "bootstrapServers": ["a:9093", "b:9093"],
            "prefix": "mine.",
            "replicationFactor": 2,
            "tls": {
                "certificateAuthority": "/etc/millrace/secrets/ca/root.pem",
                "certificate": "/etc/millrace/secrets/me/tls.crt",
                "key": "/etc/millrace/secrets/me/tls.key",
            },
        })
    );
    let plain = kafka("{bootstrapServers: ['a:9092']}");
    assert_eq!((&plain["prefix"], &plain["tls"]), (&json!("factory.race."), &Value::Null));
    let of_the_system = kafka("{bootstrapServers: ['a:9092'], tls: {}}");
    assert_eq!(of_the_system["tls"], json!({}));
    let scram = "{bootstrapServers: ['a:9093'], tls: {}, \
                 sasl: {mechanism: SCRAM-SHA-256, secret: {name: me}}}";
    assert_eq!(
        kafka(scram)["sasl"],
        json!({
            "mechanism": "SCRAM-SHA-256",
            "usernameFile": "/etc/millrace/secrets/me/username",
            "passwordFile": "/etc/millrace/secrets/me/password",
        })
    );
    let token = "{bootstrapServers: ['a:9093'], tls: {}, \
                 sasl: {mechanism: OAUTHBEARER, secret: {name: me}}}";
    assert_eq!(
        kafka(token)["sasl"],
        json!({"mechanism": "OAUTHBEARER", "tokenFile": "/etc/millrace/secrets/me/token"})
    );
}

#[test]
fn another_postgres_is_checked_as_the_resource_says() {
    const KAFKA: &str = "{bootstrapServers: ['a:9092']}";
    let postgres = |tls: &str| {
        let postgres =
            format!("{{host: db.example.com, database: d, credentials: {{name: db}}{tls}}}");
        file(&external(KAFKA, &postgres), "postgres-worker.yaml")["tls"].clone()
    };
    let authority = "certificateAuthority: {name: ca, key: ca.crt}";
    let file_of = "/etc/millrace/secrets/ca/ca.crt";
    assert_eq!(postgres(""), json!({"mode": "verify-full"}));
    assert_eq!(
        postgres(&format!(", tls: {{{authority}}}")),
        json!({"mode": "verify-full", "certificateAuthority": file_of})
    );
    assert_eq!(
        postgres(&format!(", tls: {{mode: verifyCa, {authority}}}")),
        json!({"mode": "require", "certificateAuthority": file_of})
    );
    // Without an authority `require` would check nothing.
    assert_eq!(
        postgres(", tls: {mode: verifyCa}"),
        json!({"mode": "require", "certificateAuthority": "/etc/ssl/certs/ca-certificates.crt"})
    );
    assert_eq!(
        postgres(&format!(", tls: {{mode: require, {authority}}}")),
        json!({"mode": "require"})
    );
    assert_eq!(postgres(", tls: {mode: disable}"), json!({"mode": "disable"}));
    let file = file(&external(KAFKA, DATABASE_OF_OTHERS), "postgres-query.yaml");
    assert_eq!((&file["port"], &file["schema"]), (&json!(6432), &json!("races")));
}

#[test]
fn a_pipeline_without_tables_knows_no_database() {
    let pipeline = fixture::without_tables();
    assert!(files(&pipeline).keys().eq(["kafka.yaml"]));
    for role in [Role::Ingest, Role::Worker, Role::Query, Role::Provision] {
        assert_eq!(role.files(&pipeline), [("kafka.yaml", "kafka.yaml")]);
    }
}

#[test]
fn ingest_does_not_see_the_password_of_the_database() {
    let managed = fixture::pipeline();
    let secrets = secrets_of(&managed, Role::Ingest);
    assert!(!secrets.iter().any(|name| name.contains("postgres")), "{secrets:?}");
    let external = external("{bootstrapServers: ['a:9092']}", DATABASE_OF_OTHERS);
    assert!(!secrets_of(&external, Role::Ingest).contains("db"));
    for role in [Role::Worker, Role::Query, Role::Provision] {
        assert!(secrets_of(&external, role).contains("db"), "{role:?}");
    }
}

#[test]
fn each_role_sees_what_it_connects_with_and_what_is_its_own() {
    let mut pipeline = external(
        "{bootstrapServers: ['a:9092'], sasl: {mechanism: SCRAM-SHA-512, secret: {name: log}}}",
        DATABASE_OF_OTHERS,
    );
    let named =
        [("users", Reader::Requests), ("devices", Reader::Ingest), ("hooks", Reader::Workers)];
    for (name, reader) in named {
        pipeline.secrets.insert(name.to_owned(), fixture::secret(name, reader));
    }
    pipeline.secrets.remove("multivac-users");
    let seen = |role| secrets_of(&pipeline, role).into_iter().collect::<Vec<_>>();
    assert_eq!(seen(Role::Ingest), ["devices", "log", "users"]);
    assert_eq!(seen(Role::Worker), ["db", "hooks", "log"]);
    assert_eq!(seen(Role::Query), ["db", "log", "users"]);
    assert_eq!(seen(Role::Provision), ["db", "log"]);
}
