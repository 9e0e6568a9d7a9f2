//! The state of tasks that other processes run, kept ready: what is read when a task moves, and
//! what it takes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

mod common;

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use common::name;
use common::stream;
use millrace_log::Assignment;
use millrace_log::GroupMember;
use millrace_log::Log;
use millrace_log::StageConfig;
use millrace_log::StandbyStatistics;
use millrace_log::StateChange;
use millrace_log::StateEntry;
use millrace_log::TaskClaim;
use millrace_log::TaskCommit;
use millrace_log::TaskName;
use millrace_log::kafka::KafkaLog;
use millrace_log::kafka::KafkaSettings;
use millrace_log::kafka::StandbyOptions;
use rand::Rng;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_mins(1);
const VALUE: [u8; 100] = [b'x'; 100];

/// A pipeline of its own in a cluster.
struct Pipeline {
    settings: KafkaSettings,
}

impl Pipeline {
    /// One with a stream `in` and tasks of `stage`, as many as partitions.
    async fn new(partitions: i32) -> Self {
        let servers = millrace_services::kafka().unwrap();
        let prefix = format!("standbys-{:016x}.", rand::rng().random::<u64>());
        let settings = format!("{{\"bootstrapServers\": [{servers:?}], \"prefix\": {prefix:?}}}");
        let pipeline = Self { settings: serde_json::from_str(&settings).unwrap() };
        let log = pipeline.process("provision", 0).await;
        log.ensure_streams(&[stream("in", partitions)]).await.unwrap();
        log.ensure_tasks(&[StageConfig { name: "stage".to_owned(), partitions }]).await.unwrap();
        log.close().await;
        pipeline
    }

    /// A process of this name that keeps state for so many that may go.
    async fn process(&self, name: &str, leaving: usize) -> Arc<KafkaLog> {
        self.process_with(name, StandbyOptions { leaving, ..StandbyOptions::default() }).await
    }

    async fn process_with(&self, name: &str, options: StandbyOptions) -> Arc<KafkaLog> {
        let settings = self.settings.clone();
        KafkaLog::connect_with_standbys(settings, "test", name, options).await.unwrap()
    }
}

fn task(partition: i32) -> TaskName {
    TaskName { stage: "stage".to_owned(), partition }
}

async fn join(log: &KafkaLog) -> GroupMember {
    log.join_group("stage", &[name("in")]).await.unwrap()
}

/// Waits until a member has so many partitions.
async fn has(member: &GroupMember, count: usize) -> Assignment {
    let mut assignment = member.assignment();
    let assigned = assignment.wait_for(|partitions| partitions.len() == count);
    timeout(PATIENCE, assigned).await.unwrap().unwrap().clone()
}

