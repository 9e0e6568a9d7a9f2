//! How far the tasks and sinks of all processes have come, found out from the log and the tables
//! themselves: by the positions that they have committed, and where what they read ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_core::with_causes;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::ReadError;
use millrace_log::ReadLimit;
use millrace_log::TaskName;
use millrace_observe::Component;
use millrace_observe::ComponentKind;
use millrace_observe::Observer;
use millrace_observe::State;
use millrace_plan::model::SinkPlan;
use millrace_plan::model::SinkTarget;
use millrace_plan::model::StreamOrigin;
use millrace_sinks::group_of;
use millrace_tables::ServeError;
use millrace_tables::TableStore;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;
use tracing::warn;

use crate::process::generations::Edition;
use crate::process::generations::Follower;
use crate::process::generations::Target;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(3);

/// Something that is behind and has not moved for so long is told of.
const STALLED: Duration = Duration::from_secs(15);

/// How many looks pass until it is looked again how far tasks have come in event time: for that,
/// a record of each partition is read.
const TIMES_EVERY: u32 = 5;

/// So many entries that a task has read say how far it has come in event time.
const LAST_READ: Offset = 32;

/// Marks alone make no sink commit: what is left is looked at if it is no more than this.
const MARKS: usize = 1000;

/// A position that cannot be found out.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("cannot find out how far tasks and sinks have come")]
    Log(#[from] ReadError),
    #[error(transparent)]
    Tables(#[from] ServeError),
}

/// How far one part has read one partition.
struct Reached {
    stream: StreamName,
    /// As the log calls it.
    below: StreamName,
    partition: Partition,
    /// The next offset; none if nothing was committed yet.
    next: Option<Offset>,
}

/// A task or sink, and when it last moved.
struct Watched {
    component: Arc<Component>,
    next: Vec<Offset>,
    moved: Instant,
    /// Whether only marks are left to read, at this sum of offsets and ends.
    idle: Option<(Offset, Offset)>,
    /// Where it was when its event time was looked for.
    timed: Vec<Offset>,
}

/// Looks again and again, and keeps the observer's parts as it finds them.
pub(super) async fn watch_fleet(
    follower: Follower,
    tables: Arc<dyn TableStore>,
    observer: Arc<Observer>,
) {
    let mut fleet = Fleet {
        log: Arc::clone(follower.view().log()),
        tables,
        observer,
        watched: HashMap::new(),
        lags: HashMap::new(),
        looks: 0,
    };
    // Nothing is said before it is known: no lag would mean that nobody is needed.
    let mut most: Option<Gauge> = None;
    let mut failing = false;
    loop {
        if let Some(target) = follower.target() {
            let looked = fleet.look(&target).await;
            if let Err(error) = &looked
                && !failing
            {
                warn!(message = "Lag is not known at present.", error = with_causes(error));
            }
            failing = looked.is_err();
            if !failing {
                let gauge = most.get_or_insert_with(|| register(&fleet.observer));
                gauge.set(fleet.lags.values().copied().max().unwrap_or_default());
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Registers how far the workers are behind.
fn register(observer: &Observer) -> Gauge {
    let gauge = Gauge::default();
    observer.register(
        "workers_lag_records",
        "Offsets that the stage or sink of the workers which is furthest behind is behind",
        gauge.clone(),
    );
    gauge
}

type Part = (ComponentKind, String, Option<String>, Option<Partition>);

struct Fleet {
    log: Arc<dyn Log>,
    tables: Arc<dyn TableStore>,
    observer: Arc<Observer>,
    watched: HashMap<Part, Watched>,
    /// How far each stage and sink was behind at the last look.
    lags: HashMap<(ComponentKind, String), i64>,
    looks: u32,
}

impl Fleet {
    async fn look(&mut self, target: &Target) -> Result<(), LookError> {
        let edition = &target.edition;
        let with_times = self.looks.is_multiple_of(TIMES_EVERY);
        self.looks = self.looks.wrapping_add(1);
        self.lags.clear();
        for stage in &edition.plan.stages {
            if target.resting.stages.contains(&stage.name) {
                continue;
            }
            let group = edition.task(&stage.name, 0).stage;
            for partition in 0..stage.partitions {
                let mut reached = Vec::new();
                for stream in &stage.inputs {
                    reached.push(self.of_group(&group, edition, stream, partition).await?);
                }
                let part = (ComponentKind::Task, stage.name.clone(), None, Some(partition));
                self.tell(part.clone(), &reached).await?;
                if with_times {
                    self.tell_time(&part, edition, &reached).await?;
                }
            }
        }
        let plan = edition.outward();
        for sink in plan.sinks.iter().filter(|sink| !target.resting.sinks.contains(&sink.name)) {
            self.sink(edition, sink).await?;
        }
        Ok(())
    }

    async fn sink(&mut self, edition: &Edition, sink: &SinkPlan) -> Result<(), LookError> {
        for stream in &sink.from {
            let partitions = edition.plan.stream(stream).map_or(0, |stream| stream.partitions);
            let mut all = Vec::new();
            for partition in 0..partitions {
                let reached = match &sink.target {
                    // Each process with an endpoint sends everything to its own clients.
                    SinkTarget::Mqtt(mqtt) if mqtt.broker.is_none() => return Ok(()),
                    SinkTarget::Mqtt(_) | SinkTarget::Webhook(_) => {
                        self.of_group(&group_of(sink), edition, stream, partition).await?
                    }
                    SinkTarget::Table(_) => {
                        let found = self.tables.positions(&sink.name, sink.generation).await?;
                        let is_this = |(of, at, _): &&(StreamName, Partition, Offset)| {
                            of == stream && *at == partition
                        };
                        let next = found.iter().find(is_this).map(|(_, _, next)| *next);
                        reached(edition, stream, partition, next)
                    }
                    SinkTarget::Archive(_) => {
                        let stage = format!("sink.{}.{}.{stream}", sink.name, sink.generation);
                        let task = TaskName { stage, partition: 0 };
                        let found = self.log.task_positions(&task).await?;
                        let next = found.iter().find(|at| at.partition == partition);
                        reached(edition, stream, partition, next.map(|at| at.next))
                    }
                };
                all.push(reached);
            }
            let name = (sink.name.clone(), Some(stream.to_string()));
            if matches!(sink.target, SinkTarget::Archive(_)) {
                self.tell((ComponentKind::Sink, name.0, name.1, None), &all).await?;
                continue;
            }
            for reached in all {
                let (name, stream) = name.clone();
                let part = (ComponentKind::Sink, name, stream, Some(reached.partition));
                self.tell(part, &[reached]).await?;
            }
        }
        Ok(())
    }

    async fn of_group(
        &self,
        group: &str,
        edition: &Edition,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<Reached, LookError> {
        let below = edition.stream(stream);
        let next = self.log.group_offset(group, &below, partition).await?;
        Ok(Reached { stream: stream.clone(), below, partition, next })
    }

    /// Says how far a task has come in event time: the least of its inputs.
    async fn tell_time(
        &mut self,
        part: &Part,
        edition: &Edition,
        reached: &[Reached],
    ) -> Result<(), LookError> {
        let Some(watched) = self.watched.get_mut(part) else { return Ok(()) };
        if watched.timed == watched.next {
            return Ok(());
        }
        let mut least: Option<i64> = None;
        for (at, next) in reached.iter().zip(&watched.next) {
            let from = (next - LAST_READ).max(0);
            let limit = ReadLimit { entries: MARKS, ..ReadLimit::default() };
            let batch = self.log.read(&at.below, at.partition, from, limit).await?;
            let read = batch.entries.iter().take_while(|(offset, _)| offset < next);
            let Some(time) = read.filter_map(|(_, entry)| time_of(entry)).max() else { continue };
            let time = time.saturating_sub(disorder(edition, &at.stream));
            least = Some(least.map_or(time, |least| least.min(time)));
        }
        if let Some(time) = least {
            watched.component.set_watermark(time);
        }
        watched.timed.clone_from(&watched.next);
        Ok(())
    }

    /// Says how far a part has come.
    async fn tell(&mut self, part: Part, reached: &[Reached]) -> Result<(), LookError> {
        let (mut lag, mut end) = (0, 0);
        let mut next = Vec::with_capacity(reached.len());
        for at in reached {
            let info = self.log.partition_info(&at.below, at.partition)?;
            let from = at.next.unwrap_or(info.start).max(info.start);
            lag += (info.end - from).max(0);
            end += info.end;
            next.push(from);
        }
        let now = Instant::now();
        let of = (part.0, part.1.clone());
        let observer = &self.observer;
        let watched =
            self.watched.entry(part).or_insert_with_key(|(kind, name, stream, at)| Watched {
                component: observer.component(*kind, name, stream.as_deref(), *at),
                next: next.clone(),
                moved: now,
                idle: None,
                timed: Vec::new(),
            });
        let at = (next.iter().sum(), end);
        if watched.next != next || lag == 0 {
            (watched.next, watched.moved, watched.idle) = (next, now, None);
        } else if watched.idle.is_none_or(|idle| idle != at) {
            watched.idle = only_marks(&*self.log, reached, &watched.next).await?.then_some(at);
        }
        if watched.idle.is_some() {
            (lag, watched.moved) = (0, now);
        }
        watched.component.set_lag(lag);
        *self.lags.entry(of).or_default() += lag;
        let still = now - watched.moved;
        watched.component.set(if still < STALLED {
            State::Running
        } else {
            let streams: Vec<_> = reached.iter().map(|at| at.stream.as_str()).collect();
            State::Waiting(format!(
                "no progress on {} for {} s: look at the workers",
                streams.join(", "),
                still.as_secs()
            ))
        });
        Ok(())
    }
}

/// The time of an event.
const fn time_of(entry: &Entry) -> Option<i64> {
    match entry {
        Entry::Record(record) => Some(record.event_time),
        Entry::Mark(_) => None,
    }
}

/// By how much events of a stream may be out of order, in milliseconds.
fn disorder(edition: &Edition, stream: &StreamName) -> i64 {
    match edition.plan.stream(stream).map(|stream| &stream.origin) {
        Some(StreamOrigin::Ingested(ingested)) => {
            i64::try_from(ingested.disorder.as_millis()).unwrap_or(i64::MAX)
        }
        _ => 0,
    }
}

fn reached(
    edition: &Edition,
    stream: &StreamName,
    partition: Partition,
    next: Option<Offset>,
) -> Reached {
    Reached { stream: stream.clone(), below: edition.stream(stream), partition, next }
}

/// Whether nothing but marks is left to read, where that can be found out with little effort.
async fn only_marks(
    log: &dyn Log,
    reached: &[Reached],
    next: &[Offset],
) -> Result<bool, ReadError> {
    for (at, from) in reached.iter().zip(next) {
        let end = log.partition_info(&at.below, at.partition)?.end;
        if usize::try_from(end - from).unwrap_or(usize::MAX) > MARKS {
            return Ok(false);
        }
        let limit = ReadLimit { entries: MARKS, ..ReadLimit::default() };
        let batch = log.read(&at.below, at.partition, *from, limit).await?;
        let is_record = |(_, entry): &(Offset, Entry)| matches!(entry, Entry::Record(_));
        if batch.next < end || batch.entries.iter().any(is_record) {
            return Ok(false);
        }
    }
    Ok(true)
}
