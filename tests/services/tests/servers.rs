//! The servers start, answer, and keep their data when they are killed.

#![allow(clippy::unwrap_used, reason = "helpers fail as tests do")]

use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use millrace_services::Kafka;
use millrace_services::KafkaOptions;
use millrace_services::Mosquitto;
use millrace_services::Postgres;
use millrace_services::PostgresOptions;
use millrace_services::RunServiceError;
use millrace_services::Security;

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";

fn topics(kafka: &Kafka, arguments: &[&str]) -> Result<String, RunServiceError> {
    let servers = kafka.bootstrap_servers();
    kafka.tool(TOPICS, &[&["--bootstrap-server", &*servers], arguments].concat())
}

#[test]
fn kafka_keeps_its_topics_when_it_is_killed() {
    let mut kafka = Kafka::start(1).unwrap();
    topics(&kafka, &["--create", "--topic", "kept", "--partitions", "3"]).unwrap();
    kafka.kill(0);
    assert!(!kafka.is_running(0));
    assert!(matches!(kafka.pause(0), Err(RunServiceError::NotRunning(_))));
    kafka.restart(0).unwrap();
    let told = topics(&kafka, &["--describe", "--topic", "kept"]).unwrap();
    assert!(told.contains("PartitionCount: 3\tReplicationFactor: 1"), "{told}");
    kafka.stop(0).unwrap();
    kafka.restart(0).unwrap();
    assert_eq!(topics(&kafka, &["--list"]).unwrap().trim(), "kept");
}

#[test]
fn two_nodes_of_three_serve_and_three_come_back_together() {
    let mut kafka = Kafka::start(3).unwrap();
    assert_eq!(kafka.nodes(), 3);
    assert_eq!(kafka.bootstrap_servers().split(',').count(), 3);
    kafka.kill(1);
    topics(&kafka, &["--create", "--topic", "kept", "--replication-factor", "2"]).unwrap();
    kafka.kill(0);
    kafka.kill(2);
    kafka.restart_all().unwrap();
    assert!((0..3).all(|node| kafka.is_running(node)));
    assert_eq!(topics(&kafka, &["--list"]).unwrap().trim(), "kept");
}

/// A client's answer at a secured port.
fn list(kafka: &Kafka, servers: &str, folder: &Path, properties: &str) -> Result<(), String> {
    let file = folder.join("client.properties");
    std::fs::write(
        &file,
        format!("request.timeout.ms=5000\ndefault.api.timeout.ms=10000\n{properties}"),
    )
    .unwrap();
    let file = file.display().to_string();
    let arguments = ["--bootstrap-server", servers, "--command-config", &file, "--list"];
    kafka.tool(TOPICS, &arguments).map(drop).map_err(|error| error.to_string())
}

#[test]
fn secured_ports_let_in_who_has_a_certificate_a_password_or_a_token() {
    let kafka = Kafka::start_with(KafkaOptions { secured: true, ..KafkaOptions::default() });
    let kafka = kafka.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let security = kafka.security().unwrap();
    let Security { authority, certificate, key, user, password, .. } = security;
    let trust =
        format!("ssl.truststore.type=PEM\nssl.truststore.location={}\n", authority.display());
    let mutual = kafka.mutual_tls_servers().unwrap();
    let own = folder.path().join("own.pem");
    let read = |path| std::fs::read_to_string(path).unwrap();
    std::fs::write(&own, read(key) + &read(certificate)).unwrap();
    let tls = format!("security.protocol=SSL\n{trust}");
    let shown = format!("{tls}ssl.keystore.type=PEM\nssl.keystore.location={}\n", own.display());
    list(&kafka, &mutual, folder.path(), &shown).unwrap();
    list(&kafka, &mutual, folder.path(), &tls).unwrap_err();
    let sasl = kafka.sasl_servers().unwrap();
    let scram = |mechanism: &str, password: &str| {
        let module = "org.apache.kafka.common.security.scram.ScramLoginModule required";
        format!(
            "security.protocol=SASL_SSL\nsasl.mechanism={mechanism}\n{trust}\
             sasl.jaas.config={module} username=\"{user}\" password=\"{password}\";\n"
        )
    };
    list(&kafka, &sasl, folder.path(), &scram("SCRAM-SHA-256", password)).unwrap();
    list(&kafka, &sasl, folder.path(), &scram("SCRAM-SHA-512", password)).unwrap();
    let refused = list(&kafka, &sasl, folder.path(), &scram("SCRAM-SHA-512", "wrong"));
    assert!(refused.unwrap_err().contains("SaslAuthenticationException"));
    let bearer = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required";
    let bearer = format!(
        "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\n{trust}\
         sasl.jaas.config={bearer} unsecuredLoginStringClaim_sub=\"alice\";\n"
    );
    list(&kafka, &sasl, folder.path(), &bearer).unwrap();
}

