//! Brokers that want to know who we are: mutual TLS, SCRAM and bearer tokens, from files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

mod common;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use common::append;
use common::name;
use common::read_all;
use common::stream;
use millrace_log::EnsureStreamsError;
use millrace_log::Log;
use millrace_log::TaskCommit;
use millrace_log::TaskName;
use millrace_log::kafka::ConnectKafkaError;
use millrace_log::kafka::KafkaLog;
use millrace_log::kafka::KafkaSasl;
use millrace_log::kafka::KafkaSettings;
use millrace_log::kafka::KafkaTls;
use millrace_log::kafka::ReadAhead;
use millrace_services::Kafka;
use millrace_services::KafkaOptions;
use millrace_services::Security;

/// Everything that has a client of its own: appends, reads, commits, groups.
async fn works(settings: KafkaSettings) {
    let log = KafkaLog::connect(settings, "test", "test-0").await.unwrap();
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    log.append(vec![append("a", 0, "k", 1, 0)]).await.unwrap();
    let task = TaskName { stage: "s".to_owned(), partition: 0 };
    let (claim, _) = log.claim_task(&task).await.unwrap();
    let outputs = vec![append("a", 0, "k", 2, 0)];
    log.commit_task(&claim, TaskCommit { outputs, ..TaskCommit::default() }).await.unwrap();
    assert_eq!(read_all(&*log, "a", 0).await.unwrap().len(), 2);
    log.commit_group_offset("g", &name("a"), 0, 2).await.unwrap();
    assert_eq!(log.group_offset("g", &name("a"), 0).await.unwrap(), Some(2));
    log.close().await;
}

/// Why no broker lets us in.
async fn refused(settings: KafkaSettings) -> String {
    let connected = KafkaLog::connect(settings, "test", "test-0").await;
    let Err(ConnectKafkaError::Unreachable { reason, .. }) = connected else {
        panic!("it must not be let in")
    };
    reason
}

fn written(folder: &Path, file: &str, text: &str) -> PathBuf {
    let path = folder.join(file);
    fs::write(&path, text).unwrap();
    path
}

fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_prove_who_they_are_in_every_way_that_can_be_configured() {
    let options = KafkaOptions { secured: true, ..KafkaOptions::default() };
    let kafka = Kafka::start_with(options).unwrap();
    let security = kafka.security().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = |servers: String, prefix: &str, tls: KafkaTls, sasl| KafkaSettings {
        bootstrap_servers: servers.split(',').map(str::to_owned).collect(),
        prefix: Some(prefix.to_owned()),
        replication_factor: 1,
        tls: Some(tls),
        sasl,
        read_ahead: ReadAhead::default(),
    };
    let mutual =
        |prefix: &str, tls| settings(kafka.mutual_tls_servers().unwrap(), prefix, tls, None);
    let sasl = |prefix: &str, sasl| {
        let tls = KafkaTls {
            certificate_authority: Some(security.authority.clone()),
            ..Default::default()
        };
        settings(kafka.sasl_servers().unwrap(), prefix, tls, Some(sasl))
    };

    let certified = KafkaTls {
        certificate_authority: Some(security.authority.clone()),
        certificate: Some(security.certificate.clone()),
        key: Some(security.key.clone()),
    };
    works(mutual("mutual.", certified.clone())).await;
    // The brokers' certificates are signed by nobody whom the system trusts.
    let reason = refused(mutual("mutual.", KafkaTls::default())).await;
    assert!(reason.contains("certificate"), "{reason}");

    let username_file = written(folder.path(), "user", security.user);
    let password_file = written(folder.path(), "password", &format!("{}\n", security.password));
    let wrong = written(folder.path(), "wrong", "guessed");
    works(sasl(
        "scram-256.",
        KafkaSasl::ScramSha256 {
            username_file: username_file.clone(),
            password_file: password_file.clone(),
        },
    ))
    .await;
    works(sasl(
        "scram-512.",
        KafkaSasl::ScramSha512 { username_file: username_file.clone(), password_file },
    ))
    .await;
    let wrong = KafkaSasl::ScramSha512 { username_file, password_file: wrong };
    let reason = refused(sasl("wrong.", wrong)).await;
    assert!(reason.contains("Authentication failed"), "{reason}");

    let token = Security::unsigned_token("ann", now_seconds(), 600);
    let token_file = written(folder.path(), "token", &token);
    let bearer = sasl("bearer.", KafkaSasl::OAuthBearer { token_file });
    let log = KafkaLog::connect(bearer.clone(), "test", "test-0").await.unwrap();
    let error = log.ensure_streams(&[stream("a", 1)]).await.unwrap_err();
    let EnsureStreamsError::Create { source, .. } = error else { panic!("{error}") };
    assert!(source.to_string().contains("millrace provision"), "{source}");
    log.close().await;
    // Topics are made by someone with another proof; all else goes with a token.
    let log = KafkaLog::connect(mutual("bearer.", certified), "test", "test-0").await.unwrap();
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    log.close().await;
    works(bearer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_read_again_before_it_expires() {
    let options = KafkaOptions { secured: true, ..KafkaOptions::default() };
    let kafka = Kafka::start_with(options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let token = |seconds| Security::unsigned_token("ann", now_seconds(), seconds);
    let token_file = written(folder.path(), "token", &token(15));
    let settings = KafkaSettings {
        bootstrap_servers: vec![kafka.sasl_servers().unwrap()],
        prefix: Some("p.".to_owned()),
        replication_factor: 1,
        tls: Some(KafkaTls {
            certificate_authority: Some(kafka.security().unwrap().authority.clone()),
            ..Default::default()
        }),
        sasl: Some(KafkaSasl::OAuthBearer { token_file: token_file.clone() }),
        read_ahead: ReadAhead::default(),
    };
    let plain = KafkaSettings {
        bootstrap_servers: vec![kafka.bootstrap_servers()],
        tls: None,
        sasl: None,
        ..settings.clone()
    };
    let log = KafkaLog::connect(plain, "test", "test-0").await.unwrap();
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    log.close().await;
    let log = KafkaLog::connect(settings, "test", "test-0").await.unwrap();
    let began = std::time::Instant::now();
    let mut number = 0;
    // Longer than the first token lasts; brokers end sessions whose tokens have expired.
    while began.elapsed() < Duration::from_secs(25) {
        fs::write(&token_file, token(15)).unwrap();
        log.append(vec![append("a", 0, "k", number, 0)]).await.unwrap();
        number += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let read = read_all(&*log, "a", 0).await.unwrap();
    assert_eq!(i64::try_from(read.len()).unwrap(), number);
    log.close().await;
}
