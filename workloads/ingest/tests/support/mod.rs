//! What the tests of ingest and sinks share: a log in memory that can refuse, and small plans.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

pub mod broker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use millrace_core::DeadLetter;
use millrace_core::Mark;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_core::time::TimeFormat;
use millrace_log::*;
use millrace_plan::Plan;
use millrace_plan::model::*;
use millrace_plan::program::Place;
use millrace_plan::program::Program;
use millrace_plan::schema::Schema;
use parking_lot::Mutex;
use tokio::sync::watch;

/// A log in memory. Its first appends fail as often as [`MemoryLog::refuse`] says.
pub struct MemoryLog {
    partitions: Mutex<BTreeMap<(StreamName, Partition), Kept>>,
    groups: Mutex<BTreeMap<(String, StreamName, Partition), Offset>>,
    tasks: Mutex<BTreeMap<TaskName, (i64, Vec<InputPosition>)>>,
    refusals: AtomicUsize,
    /// How old the known ends are, in milliseconds.
    pub end_age: AtomicU64,
    /// Whoever has it makes all appends wait.
    stall: tokio::sync::Mutex<()>,
    /// The next so many commits fail.
    pub refused_commits: AtomicUsize,
    /// The next so many commits are made, and their callers not told.
    pub lost_answers: AtomicUsize,
    /// Largest value that a commit takes, in bytes.
    pub largest: AtomicUsize,
    pub attempts: AtomicUsize,
    pub group_commits: AtomicUsize,
}

struct Kept {
    entries: Vec<Entry>,
    end: watch::Sender<Offset>,
}

impl MemoryLog {
    pub fn new(streams: &[(&str, Partition)]) -> Arc<Self> {
        let partitions = streams
            .iter()
            .flat_map(|(name, count)| (0..*count).map(|p| (name.parse().unwrap(), p)))
            .map(|id| (id, Kept { entries: Vec::new(), end: watch::Sender::new(0) }))
            .collect();
        Arc::new(Self {
            partitions: Mutex::new(partitions),
            groups: Mutex::default(),
            tasks: Mutex::default(),
            refusals: AtomicUsize::new(0),
            end_age: AtomicU64::new(0),
            stall: tokio::sync::Mutex::default(),
            refused_commits: AtomicUsize::new(0),
            lost_answers: AtomicUsize::new(0),
            largest: AtomicUsize::new(usize::MAX),
            attempts: AtomicUsize::new(0),
            group_commits: AtomicUsize::new(0),
        })
    }

    /// Has a task's position be this one.
    pub fn set_position(&self, task: TaskName, position: InputPosition) {
        self.tasks.lock().insert(task, (0, vec![position]));
    }

    /// Where a task has come to in a partition of its only input.
    pub fn position(&self, task: &TaskName, partition: Partition) -> Option<Offset> {
        let tasks = self.tasks.lock();
        let (_, positions) = tasks.get(task)?;
        positions.iter().find(|one| one.partition == partition).map(|one| one.next)
    }

    /// The next so many appends fail.
    pub fn refuse(&self, times: usize) {
        self.refusals.store(times, Ordering::SeqCst);
    }

    /// Appends wait until what is returned is dropped.
    pub async fn stall(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.stall.lock().await
    }

    pub fn entries(&self, stream: &str, partition: Partition) -> Vec<Entry> {
        self.partitions.lock()[&(stream.parse().unwrap(), partition)].entries.clone()
    }

    pub fn records(&self, stream: &str, partition: Partition) -> Vec<Record> {
        let records = self.entries(stream, partition).into_iter().filter_map(|entry| match entry {
            Entry::Record(record) => Some(record),
            Entry::Mark(_) => None,
        });
        records.collect()
    }

    pub fn values(&self, stream: &str) -> Vec<String> {
        let records = self.records(stream, 0).into_iter();
        records.map(|record| String::from_utf8_lossy(&record.value).into_owned()).collect()
    }

    pub fn marks(&self, stream: &str, partition: Partition) -> Vec<i64> {
        let marks = self.entries(stream, partition).into_iter().filter_map(|entry| match entry {
            Entry::Mark(Mark::Idle { watermark }) => Some(watermark),
            _ => None,
        });
        marks.collect()
    }

    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.records("dead-letters", 0).into_iter().map(DeadLetter::from_record).collect()
    }

    /// Gives a stream a partition with some entries.
    pub fn add_partition(&self, stream: &str, partition: Partition, entries: Vec<Entry>) {
        let end = watch::Sender::new(Offset::try_from(entries.len()).unwrap());
        let id = (stream.parse().unwrap(), partition);
        self.partitions.lock().insert(id, Kept { entries, end });
    }

    /// Stores entries, whatever the log refuses.
    pub fn insert(&self, entries: Vec<Append>) -> Result<Vec<Offset>, AppendError> {
        let mut partitions = self.partitions.lock();
        let mut offsets = Vec::new();
        for append in entries {
            let id = (append.stream.clone(), append.partition);
            let kept = partitions.get_mut(&id).ok_or(AppendError::UnknownStream {
                stream: append.stream,
                partition: append.partition,
            })?;
            let offset = Offset::try_from(kept.entries.len()).unwrap();
            kept.entries.push(append.entry);
            kept.end.send_replace(offset + 1);
            offsets.push(offset);
        }
        Ok(offsets)
    }

    /// Waits until a partition has so many entries.
    pub async fn reached(&self, stream: &str, partition: Partition, entries: usize) {
        let mut end = self.follow(&stream.parse().unwrap(), partition).unwrap();
        let waited = end.wait_for(|end| usize::try_from(*end).unwrap() >= entries);
        tokio::time::timeout(Duration::from_secs(30), waited)
            .await
            .unwrap_or_else(|_| panic!("{stream} has not reached {entries} entries"))
            .unwrap();
    }
}

