//! Tasks in Kafka that several processes share: who has which, and that nobody else commits.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers fail as tests do"
)]

#[path = "../common/mod.rs"]
mod common;
mod pipeline;

use std::io::BufRead;
use std::io::BufReader;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use common::name;
use common::stream;
use millrace_log::AppendError;
use millrace_log::CommitTaskError;
use millrace_log::EnsureStreamsError;
use millrace_log::JoinGroupError;
use millrace_log::Log;
use millrace_log::TaskClaim;
use millrace_log::kafka::KafkaLog;
use millrace_services::Kafka;
use pipeline::Pipeline;
use pipeline::commit;
use pipeline::has;
use pipeline::is_fenced;
use pipeline::join;
use pipeline::number;
use pipeline::outputs_when;
use pipeline::stage;
use pipeline::task;
use rand::Rng;
use rdkafka::ClientConfig;
use rdkafka::producer::BaseProducer;
use rdkafka::producer::BaseRecord;
use rdkafka::producer::Producer;
use tokio::time::timeout;

const PREFIX: &str = "MILLRACE_TEST_PREFIX";
const SERVERS: &str = "MILLRACE_TEST_SERVERS";
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_are_shared_and_come_back_when_a_member_leaves() {
    let pipeline = Pipeline::new();
    let first = pipeline.first(6).await;
    let second = pipeline.process("second").await;
    let member = join(&first).await;
    let alone = has(&member, 6).await;

    let guest = join(&second).await;
    let (mine, theirs) = (has(&member, 3).await, has(&guest, 3).await);
    assert!(mine.keys().all(|partition| !theirs.contains_key(partition)), "{mine:?} {theirs:?}");
    assert!(mine.iter().all(|(partition, epoch)| alone[partition] == *epoch), "kept, kept on");

    drop(guest);
    let again = has(&member, 6).await;
    for (partition, epoch) in &again {
        if mine.contains_key(partition) {
            assert_eq!(*epoch, alone[partition], "it was in no other hands");
        } else {
            assert!(*epoch > alone[partition], "it was in other hands");
        }
    }
    first.close().await;
    second.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_goes_on_where_its_partition_is_kept_and_is_fenced_where_it_is_not() {
    let pipeline = Pipeline::new();
    let first = pipeline.first(2).await;
    let second = pipeline.process("second").await;
    let member = join(&first).await;
    has(&member, 2).await;
    let mut claims = Vec::new();
    for partition in [0, 1] {
        let (claim, _) = first.claim_task(&task(partition)).await.unwrap();
        first.commit_task(&claim, commit(partition, 0)).await.unwrap();
        claims.push(claim);
    }

    let guest = join(&second).await;
    let kept = *has(&member, 1).await.keys().next().unwrap();
    let moved = *has(&guest, 1).await.keys().next().unwrap();
    let claim_of = |partition: i32| &claims[usize::try_from(partition).unwrap()];
    first.commit_task(claim_of(kept), commit(kept, 1)).await.unwrap();
    let refused = first.commit_task(claim_of(moved), commit(moved, 7)).await;
    assert!(is_fenced(&refused), "{refused:?}");
    let (taken, snapshot) = second.claim_task(&task(moved)).await.unwrap();
    assert_eq!(number(&snapshot.state), 0);
    second.commit_task(&taken, commit(moved, 1)).await.unwrap();

    drop(guest);
    has(&member, 2).await;
    first.commit_task(claim_of(kept), commit(kept, 2)).await.unwrap();
    let refused = first.commit_task(claim_of(moved), commit(moved, 7)).await;
    assert!(is_fenced(&refused), "it is ours again, but was in other hands: {refused:?}");
    let refused = second.commit_task(&taken, commit(moved, 8)).await;
    assert!(refused.is_ok() || is_fenced(&refused), "{refused:?}");
    let (again, snapshot) = first.claim_task(&task(moved)).await.unwrap();
    let reached = number(&snapshot.state);
    first.commit_task(&again, commit(moved, 9)).await.unwrap();
    assert_eq!(outputs_when(&first, kept, 3).await, [0, 1, 2]);
    let expected: Vec<_> = if reached == 8 { vec![0, 1, 8, 9] } else { vec![0, 1, 9] };
    assert_eq!(outputs_when(&first, moved, expected.len()).await, expected);
    first.close().await;
    second.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_whose_state_another_has_changed_between_two_rebalances_is_fenced() {
    let pipeline = Pipeline::new();
    let first = pipeline.first(2).await;
    let second = pipeline.process("second").await;
    let member = join(&first).await;
    has(&member, 2).await;
    let mut claims = Vec::new();
    for partition in [0, 1] {
        let (claim, _) = first.claim_task(&task(partition)).await.unwrap();
        first.commit_task(&claim, commit(partition, 0)).await.unwrap();
        // As a member would that had the partition in a generation which the first never saw.
        let (between, _) = second.claim_task(&task(partition)).await.unwrap();
        second.commit_task(&between, commit(partition, 1)).await.unwrap();
        claims.push(claim);
    }

    let _guest = join(&second).await;
    let kept = *has(&member, 1).await.keys().next().unwrap();
    let claim = &claims[usize::try_from(kept).unwrap()];
    let refused = first.commit_task(claim, commit(kept, 7)).await;
    assert!(is_fenced(&refused), "{refused:?}");
    let (claim, snapshot) = first.claim_task(&task(kept)).await.unwrap();
    assert_eq!(number(&snapshot.state), 1);
    first.commit_task(&claim, commit(kept, 2)).await.unwrap();
    assert_eq!(outputs_when(&first, kept, 3).await, [0, 1, 2]);
    first.close().await;
    second.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_process_name_twice_fences_the_first_one() {
    let pipeline = Pipeline::new();
    let first = pipeline.first(2).await;
    let twin = pipeline.process("first").await;
    let (claim, _) = first.claim_task(&task(0)).await.unwrap();
    first.commit_task(&claim, commit(0, 0)).await.unwrap();
    let (other, _) = twin.claim_task(&task(1)).await.unwrap();
    twin.commit_task(&other, commit(1, 0)).await.unwrap();

    let refused = first.commit_task(&claim, commit(0, 7)).await;
    assert!(is_fenced(&refused), "{refused:?}");
    let refused = first.commit_task(&claim, commit(0, 8)).await;
    assert!(is_fenced(&refused), "it stays so: {refused:?}");
    twin.commit_task(&other, commit(1, 1)).await.unwrap();
    assert_eq!(outputs_when(&twin, 1, 2).await, [0, 1]);
    assert_eq!(outputs_when(&twin, 0, 1).await, [0]);
    assert_eq!(number(&twin.task_state(&task(0)).await.unwrap()), 0);
    first.close().await;
    twin.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_aborted_transaction_wrote_is_never_read() {
    let pipeline = Pipeline::new();
    let first = pipeline.first(1).await;
    let (claim, _) = first.claim_task(&task(0)).await.unwrap();
    first.commit_task(&claim, commit(0, 0)).await.unwrap();

    let Pipeline { servers, prefix } = &pipeline;
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("transactional.id", format!("{prefix}aborts"))
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    for topic in ["out", "stage.changelog"] {
        let topic = format!("{prefix}{topic}");
        let record = BaseRecord::to(&topic).partition(0).key("not a key").payload("nothing");
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let reader = pipeline.process("reader").await;
    let claiming = tokio::spawn(async move { reader.claim_task(&task(0)).await.unwrap().1 });
    let mut next = 1;
    while next < 5 {
        first.commit_task(&claim, commit(0, next)).await.unwrap();
        next += 1;
    }
    assert!(!claiming.is_finished(), "the transaction might still be committed");
    producer.abort_transaction(PATIENCE).unwrap();

    let snapshot = timeout(PATIENCE, claiming).await.unwrap().unwrap();
    assert_eq!(number(&snapshot.state), 4);
    assert_eq!(outputs_when(&first, 0, 5).await, [0, 1, 2, 3, 4]);
    first.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_made_once_though_the_broker_dies_under_them() {
    let mut kafka = Kafka::start(1).unwrap();
    let pipeline = Pipeline::at(kafka.bootstrap_servers());
    let first = pipeline.first(1).await;
    let (claim, _) = first.claim_task(&task(0)).await.unwrap();
    for death in 0..3 {
        for number in 0..5 {
            first.commit_task(&claim, commit(0, death * 10 + number)).await.unwrap();
        }
        let committing = {
            let (first, claim) = (Arc::clone(&first), claim.clone());
            tokio::spawn(async move { insist(&first, &claim, death * 10 + 5).await })
        };
        // Somewhere in the transaction.
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(0..15))).await;
        kafka.kill(0);
        kafka.restart(0).unwrap();
        timeout(4 * PATIENCE, committing).await.unwrap().unwrap();
    }
    let expected: Vec<i64> =
        (0..3).flat_map(|death| (0..6).map(move |number| death * 10 + number)).collect();
    assert_eq!(outputs_when(&first, 0, expected.len()).await, expected);
    assert_eq!(number(&first.task_state(&task(0)).await.unwrap()), 25);
    first.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_made_once_though_the_broker_is_silent_for_longer_than_they_wait() {
    let mut kafka = Kafka::start(1).unwrap();
    let pipeline = Pipeline::at(kafka.bootstrap_servers());
    let first = pipeline.first(1).await;
    let (claim, _) = first.claim_task(&task(0)).await.unwrap();
    for number in 0..20 {
        first.commit_task(&claim, commit(0, number)).await.unwrap();
    }
    let committing = {
        let (first, claim) = (Arc::clone(&first), claim.clone());
        tokio::spawn(async move {
            for number in 20..100 {
                insist(&first, &claim, number).await;
            }
        })
    };
    // Somewhere in a transaction; whether it is committed is found out afterwards.
    tokio::time::sleep(Duration::from_millis(rand::rng().random_range(10..60))).await;
    kafka.pause(0).unwrap();
    tokio::time::sleep(Duration::from_secs(13)).await;
    kafka.resume(0).unwrap();
    timeout(4 * PATIENCE, committing).await.unwrap().unwrap();
    let expected: Vec<i64> = (0..100).collect();
    assert_eq!(outputs_when(&first, 0, expected.len()).await, expected);
    assert_eq!(number(&first.task_state(&task(0)).await.unwrap()), 99);
    first.close().await;
}

/// Commits until it is committed; a refusal says that it was not.
async fn insist(log: &KafkaLog, claim: &TaskClaim, number: i64) {
    let (began, mut refusals) = (Instant::now(), Vec::new());
    loop {
        match log.commit_task(claim, commit(0, number)).await {
            Ok(_) => return,
            Err(CommitTaskError::Append(AppendError::Unavailable(reason))) => {
                refusals.push((began.elapsed().as_secs(), reason));
                refusals.dedup();
                // Only ever reached by one that never comes to an end.
                assert!(began.elapsed() < 3 * PATIENCE, "{refusals:?}");
            }
            Err(error) => panic!("{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Not a test of its own: a process that commits without end, until it is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(prefix), Ok(servers)) = (std::env::var(PREFIX), std::env::var(SERVERS)) else { return };
    let log = Pipeline { servers, prefix }.process("child").await;
    let member = join(&log).await;
    has(&member, 1).await;
    let (claim, snapshot) = log.claim_task(&task(0)).await.unwrap();
    let mut next = number(&snapshot.state) + 1;
    loop {
        match log.commit_task(&claim, commit(0, next)).await {
            Ok(_) => println!("\ncommitted {next}"),
            Err(CommitTaskError::Fenced { .. }) => {
                println!("\nfenced");
                return;
            }
            Err(error) => println!("\nrefused {error:?}"),
        }
        next += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_stopped_for_longer_than_its_session_cannot_commit() {
    let pipeline = Pipeline::new();
    let first = pipeline.first(1).await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(PREFIX, &pipeline.prefix)
        .env(SERVERS, &pipeline.servers)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map(Result::unwrap).filter(|line| {
        line.starts_with("committed ") || line.starts_with("refused ") || line == "fenced"
    });
    assert!(lines.by_ref().take(5).all(|line| line.starts_with("committed ")));
    let signal = |name: &str| {
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    };
    signal("-STOP");
    let member = join(&first).await;
    has(&member, 1).await;
    let (claim, snapshot) = first.claim_task(&task(0)).await.unwrap();
    let reached = number(&snapshot.state);
    first.commit_task(&claim, commit(0, 1_000_000)).await.unwrap();
    signal("-CONT");
    let rest: Vec<String> = lines.collect();
    assert_eq!(rest.last().map(String::as_str), Some("fenced"), "{rest:?}");
    assert!(child.wait().unwrap().success());

    // Awake it may have taken part in the group again before it ended, and have had the partition.
    let deadline = Instant::now() + 3 * PATIENCE;
    loop {
        has(&member, 1).await;
        let (claim, snapshot) = first.claim_task(&task(0)).await.unwrap();
        assert_eq!(number(&snapshot.state), 1_000_000);
        match first.commit_task(&claim, commit(0, 1_000_001)).await {
            Ok(_) => break,
            Err(CommitTaskError::Fenced { .. }) => assert!(Instant::now() < deadline),
            Err(error) => panic!("{error:?}"),
        }
    }
    let mut expected: Vec<i64> = (0..=reached).collect();
    expected.extend([1_000_000, 1_000_001]);
    assert_eq!(outputs_when(&first, 0, expected.len()).await, expected);
    let said = rest.iter().filter_map(|line| line.strip_prefix("committed ")).next_back();
    assert!(said.is_none_or(|said| said.parse::<i64>().unwrap() <= reached), "{said:?} {reached}");
    first.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_read_streams_that_exist_and_have_equally_many_partitions() {
    let pipeline = Pipeline::new();
    let first = pipeline.first(2).await;
    first.ensure_streams(&[stream("more", 3)]).await.unwrap();
    let joined = first.join_group("stage", &[name("in"), name("nowhere")]).await;
    assert!(matches!(joined, Err(JoinGroupError::UnknownStream { .. })), "{joined:?}");
    let joined = first.join_group("stage", &[name("in"), name("more")]).await;
    let Err(JoinGroupError::PartitionCounts { partitions, .. }) = joined else {
        panic!("{joined:?}")
    };
    assert_eq!(partitions, "in: 2, more: 3");
    let refused = first.ensure_tasks(&[stage("stage", 3)]).await;
    assert!(
        matches!(refused, Err(EnsureStreamsError::PartitionCount { existing: 2, wanted: 3, .. })),
        "{refused:?}"
    );
    first.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_far_tasks_have_come_is_seen_in_their_group() {
    let pipeline = Pipeline::new();
    let first = pipeline.first(1).await;
    let member = join(&first).await;
    has(&member, 1).await;
    let (claim, _) = first.claim_task(&task(0)).await.unwrap();
    first.commit_task(&claim, commit(0, 41)).await.unwrap();
    assert_eq!(first.group_offset("stage", &name("in"), 0).await.unwrap(), Some(42));
    first.commit_group_offset("stage", &name("other"), 0, 5).await.unwrap();
    assert_eq!(first.group_offset("stage", &name("other"), 0).await.unwrap(), Some(5));

    let refused = first.remove(&[], &[task(0)]).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "it has a member: {refused:?}");
    drop(member);
    first.remove(&[], &[task(0)]).await.unwrap();
    assert_eq!(first.group_offset("stage", &name("in"), 0).await.unwrap(), None);
    assert_eq!(first.task_state(&task(0)).await.unwrap(), []);
    let member = join(&first).await;
    has(&member, 1).await;
    first.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_process_sees_what_one_has_committed() {
    let pipeline = Pipeline::new();
    let first = pipeline.first(1).await;
    let watcher = pipeline.process("watcher").await;
    let (claim, _) = first.claim_task(&task(0)).await.unwrap();
    for next in 0..5 {
        first.commit_task(&claim, commit(0, next)).await.unwrap();
        assert_eq!(number(&watcher.task_state(&task(0)).await.unwrap()), next);
        let positions = watcher.task_positions(&task(0)).await.unwrap();
        assert_eq!(positions[0].next, next + 1);
    }
    first.close().await;
    watcher.close().await;
}
