//! Killing the process at random moments: what was acknowledged is there, once and in order, and
//! commits are whole.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers fail as tests do"
)]

mod common;

use std::collections::BTreeMap;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use common::append;
use common::read_all;
use common::stream;
use millrace_log::EmbeddedLog;
use millrace_log::EmbeddedLogOptions;
use millrace_log::Log;
use millrace_log::StateChange;
use millrace_log::TaskCommit;
use millrace_log::TaskName;
use rand::Rng;
use rand::SeedableRng;

const FOLDER: &str = "MILLRACE_TEST_LOG_FOLDER";
const PRODUCERS: i32 = 8;

fn open(folder: &Path) -> Arc<EmbeddedLog> {
    let options =
        EmbeddedLogOptions { write_buffer_bytes: 1 << 20, ..EmbeddedLogOptions::new(folder) };
    EmbeddedLog::open(options).unwrap()
}

fn task() -> TaskName {
    TaskName { stage: "stage".to_owned(), partition: 0 }
}

/// The last number of each producer, checking that all before are there once and in order.
async fn produced(log: &EmbeddedLog) -> BTreeMap<String, i64> {
    let mut last = BTreeMap::new();
    for partition in 0..3 {
        for (key, number) in read_all(log, "in", partition).await.unwrap() {
            let key = String::from_utf8(key.to_vec()).unwrap();
            let before = last.insert(key.clone(), number).unwrap_or(-1);
            assert_eq!(number, before + 1, "producer {key}");
        }
    }
    last
}

/// The number of whole commits, checking that each of their parts is there.
async fn committed(log: &EmbeddedLog) -> i64 {
    let (_, snapshot) = log.claim_task(&task()).await.unwrap();
    let count = match snapshot.state.as_slice() {
        [] => 0,
        [state] => std::str::from_utf8(&state.value).unwrap().parse().unwrap(),
        more => panic!("there are {} states", more.len()),
    };
    for partition in 0..2 {
        let numbers: Vec<_> = read_all(log, "out", partition)
            .await
            .unwrap()
            .into_iter()
            .map(|(_, number)| number)
            .collect();
        assert_eq!(numbers, (0..count).collect::<Vec<_>>());
    }
    count
}

/// The process that is killed; does nothing when it is run as a test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let log = open(Path::new(&folder));
    log.ensure_streams(&[stream("in", 3), stream("out", 2)]).await.unwrap();
    let last = produced(&log).await;
    let mut count = committed(&log).await;
    for producer in 0..PRODUCERS {
        let log = log.clone();
        let key = producer.to_string();
        let mut number = last.get(&key).map_or(0, |last| last + 1);
        tokio::spawn(async move {
            loop {
                let next = number + i64::from(producer) + 1;
                let batch = (number..next)
                    .map(|number| append("in", producer % 3, &key, number, 400))
                    .collect();
                log.append(batch).await.unwrap();
                number = next;
                println!("\nproduced {key} {}", number - 1);
            }
        });
    }
    let (claim, _) = log.claim_task(&task()).await.unwrap();
    loop {
        let change = StateChange {
            store: "count".to_owned(),
            key: Bytes::from_static(b"k"),
            value: Some(Bytes::from((count + 1).to_string())),
        };
        let commit = TaskCommit {
            outputs: (0..2).map(|p| append("out", p, "k", count, 100)).collect(),
            state: vec![change],
            positions: Vec::new(),
        };
        log.commit_task(&claim, commit).await.unwrap();
        count += 1;
        println!("\ncommitted {count}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let mut numbers = rand::rngs::StdRng::seed_from_u64(7);
    let mut acknowledged: BTreeMap<String, i64> = BTreeMap::new();
    let mut commits = 0;
    for round in 0..25 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut left = numbers.random_range(1..900);
        let mut note = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
            ["produced", key, number] => {
                acknowledged.insert(key.to_owned(), number.parse().unwrap());
            }
            ["committed", count] => commits = count.parse().unwrap(),
            _ => {}
        };
        while left > 0 {
            note(&lines.next().expect("the child goes on until it is killed").unwrap());
            left -= 1;
        }
        child.kill().unwrap();
        // What it had printed before it died was acknowledged too; the last line may be torn.
        let rest: Vec<_> = lines.map_while(Result::ok).collect();
        for line in rest.iter().take(rest.len().saturating_sub(1)) {
            note(line);
        }
        child.wait().unwrap();

        let log = open(folder.path());
        let last = produced(&log).await;
        for (key, number) in &acknowledged {
            assert!(last.get(key) >= Some(number), "round {round}, producer {key}");
        }
        assert!(committed(&log).await >= commits, "round {round}");
        log.close().await;
    }
    assert!(acknowledged.len() == usize::try_from(PRODUCERS).unwrap() && commits > 100);
}
