//! How long tasks stand still whose process was killed: until another one has their state.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::BufRead;
use std::io::BufReader;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use millrace_log::Assignment;
use millrace_log::GroupMember;
use millrace_log::Log;
use millrace_log::StateChange;
use millrace_log::TaskClaim;
use millrace_log::TaskCommit;
use millrace_log::TaskName;
use millrace_log::TaskSnapshot;
use millrace_log::kafka::KafkaLog;
use millrace_log::kafka::KafkaSettings;
use millrace_log::kafka::StandbyOptions;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinSet;

use super::Failure;

/// What the process that is killed is told first.
pub(super) const CHILD: &str = "child";
const STAGE: &str = "state";
const WORKS: &str = "works";
const PAUSE: Duration = Duration::from_millis(10);

/// Two processes share tasks; one of them is killed. `leaving` is how many may go with their state
/// kept ready.
pub(super) async fn measure(
    settings: &Value,
    tasks: usize,
    leaving: usize,
) -> Result<Value, Failure> {
    let mut child = Command::new(std::env::current_exe()?)
        .args([CHILD, &settings.to_string(), &leaving.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let out = child.stdout.take().ok_or("it says nothing")?;
    let is_at_work = BufReader::new(out)
        .lines()
        .map_while(Result::ok)
        .any(|line| line == format!("\"{WORKS}\""));
    if !is_at_work {
        return Err("the other process ended".into());
    }

    let log = connect(settings, "b", leaving).await?;
    let (began, read) = (Instant::now(), log.statistics().restored_records);
    let member = join(&log).await?;
    let joined = began.elapsed().as_secs_f64();
    let mine = has(&member, tasks / 2).await?;
    let state = claim(&log, mine.keys()).await?;
    let came = began.elapsed().as_secs_f64();
    let stood_still = came - joined;
    drop(state);
    let read_at_first = log.statistics().restored_records - read;
    while leaving > 0 && !is_level(&log, tasks - mine.len()) {
        tokio::time::sleep(PAUSE).await;
    }
    let memory: u64 = log.statistics().standbys.iter().map(|standby| standby.bytes).sum();

    let read = log.statistics().restored_records;
    child.kill()?;
    let killed = Instant::now();
    child.wait()?;
    let all = has(&member, tasks).await?;
    let noticed = killed.elapsed().as_secs_f64();
    let state = claim(&log, all.keys().filter(|partition| !mine.contains_key(partition))).await?;
    let taken_over = killed.elapsed().as_secs_f64();
    drop(state);
    let figures = json!({
        "case": "move",
        "standbys": leaving,
        "tasks": tasks - mine.len(),
        "join_seconds": joined,
        "come_stood_still_seconds": stood_still,
        "come_records_read": read_at_first,
        "standby_mib": memory >> 20,
        "killed_noticed_seconds": noticed,
        "killed_restored_seconds": taken_over - noticed,
        "killed_records_read": log.statistics().restored_records - read,
    });
    drop(member);
    log.close().await;
    Ok(figures)
}

/// The process that is killed: it commits to the tasks that it has.
pub(super) async fn work(settings: &str, leaving: &str) -> Result<(), Failure> {
    let log = connect(&serde_json::from_str(settings)?, "a", leaving.parse()?).await?;
    let member = join(&log).await?;
    let mut assignment = member.assignment();
    assignment.wait_for(|partitions| !partitions.is_empty()).await?;
    let mut claims: BTreeMap<i32, (i64, TaskClaim)> = BTreeMap::new();
    for number in 0_u64.. {
        let mine = assignment.borrow_and_update().clone();
        claims.retain(|partition, (epoch, _)| mine.get(partition) == Some(epoch));
        for (partition, epoch) in mine {
            if let Entry::Vacant(vacant) = claims.entry(partition) {
                let (claim, _) = log.claim_task(&task(partition)).await?;
                vacant.insert((epoch, claim));
            }
        }
        if number == 0 {
            super::print(&Value::from(WORKS));
        }
        for (_, claim) in claims.values() {
            let value = Some(Bytes::from(number.to_string()));
            let key = Bytes::from((number % 1000).to_string());
            let state = vec![StateChange { store: "more".to_owned(), key, value }];
            // It may be in other hands meanwhile.
            drop(log.commit_task(claim, TaskCommit { state, ..TaskCommit::default() }).await);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn connect(
    settings: &Value,
    process: &str,
    leaving: usize,
) -> Result<Arc<KafkaLog>, Failure> {
    let settings: KafkaSettings = serde_json::from_value(settings.clone())?;
    let options = StandbyOptions { leaving, ..StandbyOptions::default() };
    Ok(KafkaLog::connect_with_standbys(settings, "bench", process, options).await?)
}

fn task(partition: i32) -> TaskName {
    TaskName { stage: STAGE.to_owned(), partition }
}

async fn join(log: &KafkaLog) -> Result<GroupMember, Failure> {
    Ok(log.join_group(STAGE, &["stream".parse()?]).await?)
}

async fn has(member: &GroupMember, count: usize) -> Result<Assignment, Failure> {
    let mut assignment = member.assignment();
    Ok(assignment.wait_for(|partitions| partitions.len() == count).await?.clone())
}

/// Claims tasks side by side; returns their states.
async fn claim(
    log: &Arc<KafkaLog>,
    partitions: impl Iterator<Item = &i32>,
) -> Result<Vec<TaskSnapshot>, Failure> {
    let mut claims = JoinSet::new();
    for task in partitions.map(|partition| task(*partition)) {
        let log = Arc::clone(log);
        claims.spawn(async move { log.claim_task(&task).await });
    }
    let claimed = claims.join_all().await.into_iter();
    Ok(claimed.map(|claimed| claimed.map(|(_, state)| state)).collect::<Result<_, _>>()?)
}

/// Whether so many tasks of others are kept, each to its end or nearly so.
fn is_level(log: &KafkaLog, count: usize) -> bool {
    let kept = log.statistics().standbys;
    kept.iter().filter(|standby| standby.lag.is_some_and(|lag| lag < 1000)).count() >= count
}