#[async_trait]
impl Log for MemoryLog {
    async fn ensure_streams(&self, _: &[StreamConfig]) -> Result<(), EnsureStreamsError> {
        Ok(())
    }

    async fn attach_external(
        &self,
        name: &StreamName,
        topic: &str,
    ) -> Result<Partition, AttachExternalError> {
        match self.partitions.lock().keys().filter(|(stream, _)| stream == name).count() {
            0 => Err(AttachExternalError::NotFound { topic: topic.to_owned() }),
            partitions => Ok(Partition::try_from(partitions).unwrap()),
        }
    }

    async fn append(&self, entries: Vec<Append>) -> Result<Vec<Offset>, AppendError> {
        let _turn = self.stall.lock().await;
        self.attempts.fetch_add(1, Ordering::SeqCst);
        let less = |n: usize| n.checked_sub(1);
        if self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            return Err(AppendError::Unavailable("the disk is full".into()));
        }
        self.insert(entries)
    }

    async fn read(
        &self,
        stream: &StreamName,
        partition: Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<ReadBatch, ReadError> {
        let partitions = self.partitions.lock();
        let entries: Vec<_> = (0..)
            .zip(&partitions[&(stream.clone(), partition)].entries)
            .skip(usize::try_from(from).unwrap())
            .take(limit.entries)
            .map(|(offset, entry)| (offset, entry.clone()))
            .collect();
        let next = entries.last().map_or(from, |(offset, _)| offset + 1);
        Ok(ReadBatch { entries, next })
    }

    fn follow(
        &self,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<watch::Receiver<Offset>, ReadError> {
        let partitions = self.partitions.lock();
        let kept = partitions
            .get(&(stream.clone(), partition))
            .ok_or_else(|| ReadError::UnknownStream { stream: stream.clone(), partition })?;
        Ok(kept.end.subscribe())
    }

    fn partition_info(
        &self,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<PartitionInfo, ReadError> {
        let partitions = self.partitions.lock();
        let entries = &partitions
            .get(&(stream.clone(), partition))
            .ok_or_else(|| ReadError::UnknownStream { stream: stream.clone(), partition })?
            .entries;
        let mut info =
            PartitionInfo { end: Offset::try_from(entries.len()).unwrap(), ..Default::default() };
        for entry in entries {
            match entry {
                Entry::Record(record) => {
                    info.highest_event_time = info.highest_event_time.max(Some(record.event_time));
                }
                Entry::Mark(Mark::Idle { watermark } | Mark::Task { watermark, .. }) => {
                    info.highest_mark = info.highest_mark.max(Some(*watermark));
                }
            }
        }
        Ok(info)
    }

    fn end_age(&self, _: &StreamName, _: Partition) -> Result<Duration, ReadError> {
        Ok(Duration::from_millis(self.end_age.load(Ordering::SeqCst)))
    }

    async fn group_offset(
        &self,
        group: &str,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<Option<Offset>, ReadError> {
        let key = (group.to_owned(), stream.clone(), partition);
        Ok(self.groups.lock().get(&key).copied())
    }

    async fn commit_group_offset(
        &self,
        group: &str,
        stream: &StreamName,
        partition: Partition,
        next: Offset,
    ) -> Result<(), AppendError> {
        self.group_commits.fetch_add(1, Ordering::SeqCst);
        self.groups.lock().insert((group.to_owned(), stream.clone(), partition), next);
        Ok(())
    }

    async fn ensure_tasks(&self, _: &[StageConfig]) -> Result<(), EnsureStreamsError> {
        Ok(())
    }

    async fn join_group(
        &self,
        _: &str,
        streams: &[StreamName],
    ) -> Result<GroupMember, JoinGroupError> {
        let partitions = self.partitions.lock();
        let count = partitions.keys().filter(|(stream, _)| *stream == streams[0]).count();
        Ok(GroupMember::alone(Partition::try_from(count.max(1)).unwrap()))
    }

    async fn claim_task(
        &self,
        task: &TaskName,
    ) -> Result<(TaskClaim, TaskSnapshot), ClaimTaskError> {
        let mut tasks = self.tasks.lock();
        let (epoch, positions) = tasks.entry(task.clone()).or_default();
        *epoch += 1;
        let snapshot = TaskSnapshot { state: Vec::new(), positions: positions.clone() };
        Ok((TaskClaim { task: task.clone(), epoch: *epoch }, snapshot))
    }

    async fn commit_task(
        &self,
        claim: &TaskClaim,
        commit: TaskCommit,
    ) -> Result<Vec<Offset>, CommitTaskError> {
        let limit = self.largest.load(Ordering::SeqCst);
        let sizes = commit.outputs.iter().map(|append| match &append.entry {
            Entry::Record(record) => record.value.len(),
            Entry::Mark(_) => 0,
        });
        if let Some(bytes) = sizes.max().filter(|bytes| *bytes > limit) {
            return Err(AppendError::TooLarge { what: "an entry", bytes, limit }.into());
        }
        {
            let epoch = self.tasks.lock()[&claim.task].0;
            if claim.epoch < epoch {
                return Err(CommitTaskError::Fenced { task: claim.task.to_string() });
            }
        }
        let less = |n: usize| n.checked_sub(1);
        let refused = &self.refused_commits;
        if refused.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            return Err(AppendError::Unavailable("the disk is full".into()).into());
        }
        let offsets = self.insert(commit.outputs)?;
        let mut tasks = self.tasks.lock();
        let positions = &mut tasks.get_mut(&claim.task).unwrap().1;
        for new in commit.positions {
            positions.retain(|one| (&one.stream, one.partition) != (&new.stream, new.partition));
            positions.push(new);
        }
        if self.lost_answers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            return Err(AppendError::Unavailable("no answer came".into()).into());
        }
        Ok(offsets)
    }

    async fn task_state(&self, _: &TaskName) -> Result<Vec<StateEntry>, ReadError> {
        Ok(Vec::new())
    }

    async fn task_positions(&self, _: &TaskName) -> Result<Vec<InputPosition>, ReadError> {
        Ok(Vec::new())
    }

    async fn remove(&self, streams: &[StreamName], _: &[TaskName]) -> Result<(), AppendError> {
        self.partitions.lock().retain(|(stream, _), _| !streams.contains(stream));
        Ok(())
    }

    async fn check_writable(&self) -> Result<(), AppendError> {
        // A log that refuses a few appends only has not noticed it before they come.
        match self.refusals.load(Ordering::SeqCst) {
            0..1000 => Ok(()),
            _ => Err(AppendError::Unavailable("the disk is full".into())),
        }
    }

    fn statistics(&self) -> LogStatistics {
        LogStatistics::default()
    }

    async fn close(&self) {}
}

/// The stream of the race, as `examples/race.yaml` has it.
pub fn coordinates() -> IngestedStream {
    let schema = serde_json::json!({
        "type": "object",
        "required": ["timestamp", "carIndex", "location"],
        "properties": {
            "timestamp": {"type": "integer"},
            "carIndex": {"type": "integer"},
            "location": {
                "type": "object",
                "required": ["lat", "long"],
                "properties": {
                    "lat": {"type": "number", "minimum": -90, "maximum": 90},
                    "long": {"type": "number", "minimum": -180, "maximum": 180},
                },
            },
        },
    });
    IngestedStream {
        schema: Some(Arc::new(Schema::compile(&schema).unwrap())),
        key: vec![".race".parse().unwrap()],
        event_id: None,
        event_time: Some(EventTimeField {
            path: ".timestamp".parse().unwrap(),
            format: TimeFormat::UnixMillis,
        }),
        disorder: Duration::from_millis(50),
        idle: Some(Duration::from_millis(500)),
        heartbeat: true,
        max_ahead: Duration::from_mins(5),
        max_behind: None,
        on_late: OnLate::Drop,
        deduplicate: None,
    }
}

/// The way in of the race.
pub fn cars() -> IngestPlan {
    let map = r#".race = split(%topic, "/")[1] || "race""#;
    IngestPlan {
        name: "cars".into(),
        to: "coordinates".parse().unwrap(),
        map: Some(Program::compile(map, Place::Ingest).unwrap()),
        max_body_bytes: 1 << 20,
        source: IngestSource::MqttListen(MqttListen {
            topics: vec!["carCoordinates".into(), "carCoordinates/+".into()],
        }),
    }
}

pub fn plan(ingested: IngestedStream, partitions: Partition, ingest: Vec<IngestPlan>) -> Plan {
    let stream = |name: &str, partitions, origin| StreamPlan {
        name: name.parse().unwrap(),
        generation: 0,
        partitions,
        retention: Retention::default(),
        origin,
    };
    Plan {
        pipeline: "race".into(),
        streams: vec![
            stream("coordinates", partitions, StreamOrigin::Ingested(ingested)),
            stream("dead-letters", 1, StreamOrigin::DeadLetters),
        ],
        ingest,
        stages: Vec::new(),
        sinks: Vec::new(),
        query: QueryPlan::default(),
        exposure: millrace_plan::model::ExposurePlan::default(),
    }
}

pub fn race_log() -> Arc<MemoryLog> {
    MemoryLog::new(&[("coordinates", 1), ("dead-letters", 1)])
}
