//! Work on partitions follows who has them.

#![allow(clippy::unwrap_used, reason = "helpers fail as tests do")]

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use millrace_log::Assignment;
use millrace_log::GroupMember;
use millrace_log::share::Assigned;
use millrace_log::share::ShareError;
use millrace_log::share::ShareNews;
use millrace_log::share::share_as;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Work on the partitions of a member, and what it noted.
struct Bench {
    assignment: watch::Sender<Assignment>,
    stop: CancellationToken,
    notes: Arc<Mutex<Vec<String>>>,
    running: JoinHandle<Result<(), ShareError<String>>>,
}

/// Notes that the membership has ended.
struct Leaving(Arc<Mutex<Vec<String>>>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.lock().unwrap().push("left".to_owned());
    }
}

impl Bench {
    fn start<F>(
        assignment: &[(i32, i64)],
        work: impl Fn(Assigned) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let (assignment, receiver) = watch::channel(assignment.iter().copied().collect());
        let (stop, notes) = (CancellationToken::new(), Arc::new(Mutex::new(Vec::new())));
        let member = GroupMember::new(receiver, Leaving(Arc::clone(&notes)));
        let (token, heard) = (stop.clone(), Arc::clone(&notes));
        let running = tokio::spawn(async move {
            let note = |text: String| heard.lock().unwrap().push(text);
            let told = Arc::clone(&heard);
            let work = |assigned: Assigned| {
                let name = format!("{}@{}", assigned.partition, assigned.epoch);
                note(format!("begin {name}"));
                let (work, told) = (work(assigned), Arc::clone(&told));
                async move {
                    let result = work.await;
                    told.lock().unwrap().push(format!("end {name}"));
                    result
                }
            };
            let tell = |news: ShareNews<'_>| {
                if let ShareNews::Gone(partition) = news {
                    note(format!("gone {partition}"));
                }
            };
            share_as(member, &token, tell, work).await
        });
        Self { assignment, stop, notes, running }
    }

    fn assign(&self, assignment: &[(i32, i64)]) {
        self.assignment.send(assignment.iter().copied().collect()).unwrap();
    }

    /// Waits until so many things were noted, and takes them, sorted.
    async fn notes(&self, count: usize) -> Vec<String> {
        let reached = async {
            while self.notes.lock().unwrap().len() < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(30), reached).await;
        let mut notes = std::mem::take(&mut *self.notes.lock().unwrap());
        reached.unwrap_or_else(|_| unreachable!("in vain for {count}: {notes:?}"));
        notes.sort();
        notes
    }
}

async fn until_stopped(assigned: Assigned) -> Result<(), String> {
    assigned.stop.cancelled().await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn work_begins_where_a_partition_comes_and_stops_where_it_goes() {
    let bench = Bench::start(&[(0, 1), (1, 1)], until_stopped);
    assert_eq!(bench.notes(2).await, ["begin 0@1", "begin 1@1"]);
    bench.assign(&[(1, 1), (2, 5)]);
    assert_eq!(bench.notes(3).await, ["begin 2@5", "end 0@1", "gone 0"]);
    bench.assign(&[]);
    assert_eq!(bench.notes(4).await, ["end 1@1", "end 2@5", "gone 1", "gone 2"]);
    bench.assign(&[(0, 6)]);
    assert_eq!(bench.notes(1).await, ["begin 0@6"]);
    bench.stop.cancel();
    assert_eq!(bench.notes(2).await, ["end 0@6", "left"]);
    bench.running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn work_of_a_new_epoch_begins_when_that_of_the_old_one_has_ended() {
    let slow = |assigned: Assigned| async move {
        assigned.lost.cancelled().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(())
    };
    let bench = Bench::start(&[(0, 1)], slow);
    bench.notes(1).await;
    bench.assign(&[(0, 2)]);
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(bench.notes(0).await, Vec::<String>::new());
    assert_eq!(bench.notes(3).await, ["begin 0@2", "end 0@1", "gone 0"]);
    bench.running.abort();
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_end_when_its_partition_is_lost_is_broken_off() {
    let deaf = |assigned: Assigned| async move {
        if assigned.epoch == 1 { std::future::pending().await } else { Ok(()) }
    };
    let bench = Bench::start(&[(0, 1)], deaf);
    bench.notes(1).await;
    bench.assign(&[(0, 2)]);
    tokio::time::sleep(Duration::from_millis(1900)).await;
    assert_eq!(bench.notes(0).await, Vec::<String>::new());
    assert_eq!(bench.notes(3).await, ["begin 0@2", "end 0@2", "gone 0"]);
    bench.running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_failure_leaves_the_other_partitions_alone_and_is_told_at_the_end() {
    let failing = |assigned: Assigned| async move {
        if assigned.partition == 1 {
            return Err(format!("failed at {}", assigned.epoch));
        }
        until_stopped(assigned).await
    };
    let bench = Bench::start(&[(0, 1), (1, 1)], failing);
    assert_eq!(bench.notes(3).await, ["begin 0@1", "begin 1@1", "end 1@1"]);
    // A failed partition is taken up again when it comes from other hands, and not before.
    bench.assign(&[(0, 1), (1, 1), (2, 1)]);
    assert_eq!(bench.notes(1).await, ["begin 2@1"]);
    bench.assign(&[(0, 1), (1, 2), (2, 1)]);
    assert_eq!(bench.notes(2).await, ["begin 1@2", "end 1@2"]);
    bench.stop.cancel();
    let result = bench.running.await.unwrap();
    assert!(matches!(&result, Err(ShareError::Work(text)) if text == "failed at 1"), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn where_a_process_is_alone_the_end_is_when_all_work_has_ended() {
    let member = GroupMember::alone(3);
    let stop = CancellationToken::new();
    let ended = share_as(
        member,
        &stop,
        |_| {},
        |assigned: Assigned| async move { if assigned.partition == 2 { Err("broken") } else { Ok(()) } },
    );
    assert!(matches!(ended.await, Err(ShareError::Work("broken"))));
}
