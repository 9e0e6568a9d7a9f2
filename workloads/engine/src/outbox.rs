//! What a task will commit next: outputs in their partitions, dead letters and marks.

use std::collections::HashMap;

use millrace_core::DeadLetter;
use millrace_core::EventId;
use millrace_core::Mark;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_core::key::partition_of;
use millrace_log::Append;
use millrace_log::Entry;
use millrace_log::InputPosition;
use millrace_log::StateChange;
use millrace_log::TaskCommit;

use crate::operators::Made;
use crate::operators::Origin;

/// What a task will commit next.
#[derive(Debug)]
pub(crate) struct Outbox {
    task: Partition,
    partitions: HashMap<StreamName, Partition>,
    /// Streams that other stages read: these learn the task's watermark.
    marked: Vec<StreamName>,
    last_mark: i64,
    appends: Vec<Append>,
    /// Bytes of the values in it.
    bytes: usize,
    /// State changes that go with the first commit.
    first_changes: Vec<StateChange>,
}

impl Outbox {
    /// An empty outbox of a task, given the partition counts of all streams.
    pub(crate) fn new(
        task: Partition,
        partitions: HashMap<StreamName, Partition>,
        marked: Vec<StreamName>,
        first_changes: Vec<StateChange>,
    ) -> Self {
        Self {
            task,
            partitions,
            marked,
            last_mark: i64::MIN,
            appends: Vec::new(),
            bytes: 0,
            first_changes,
        }
    }

    /// Adds what the operators made.
    pub(crate) fn add(&mut self, made: Made) {
        for (stream, record) in made.outputs {
            self.append(stream, record);
        }
        for letter in made.dead_letters {
            self.append(StreamName::dead_letters(), letter.into_record());
        }
    }

    /// Adds the dead letter of a record that did not reach the operators; returns its stage.
    pub(crate) fn refuse_record(
        &mut self,
        stream: &StreamName,
        reason: String,
        record: Record,
        origin: &Origin,
    ) -> String {
        let stage = format!("stream/{stream}");
        let letter = DeadLetter {
            id: EventId::of_dead_letter(&stage, record.id.as_bytes(), &record.value),
            stage: stage.clone(),
            reason,
            context: String::new(),
            source: Some(origin.position()),
            key: record.key,
            event_time: record.event_time,
            ingest_time: record.ingest_time,
            original: record.value,
        };
        self.append(StreamName::dead_letters(), letter.into_record());
        stage
    }

    fn append(&mut self, stream: StreamName, record: Record) {
        let partitions = self.partitions.get(&stream).copied().unwrap_or(1);
        let partition = partition_of(&record.key, partitions);
        self.bytes += record.value.len();
        self.appends.push(Append { stream, partition, entry: Entry::Record(record) });
    }

    /// Whether there is anything to tell others.
    pub(crate) fn is_due(&self, released_to: i64) -> bool {
        !self.appends.is_empty() || (!self.marked.is_empty() && released_to > self.last_mark)
    }

    /// Bytes of the values that wait in it.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes everything for a commit, with a mark for those who wait for the task's progress.
    pub(crate) fn take(
        &mut self,
        mut state: Vec<StateChange>,
        positions: Vec<InputPosition>,
        released_to: i64,
    ) -> TaskCommit {
        let mut outputs = std::mem::take(&mut self.appends);
        self.bytes = 0;
        if released_to > self.last_mark {
            self.last_mark = released_to;
            for stream in &self.marked {
                let partitions = self.partitions.get(stream).copied().unwrap_or(1);
                outputs.extend((0..partitions).map(|partition| Append {
                    stream: stream.clone(),
                    partition,
                    entry: Entry::Mark(Mark::Task { task: self.task, watermark: released_to }),
                }));
            }
        }
        state.append(&mut self.first_changes);
        TaskCommit { outputs, state, positions }
    }
}