/// Waits until what a process keeps fulfils a condition.
async fn keeps(
    log: &KafkaLog,
    condition: impl Fn(&[StandbyStatistics]) -> bool,
) -> Vec<StandbyStatistics> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = log.statistics().standbys;
        if condition(&found) {
            return found;
        }
        assert!(Instant::now() < deadline, "{found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is kept of a task. Of its own a process keeps what it has read before it claims them.
fn of(kept: &[StandbyStatistics], partition: i32) -> Option<&StandbyStatistics> {
    kept.iter().find(|standby| standby.task == task(partition))
}

fn is_level(kept: &[StandbyStatistics], partition: i32, entries: u64) -> bool {
    of(kept, partition).is_some_and(|standby| standby.lag == Some(0) && standby.entries == entries)
}

fn is_given_up(kept: &[StandbyStatistics], partition: i32) -> bool {
    of(kept, partition).is_some_and(|standby| !standby.is_kept && standby.bytes == 0)
}

fn change(key: usize, value: Option<&'static [u8]>) -> StateChange {
    let (store, key) = ("s".to_owned(), Bytes::from(format!("key-{key}")));
    StateChange { store, key, value: value.map(Bytes::from_static) }
}

/// Commits values of these keys.
async fn write(log: &KafkaLog, claim: &TaskClaim, keys: std::ops::Range<usize>) {
    let state = keys.map(|key| change(key, Some(&VALUE))).collect();
    log.commit_task(claim, TaskCommit { state, ..TaskCommit::default() }).await.unwrap();
}

async fn remove(log: &KafkaLog, claim: &TaskClaim, key: usize) {
    let state = vec![change(key, None)];
    log.commit_task(claim, TaskCommit { state, ..TaskCommit::default() }).await.unwrap();
}

async fn claim(log: &KafkaLog, partition: i32) -> (TaskClaim, Vec<StateEntry>) {
    let (claim, snapshot) = log.claim_task(&task(partition)).await.unwrap();
    (claim, snapshot.state)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_with_a_standby_moves_and_only_the_rest_of_its_changelog_is_read() {
    let pipeline = Pipeline::new(2).await;
    let (first, second) = (pipeline.process("a", 1).await, pipeline.process("b", 1).await);
    let member = join(&first).await;
    has(&member, 2).await;
    let (claim_0, _) = claim(&first, 0).await;
    for begin in (0..1000).step_by(100) {
        write(&first, &claim_0, begin..begin + 100).await;
    }
    let guest = join(&second).await;
    assert_eq!(*has(&guest, 1).await.keys().next().unwrap(), 1, "members sort by their names");
    keeps(&second, |kept| is_level(kept, 0, 1000)).await;

    // What is committed from now on may be read by the standby, or be left for the claim.
    write(&first, &claim_0, 0..10).await;
    write(&first, &claim_0, 1000..1020).await;
    remove(&first, &claim_0, 5).await;
    drop(member);
    has(&guest, 2).await;
    let before = second.statistics().restored_records;
    let (_, state) = claim(&second, 0).await;
    let read = second.statistics().restored_records - before;
    assert!(read <= 31, "{read} records were read of 1031");

    let other = pipeline.process("other", 0).await;
    let (_, whole) = claim(&other, 0).await;
    assert_eq!(other.statistics().restored_records, 1031);
    assert_eq!((state.len(), state == whole), (1019, true));
    for log in [first, second, other] {
        log.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_takes_what_is_there_while_the_standby_is_being_read() {
    let pipeline = Pipeline::new(2).await;
    let (first, second) = (pipeline.process("a", 1).await, pipeline.process("b", 1).await);
    let member = join(&first).await;
    has(&member, 2).await;
    let (claim_0, _) = claim(&first, 0).await;
    for begin in (0..200_000).step_by(10_000) {
        write(&first, &claim_0, begin..begin + 10_000).await;
    }
    let guest = join(&second).await;
    has(&guest, 1).await;
    keeps(&second, |kept| of(kept, 0).is_some()).await;
    let (_, state) = claim(&second, 0).await;
    assert_eq!(state.len(), 200_000);
    let other = pipeline.process("other", 0).await;
    assert!(claim(&other, 0).await.1 == state);
    for log in [first, second, other] {
        log.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_comes_reads_first_what_will_be_its_own() {
    let pipeline = Pipeline::new(2).await;
    let (first, second) = (pipeline.process("a", 1).await, pipeline.process("b", 1).await);
    let member = join(&first).await;
    has(&member, 2).await;
    let (claim_1, _) = claim(&first, 1).await;
    write(&first, &claim_1, 0..500).await;
    let guest = join(&second).await;
    assert_eq!(*has(&guest, 1).await.keys().next().unwrap(), 1);
    let (_, state) = claim(&second, 1).await;
    assert_eq!((state.len(), second.statistics().restored_records), (500, 0));
    first.close().await;
    second.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_there_is_no_room_for_is_not_kept_and_restored_as_a_whole() {
    let pipeline = Pipeline::new(4).await;
    let options = StandbyOptions { leaving: 1, max_bytes: 100_000 };
    let first = pipeline.process("a", 1).await;
    let second = pipeline.process_with("b", options).await;
    let member = join(&first).await;
    has(&member, 4).await;
    let (large, _) = claim(&first, 0).await;
    write(&first, &large, 0..5000).await;
    let (small, _) = claim(&first, 1).await;
    write(&first, &small, 0..100).await;

    let guest = join(&second).await;
    has(&guest, 2).await;
    let found = keeps(&second, |kept| is_given_up(kept, 0) && is_level(kept, 1, 100)).await;
    let bytes = of(&found, 1).unwrap().bytes;
    assert!((20_000..100_000).contains(&bytes), "{bytes}");
    // A standby that grows beyond its room is let go, too.
    write(&first, &small, 100..1000).await;
    keeps(&second, |kept| is_given_up(kept, 1)).await;

    drop(member);
    has(&guest, 4).await;
    assert_eq!(claim(&second, 0).await.1.len(), 5000);
    assert_eq!(claim(&second, 1).await.1.len(), 1000);
    assert_eq!(second.statistics().restored_records, 6000);
    first.close().await;
    second.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_option_nothing_is_kept() {
    let pipeline = Pipeline::new(2).await;
    let (first, second) = (pipeline.process("a", 0).await, pipeline.process("b", 0).await);
    let member = join(&first).await;
    has(&member, 2).await;
    let (claim_0, _) = claim(&first, 0).await;
    write(&first, &claim_0, 0..100).await;
    let guest = join(&second).await;
    has(&guest, 1).await;
    assert_eq!(second.statistics().standbys, []);
    drop(member);
    has(&guest, 2).await;
    assert_eq!(claim(&second, 0).await.1.len(), 100);
    assert_eq!(second.statistics().restored_records, 100);
    assert_eq!(second.statistics().standbys, []);
    first.close().await;
    second.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_goes_when_the_group_is_left() {
    let pipeline = Pipeline::new(2).await;
    let (first, second) = (pipeline.process("a", 1).await, pipeline.process("b", 1).await);
    let member = join(&first).await;
    has(&member, 2).await;
    let (claim_0, _) = claim(&first, 0).await;
    write(&first, &claim_0, 0..100).await;
    let guest = join(&second).await;
    has(&guest, 1).await;
    keeps(&second, |kept| is_level(kept, 0, 100)).await;
    drop(guest);
    keeps(&second, <[_]>::is_empty).await;
    first.close().await;
    second.close().await;
}
