//! Runs table sinks: from the log into a store, exactly once.
//!
//! Each partition of each stream has a reader of its own. Rows and the position commit in one
//! transaction of the database; what is no row becomes a dead letter before the position moves
//! past it.

mod cleaning;
mod committed;
mod dead_letters;
mod error;
mod metrics;
mod partition;
mod reading;
mod writing;

use std::sync::Arc;

use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_core::with_causes;
use millrace_log::Log;
use millrace_log::share::Assigned;
use millrace_log::share::ShareError;
use millrace_log::share::ShareNews;
use millrace_log::share::share;
use millrace_observe::Component;
use millrace_observe::ComponentId;
use millrace_observe::ComponentKind;
use millrace_observe::Observer;
use millrace_observe::State;
use millrace_plan::Plan;
use millrace_plan::model::SinkTarget;
use millrace_plan::model::StreamOrigin;
use millrace_plan::model::TablePlan;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::error;
use tracing::warn;

use crate::TableSpec;
use crate::TableStore;
use cleaning::keep_clean;
use metrics::SinkMetrics;
use partition::PartitionReader;

pub use error::RunSinkError;

/// A table sink, with what it has to know of its streams.
#[derive(Debug, Clone)]
pub struct TableSink {
    /// Its name in the resource.
    pub name: String,
    /// Raised to fill a new table from the log.
    pub generation: i32,
    /// What it reads.
    pub inputs: Vec<SinkInput>,
    /// What it fills.
    pub table: TablePlan,
    /// Partitions of the stream of dead letters.
    pub dead_letter_partitions: Partition,
}

/// A stream that a sink reads.
#[derive(Debug, Clone)]
pub struct SinkInput {
    /// The stream.
    pub stream: StreamName,
    /// Its partitions.
    pub partitions: Partition,
    /// What `first` and `latest` compare.
    pub order: RowOrder,
}

/// What `first` and `latest` compare, before the event's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOrder {
    /// The event time.
    EventTime,
    /// The offset, where the stream's events have no time of their own.
    Offset,
}

impl TableSink {
    /// All table sinks of a plan.
    #[must_use]
    pub fn all(plan: &Plan) -> Vec<Self> {
        let dead_letters = plan.stream(&StreamName::dead_letters());
        plan.sinks
            .iter()
            .filter_map(|sink| {
                let SinkTarget::Table(table) = &sink.target else { return None };
                Some(Self {
                    name: sink.name.clone(),
                    generation: sink.generation,
                    inputs: sink.from.iter().filter_map(|name| input(plan, name)).collect(),
                    table: table.clone(),
                    dead_letter_partitions: dead_letters.map_or(1, |stream| stream.partitions),
                })
            })
            .collect()
    }

    /// The stage, as the log names tasks, that keeps how far dead letters of a stream were stored.
    #[must_use]
    pub fn task_stage(&self, stream: &StreamName) -> String {
        format!("sink.{}.{}.{stream}", self.name, self.generation)
    }

    /// The table as a store makes it.
    #[must_use]
    pub fn spec(&self) -> TableSpec {
        TableSpec { generation: self.generation, plan: self.table.clone() }
    }
}

fn input(plan: &Plan, name: &StreamName) -> Option<SinkInput> {
    let stream = plan.stream(name)?;
    let order = match &stream.origin {
        StreamOrigin::Ingested(ingested) if ingested.event_time.is_none() => RowOrder::Offset,
        _ => RowOrder::EventTime,
    };
    Some(SinkInput { stream: name.clone(), partitions: stream.partitions, order })
}

/// What all table sinks of a process share.
#[derive(Clone)]
pub struct SinkContext {
    log: Arc<dyn Log>,
    tables: Arc<dyn TableStore>,
    observer: Arc<Observer>,
    metrics: SinkMetrics,
}

impl SinkContext {
    /// Sinks that read this log and fill these tables.
    #[must_use]
    pub fn new(log: Arc<dyn Log>, tables: Arc<dyn TableStore>, observer: Arc<Observer>) -> Self {
        let metrics = observer.once(|| SinkMetrics::register(&observer));
        Self { log, tables, observer, metrics }
    }
}

