//! What is being made beside what is served: the tasks and table sinks of the parts that are new.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_engine::Engine;
use millrace_engine::EngineOptions;
use millrace_log::Log;
use millrace_log::LogView;
use millrace_log::ReadError;
use millrace_log::ReadLimit;
use millrace_observe::Observer;
use millrace_tables::ServeError;
use millrace_tables::TableStore;
use millrace_tables::sink::SinkContext;
use millrace_tables::sink::run_table_sink;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::edition::Edition;
use super::edition::Parts;
use super::gate::Ends;
use super::gate::Gate;

/// How far something has read a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reached {
    /// The stage or sink.
    pub(super) part: String,
    /// The stream, as the plan names it.
    pub(super) stream: StreamName,
    /// The partition.
    pub(super) partition: Partition,
    /// The next offset to read.
    pub(super) next: Offset,
}

/// A position that cannot be found out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PositionsError {
    /// That of a task.
    #[error("cannot find out how far tasks have come")]
    Task(#[from] ReadError),
    /// That of a sink.
    #[error(transparent)]
    Sink(#[from] ServeError),
}

/// How far some parts of an edition have come.
pub(super) async fn positions(
    log: &dyn Log,
    tables: &dyn TableStore,
    edition: &Edition,
    parts: &Parts,
) -> Result<Vec<Reached>, PositionsError> {
    let mut all = Vec::new();
    let names = edition.names();
    for stage in edition.plan.stages.iter().filter(|stage| parts.stages.contains(&stage.name)) {
        for partition in 0..stage.partitions {
            let found = log.task_positions(&edition.task(&stage.name, partition)).await?;
            for stream in &stage.inputs {
                let below = names.streams.get(stream).unwrap_or(stream);
                let position = found
                    .iter()
                    .find(|position| position.stream == *below && position.partition == partition);
                all.push(Reached {
                    part: stage.name.clone(),
                    stream: stream.clone(),
                    partition,
                    next: position.map_or(0, |position| position.next),
                });
            }
        }
    }
    for sink in edition.table_sinks().iter().filter(|sink| parts.sinks.contains(&sink.name)) {
        let found = tables.positions(&sink.name, sink.generation).await?;
        for input in &sink.inputs {
            for partition in 0..input.partitions {
                let position = found
                    .iter()
                    .find(|(stream, at, _)| *stream == input.stream && *at == partition);
                all.push(Reached {
                    part: sink.name.clone(),
                    stream: input.stream.clone(),
                    partition,
                    next: position.map_or(0, |(_, _, next)| *next),
                });
            }
        }
    }
    Ok(all)
}

/// The parts at work.
pub(super) struct Pending {
    pub(super) observer: Arc<Observer>,
    engine: CancellationToken,
    sinks: CancellationToken,
    engine_tasks: TaskTracker,
    sink_tasks: TaskTracker,
}

impl Pending {
    /// Starts them; `gate` says where streams seem to end until they are started again.
    pub(super) fn start(
        log: &Arc<dyn Log>,
        tables: &Arc<dyn TableStore>,
        edition: &Edition,
        parts: &Parts,
        batch: ReadLimit,
        gate: Option<Ends>,
    ) -> Self {
        let log: Arc<dyn Log> = match gate {
            Some(gate) => Arc::new(Gate::new(Arc::clone(log), gate)),
            None => Arc::clone(log),
        };
        let view: Arc<dyn Log> = Arc::new(LogView::new(log, edition.names()));
        let observer = Arc::new(Observer::default());
        let pending = Self {
            observer: Arc::clone(&observer),
            engine: CancellationToken::new(),
            sinks: CancellationToken::new(),
            engine_tasks: TaskTracker::new(),
            sink_tasks: TaskTracker::new(),
        };
        if !parts.stages.is_empty() {
            let (_, input_finished) = watch::channel(false);
            let only = Some(parts.stages.clone());
            let options = EngineOptions { until_end: false, batch, input_finished, only };
            let engine = Engine::start(&edition.plan, &view, &observer, &options, &pending.engine);
            track(&pending.engine_tasks, async move { drop(engine.join().await) });
        }
        let context = SinkContext::new(view, Arc::clone(tables), observer);
        for sink in edition.table_sinks() {
            if parts.sinks.contains(&sink.name) {
                let (context, stop) = (context.clone(), pending.sinks.clone());
                let running = run_table_sink(sink, context, None, stop);
                // Its failure is in its own state.
                track(&pending.sink_tasks, async move { drop(running.await) });
            }
        }
        pending
    }

    /// Why it does not go on, if it does not.
    pub(super) fn trouble(&self) -> Option<String> {
        let not_ready = self.observer.not_ready();
        not_ready.into_iter().find(|reason| !reason.ends_with("is starting"))
    }

    /// Stops tasks, then sinks.
    pub(super) async fn stop(self, patience: Duration) {
        self.engine.cancel();
        self.engine_tasks.close();
        // What does not stop in time is fenced when it is claimed again.
        let _ = tokio::time::timeout(patience, self.engine_tasks.wait()).await;
        self.sinks.cancel();
        self.sink_tasks.close();
        let _ = tokio::time::timeout(patience, self.sink_tasks.wait()).await;
    }
}

fn track(tasks: &TaskTracker, part: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(part);
}
