//! Random operations against a simple model of a log, reopening in between.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::LogFactory;
use super::append;
use super::idle;
use super::name;
use super::read_all;
use super::stream;
use crate::Append;
use crate::Entry;
use crate::StageConfig;
use crate::StateChange;
use crate::TaskCommit;
use crate::TaskName;

/// A small generator of numbers that are the same at every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn appends(&mut self, counter: &mut i64) -> Vec<Append> {
        let count = if self.below(8) == 0 { 200 } else { self.below(6) };
        (0..count)
            .map(|_| {
                *counter += 1;
                let partition = i32::try_from(self.below(3)).unwrap();
                let stream = if self.below(2) == 0 { "a" } else { "b" };
                if self.below(6) == 0 {
                    idle(stream, partition, *counter)
                } else {
                    let key = "k".repeat(usize::try_from(self.below(900)).unwrap());
                    append(stream, partition, &key, *counter)
                }
            })
            .collect()
    }
}

#[derive(Default)]
struct Model {
    partitions: BTreeMap<(String, i32), Vec<(i64, Entry)>>,
    state: BTreeMap<(String, Bytes), Bytes>,
}

impl Model {
    fn append(&mut self, entries: &[Append], offsets: &[i64]) {
        assert_eq!(entries.len(), offsets.len());
        for (append, offset) in entries.iter().zip(offsets) {
            let key = (append.stream.to_string(), append.partition);
            let partition = self.partitions.entry(key).or_default();
            assert!(partition.last().is_none_or(|(last, _)| last < offset));
            partition.push((*offset, append.entry.clone()));
        }
    }

    fn change(&mut self, changes: &[StateChange]) {
        for change in changes {
            let key = (change.store.clone(), change.key.clone());
            match &change.value {
                Some(value) => self.state.insert(key, value.clone()),
                None => self.state.remove(&key),
            };
        }
    }
}

/// Whatever is done in whatever order, the log holds what a model in memory holds.
pub async fn random_operations_match_a_simple_model(factory: &dyn LogFactory) {
    let task = TaskName { stage: "s".to_owned(), partition: 0 };
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut counter = 0;
    let mut model = Model::default();
    for _ in 0..6 {
        let log = factory.open().await;
        log.ensure_streams(&[stream("a", 3), stream("b", 3)]).await.unwrap();
        log.ensure_tasks(&[StageConfig { name: "s".to_owned(), partitions: 1 }]).await.unwrap();
        let (claim, snapshot) = log.claim_task(&task).await.unwrap();
        let state: BTreeMap<_, _> =
            snapshot.state.into_iter().map(|s| ((s.store, s.key), s.value)).collect();
        assert_eq!(state, model.state);
        for _ in 0..40 {
            let entries = numbers.appends(&mut counter);
            if numbers.below(2) == 0 {
                let offsets = log.append(entries.clone()).await.unwrap();
                model.append(&entries, &offsets);
            } else {
                let changes: Vec<_> = (0..numbers.below(9))
                    .map(|_| StateChange {
                        store: ["x", "xy"][usize::try_from(numbers.below(2)).unwrap()].to_owned(),
                        key: Bytes::from(numbers.below(12).to_string()),
                        value: (numbers.below(3) > 0)
                            .then(|| Bytes::from(numbers.below(1000).to_string())),
                    })
                    .collect();
                let commit = TaskCommit {
                    outputs: entries.clone(),
                    state: changes.clone(),
                    positions: Vec::new(),
                };
                let offsets = log.commit_task(&claim, commit).await.unwrap();
                model.append(&entries, &offsets);
                model.change(&changes);
            }
        }
        for ((stream, partition), expected) in &model.partitions {
            assert_eq!(&read_all(&*log, stream, *partition).await, expected);
            let info = log.partition_info(&name(stream), *partition).unwrap();
            assert!(expected.iter().all(|(offset, _)| (info.start..info.end).contains(offset)));
        }
        log.close().await;
    }
}
