#![allow(clippy::all, clippy::pedantic)]
use super::super::admin::Admin;
use super::super::cluster::Cluster;
use super::*;
use crate::*;
use bytes::Bytes;
use std::time::Instant;

async fn tasks(prefix: &str, process: &str) -> (Arc<Tasks>, Arc<Topics>) {
    let settings: KafkaSettings = serde_json::from_str(&format!(
        "{{\"bootstrapServers\":[\"{}\"]}}",
        std::env::var("MILLRACE_KAFKA").unwrap()
    ))
    .unwrap();
    let names = Names::new(prefix.to_owned());
    let cluster = Arc::new(Cluster::new(&settings, &names).unwrap());
    let topics = Arc::new(Topics::new(names.clone(), cluster, Admin::new(&settings).unwrap()));
    topics.refresh().await.unwrap();
    (Tasks::new(Arc::new(settings), names, Arc::clone(&topics), process), topics)
}
fn prefix() -> String {
    format!(
        "t{}.",
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros()
    )
}
fn put(key: &str, value: &str) -> StateChange {
    StateChange {
        store: "s".into(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn basic() {
    let prefix = prefix();
    let t0 = Instant::now();
    let (tasks, topics) = tasks(&prefix, "a").await;
    topics
        .ensure_streams(&[
            StreamConfig {
                name: "in".parse().unwrap(),
                partitions: 2,
                retention: Default::default(),
            },
            StreamConfig {
                name: "out".parse().unwrap(),
                partitions: 2,
                retention: Default::default(),
            },
        ])
        .await
        .unwrap();
    tasks.ensure(&[StageConfig { name: "st".into(), partitions: 2 }]).await.unwrap();
    eprintln!("ensured {:?}", t0.elapsed());
    let task = TaskName { stage: "st".into(), partition: 0 };
    let t = Instant::now();
    let (claim, snap) = tasks.claim(&task).await.unwrap();
    eprintln!("claim {:?} {snap:?}", t.elapsed());
    for i in 0..20 {
        let t = Instant::now();
        let commit = TaskCommit {
            outputs: vec![crate::conformance::append("out", 1, "x", i)],
            state: vec![put("k", &i.to_string())],
            positions: vec![InputPosition {
                stream: "in".parse().unwrap(),
                partition: 0,
                next: i,
                metadata: Bytes::from_static(b"m"),
            }],
        };
        let offsets = tasks.commit(&claim, commit).await.unwrap();
        eprintln!("commit {offsets:?} {:?}", t.elapsed());
    }
    let t = Instant::now();
    let (claim2, snap) = tasks.claim(&task).await.unwrap();
    eprintln!("claim {:?} {snap:?}", t.elapsed());
    assert!(matches!(
        tasks.commit(&claim, TaskCommit::default()).await,
        Err(CommitTaskError::Fenced { .. })
    ));
    let t = Instant::now();
    let state = tasks.state(&task).await.unwrap();
    eprintln!("state {:?} {state:?}", t.elapsed());
    let t = Instant::now();
    tasks.state(&task).await.unwrap();
    eprintln!("state again {:?} ", t.elapsed());
    // no changelog
    let plain = TaskName { stage: "plain".into(), partition: 1 };
    let t = Instant::now();
    let (claim, snap) = tasks.claim(&plain).await.unwrap();
    eprintln!("claim plain {:?} {snap:?}", t.elapsed());
    let t = Instant::now();
    let commit = TaskCommit {
        positions: vec![InputPosition {
            stream: "in".parse().unwrap(),
            partition: 1,
            next: 4,
            metadata: Bytes::from_static(b"mm"),
        }],
        ..Default::default()
    };
    tasks.commit(&claim, commit).await.unwrap();
    eprintln!("commit plain {:?}", t.elapsed());
    let t = Instant::now();
    eprintln!("positions {:?} {:?}", tasks.positions(&plain).await.unwrap(), t.elapsed());
    let t = Instant::now();
    tasks.remove(&[plain.clone(), task.clone()]).await.unwrap();
    eprintln!("remove {:?}", t.elapsed());
    assert_eq!(tasks.positions(&plain).await.unwrap(), []);
    assert_eq!(tasks.positions(&task).await.unwrap(), []);
    assert!(matches!(
        tasks.commit(&claim2, TaskCommit::default()).await,
        Err(CommitTaskError::Fenced { .. })
    ));
    let t = Instant::now();
    tasks
        .remove(&[
            TaskName { stage: "st".into(), partition: 0 },
            TaskName { stage: "st".into(), partition: 1 },
        ])
        .await
        .unwrap();
    eprintln!("remove {:?}", t.elapsed());
    let t = Instant::now();
    tasks.close().await;
    eprintln!("close {:?} counts {:?}", t.elapsed(), tasks.transactions());
}

#[tokio::test(flavor = "multi_thread")]
async fn groups() {
    let prefix = prefix();
    let (one, topics) = tasks(&prefix, "a").await;
    topics
        .ensure_streams(&[
            StreamConfig {
                name: "in".parse().unwrap(),
                partitions: 4,
                retention: Default::default(),
            },
            StreamConfig {
                name: "in2".parse().unwrap(),
                partitions: 4,
                retention: Default::default(),
            },
        ])
        .await
        .unwrap();
    one.ensure(&[StageConfig { name: "st".into(), partitions: 4 }]).await.unwrap();
    let (two, _) = tasks(&prefix, "b").await;
    let t = Instant::now();
    let streams: Vec<StreamName> = vec!["in".parse().unwrap(), "in2".parse().unwrap()];
    let m1 = one.join("st", &streams).await.unwrap();
    let mut a1 = m1.assignment();
    a1.wait_for(|a| a.len() == 4).await.unwrap();
    eprintln!("first {:?} {:?}", t.elapsed(), *a1.borrow());
    let before = a1.borrow().clone();
    let t = Instant::now();
    let m2 = two.join("st", &streams).await.unwrap();
    let mut a2 = m2.assignment();
    a2.wait_for(|a| a.len() == 2).await.unwrap();
    a1.wait_for(|a| a.len() == 2).await.unwrap();
    eprintln!("second {:?} {:?} {:?}", t.elapsed(), *a1.borrow(), *a2.borrow());
    let task = TaskName { stage: "st".into(), partition: *a1.borrow().keys().next().unwrap() };
    let (claim, _) = one.claim(&task).await.unwrap();
    one.commit(&claim, TaskCommit { state: vec![put("k", "1")], ..Default::default() })
        .await
        .unwrap();
    let t = Instant::now();
    drop(m2);
    a1.wait_for(|a| a.len() == 4).await.unwrap();
    eprintln!("left {:?} {:?} {:?}", t.elapsed(), before, *a1.borrow());
    one.commit(&claim, TaskCommit { state: vec![put("k", "2")], ..Default::default() })
        .await
        .unwrap();
    let (claim, _) = one.claim(&TaskName { stage: "st".into(), partition: 3 }).await.unwrap();
    one.commit(&claim, TaskCommit { state: vec![put("k", "2")], ..Default::default() })
        .await
        .unwrap();
    let t = Instant::now();
    one.close().await;
    two.close().await;
    eprintln!("close {:?} counts {:?}", t.elapsed(), one.transactions());
}