/// Runs a sink whose table the store has ensured, until `shutdown`, or, where
/// `upstream_finished` is given, until it has become `true` and everything before is written.
///
/// Of each stream it reads the partitions that fall to this process: all of them where the log is
/// its alone, and otherwise those that it gets as a member of the group that is called as
/// [`TableSink::task_stage`] says, as long as it has them.
///
/// Meanwhile the table's partitions are made ahead, and rows older than its retention are removed,
/// and not written; neither happens where `upstream_finished` is given.
///
/// While the log or the database is unavailable the sink waits, says why, and goes on by itself.
///
/// # Errors
/// When a partition cannot go on: its data is damaged, or someone else took it over and nobody
/// else should. The other partitions go on first, until they are done.
pub async fn run_table_sink(
    sink: TableSink,
    context: SinkContext,
    upstream_finished: Option<watch::Receiver<bool>>,
    shutdown: CancellationToken,
) -> Result<(), RunSinkError> {
    let sink = Arc::new(sink);
    // A run that ends by itself gives the same whenever it is made.
    let _cleaning = (sink.table.partitions.is_some() && upstream_finished.is_none()).then(|| {
        let stop = shutdown.clone();
        AbortOnDropHandle::new(tokio::spawn(keep_clean(Arc::clone(&sink), context.clone(), stop)))
    });
    let mut inputs = JoinSet::new();
    for input in &sink.inputs {
        let component = context.observer.component(
            ComponentKind::Sink,
            &sink.name,
            Some(input.stream.as_str()),
            None,
        );
        let reading = Reading {
            sink: Arc::clone(&sink),
            input: input.clone(),
            context: context.clone(),
            upstream_finished: upstream_finished.clone(),
        };
        let shutdown = shutdown.clone();
        inputs.spawn(async move { reading.run(component, &shutdown).await });
    }
    let mut result = Ok(());
    while let Some(finished) = inputs.join_next().await {
        let finished = finished
            .unwrap_or_else(|source| Err(RunSinkError::Reader { sink: sink.name.clone(), source }));
        result = result.and(finished);
    }
    result
}

/// A stream of a sink, as far as it is read here.
struct Reading {
    sink: Arc<TableSink>,
    input: SinkInput,
    context: SinkContext,
    upstream_finished: Option<watch::Receiver<bool>>,
}

impl Reading {
    async fn run(
        &self,
        component: Arc<Component>,
        shutdown: &CancellationToken,
    ) -> Result<(), RunSinkError> {
        let Self { sink, input, context, .. } = self;
        let tell = |news: ShareNews<'_>| match news {
            ShareNews::Waiting(error) => {
                let reason = with_causes(error);
                warn!(
                    message = "A table sink waits for the log.",
                    sink = sink.name,
                    error = reason
                );
                component.set(State::Waiting(reason));
            }
            ShareNews::Joined => context.observer.forget(&component.id),
            ShareNews::Gone(partition) => {
                context
                    .observer
                    .forget(&ComponentId { partition: Some(partition), ..component.id.clone() });
            }
        };
        let work = |assigned: Assigned| {
            let reader =
                PartitionReader::new(Arc::clone(sink), input.clone(), &assigned, context.clone());
            reader.run(self.upstream_finished.clone())
        };
        let group = sink.task_stage(&input.stream);
        let streams = [input.stream.clone()];
        let shared = share(&*context.log, &group, &streams, shutdown, tell, work).await;
        shared.map_err(|error| match error {
            ShareError::Join(source) => {
                let failure = RunSinkError::Join { sink: sink.name.clone(), source };
                let reason = with_causes(&failure);
                error!(message = "A table sink cannot run.", error = reason);
                component.set(State::Failed(reason));
                failure
            }
            ShareError::Work(failure) => failure,
            ShareError::Broken(source) => RunSinkError::Reader { sink: sink.name.clone(), source },
        })
    }
}