#[test]
fn an_unsigned_token_names_its_subject_and_its_times() {
    let token = Security::unsigned_token("alice", 1_700_000_000, 60);
    assert_eq!(
        token,
        "eyJhbGciOiJub25lIn0.\
         eyJleHAiOjE3MDAwMDAwNjAsImlhdCI6MTcwMDAwMDAwMCwic3ViIjoiYWxpY2UifQ."
    );
}

#[test]
fn postgres_keeps_its_rows_when_it_is_killed_with_all_its_sessions() {
    let mut postgres = Postgres::start().unwrap();
    postgres.sql("CREATE TABLE t (x int)").unwrap();
    postgres.sql("INSERT INTO t VALUES (1), (2)").unwrap();
    postgres.kill();
    postgres.sql("SELECT 1").unwrap_err();
    postgres.restart().unwrap();
    assert_eq!(postgres.sql("SELECT x FROM t ORDER BY x").unwrap(), "1\n2");
    postgres.stop().unwrap();
    postgres.restart().unwrap();
    assert_eq!(postgres.sql("SELECT count(*) FROM t").unwrap(), "2");
}

#[test]
fn postgres_refuses_writes_while_it_is_read_only() {
    let mut postgres = Postgres::start().unwrap();
    postgres.sql("CREATE TABLE t (x int)").unwrap();
    postgres.set_read_only(true).unwrap();
    until("writes are refused", || {
        let refused = postgres.sql("INSERT INTO t VALUES (1)").err()?;
        Some(refused.to_string().contains("read-only transaction"))
    });
    postgres.set_read_only(false).unwrap();
    until("writes are taken", || Some(postgres.sql("INSERT INTO t VALUES (2)").is_ok()));
}

#[test]
fn postgres_runs_out_of_disk_and_goes_on_when_there_is_more() {
    let options = PostgresOptions { disk_mib: Some(128), ..PostgresOptions::default() };
    let mut postgres = Postgres::start_with(&options).unwrap();
    postgres.sql("CREATE TABLE t (x text)").unwrap();
    let insert = "INSERT INTO t SELECT repeat('x', 1000) FROM generate_series(1, 10000)";
    postgres.fill_disk().unwrap();
    let full = postgres.sql(insert).unwrap_err().to_string();
    assert!(full.contains("No space left on device"), "{full}");
    postgres.free_disk().unwrap();
    postgres.sql(insert).unwrap();
    assert_eq!(postgres.sql("SELECT count(*) FROM t").unwrap(), "10000");
}

#[test]
fn mosquitto_comes_back_on_its_port() {
    let mut mosquitto = Mosquitto::start("").unwrap();
    let publish = |mosquitto: &Mosquitto| {
        Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &mosquitto.port().to_string()])
            .args(["-t", "a", "-m", "b", "-q", "1"])
            .stderr(Stdio::null())
            .status()
            .expect("mosquitto_pub is installed (Debian: mosquitto-clients)")
            .success()
    };
    assert!(publish(&mosquitto));
    mosquitto.kill();
    assert!(!publish(&mosquitto));
    mosquitto.restart().unwrap();
    assert!(publish(&mosquitto));
}

/// Makes this test program start servers and wait for its death.
const HOLD: &str = "MILLRACE_SERVICES_TESTS_HOLD";

#[test]
fn no_server_outlives_the_process_that_started_it() {
    if let Some(file) = std::env::var_os(HOLD) {
        hold(Path::new(&file));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ids");
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "no_server_outlives_the_process_that_started_it"])
        .env(HOLD, &file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut ids = Vec::new();
    until("servers run", || {
        let text = std::fs::read_to_string(&file).ok()?;
        ids = text.split_whitespace().map(str::to_owned).collect();
        Some(text.ends_with('\n'))
    });
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert!(ids.iter().all(|id| runs(id)));
    owner.kill().unwrap();
    owner.wait().unwrap();
    until("they have ended", || Some(!ids.iter().any(|id| runs(id))));
}

fn hold(file: &Path) -> ! {
    // Started by a thread that ends at once: they must not end with it.
    let (postgres, kafka) =
        std::thread::spawn(|| (Postgres::start().unwrap(), Kafka::start(1).unwrap()))
            .join()
            .unwrap();
    let ids = format!("{} {}\n", postgres.process_id().unwrap(), kafka.process_ids()[0]);
    std::fs::write(file, ids).unwrap();
    loop {
        std::thread::park();
    }
}

/// Whether a process runs that has not ended.
fn runs(id: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with('Z'))
}

fn until(what: &str, mut condition: impl FnMut() -> Option<bool>) {
    let begin = Instant::now();
    while condition() != Some(true) {
        assert!(begin.elapsed() < Duration::from_mins(1), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
