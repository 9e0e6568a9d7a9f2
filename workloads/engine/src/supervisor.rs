//! Keeps one task alive: claims and restores it, runs it, and starts it again from its last
//! commit when the log could not serve it for a while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_core::with_causes;
use millrace_log::AppendError;
use millrace_log::ClaimTaskError;
use millrace_log::CommitTaskError;
use millrace_log::InputPosition;
use millrace_log::Log;
use millrace_log::ReadError;
use millrace_log::TaskName;
use millrace_observe::Component;
use millrace_observe::ComponentKind;
use millrace_observe::Observer;
use millrace_observe::State;
use millrace_plan::Plan;
use millrace_plan::model::StreamOrigin;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::error;
use tracing::warn;

use crate::BuildOperator;
use crate::EngineOptions;
use crate::buffer::Buffer;
use crate::error::TaskError;
use crate::input::Input;
use crate::metrics::Metrics;
use crate::metrics::StageLabels;
use crate::operators::Operators;
use crate::outbox::Outbox;
use crate::position::Position;
use crate::task::Ended;
use crate::task::Source;
use crate::task::Task;
use crate::task_metrics::TaskMetrics;
use crate::traced::Traced;

/// Waits between attempts grow from the first to the last of these, with jitter.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// How long a task that was taken over waits to be told that it is elsewhere.
const FENCED_PAUSE: Duration = Duration::from_secs(1);

/// One task and what it needs to be started again.
pub(crate) struct Supervisor {
    pub(crate) plan: Arc<Plan>,
    pub(crate) stage: usize,
    pub(crate) partition: Partition,
    /// Whether nobody else can ever have the task.
    pub(crate) is_ours_alone: bool,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) metrics: Metrics,
    pub(crate) options: EngineOptions,
    pub(crate) build: BuildOperator,
    /// Per input of the stage: whether its writers have finished.
    pub(crate) upstream_finished: Vec<watch::Receiver<bool>>,
}

impl Supervisor {
    /// How the task shows to others; it has not begun yet.
    pub(crate) fn component(&self) -> Arc<Component> {
        let stage = &self.plan.stages[self.stage].name;
        self.observer.component(ComponentKind::Task, stage, None, Some(self.partition))
    }

    /// Runs the task to its end, through all that passes by itself.
    pub(crate) async fn run(
        &self,
        component: &Arc<Component>,
        shutdown: &CancellationToken,
    ) -> Result<Ended, TaskError> {
        let stage = &self.plan.stages[self.stage].name;
        let mut retry = FIRST_RETRY;
        loop {
            let started = tokio::time::Instant::now();
            let result = match self.start(component).await {
                Ok(task) => task.run(shutdown).await,
                Err(error) => Err(error),
            };
            match result {
                Ok(ended) => {
                    component.set(State::Finished);
                    return Ok(ended);
                }
                Err(error) if passes_by_itself(&error) || self.may_be_ours_again(&error) => {
                    let labels = StageLabels { stage: stage.clone() };
                    self.metrics.commit_failures.get_or_create(&labels).inc();
                    component.set(State::Waiting(with_causes(&error)));
                    warn!(message = "A task waits for the log.", task = %component.id, error = with_causes(&error));
                    if started.elapsed() > LAST_RETRY {
                        retry = FIRST_RETRY;
                    }
                    let pause = retry.mul_f64(rand::random_range(0.5..1.0));
                    let pause = if is_fenced(&error) { pause.max(FENCED_PAUSE) } else { pause };
                    retry = (retry * 2).min(LAST_RETRY);
                    tokio::select! {
                        () = shutdown.cancelled() => return Ok(Ended::Shutdown),
                        () = tokio::time::sleep(pause) => {}
                    }
                }
                Err(error) => {
                    component.set(State::Failed(with_causes(&error)));
                    error!(message = "A task has failed.", task = %component.id, error = with_causes(&error));
                    return Err(error);
                }
            }
        }
    }

    /// Whether the task was taken over though it should be ours. Where others share the stage, this
    /// is soon told: the task is either lost or to be taken up again.
    fn may_be_ours_again(&self, error: &TaskError) -> bool {
        !self.is_ours_alone && is_fenced(error)
    }

    /// Claims the task and restores it as it was at its last commit.
    async fn start(&self, component: &Arc<Component>) -> Result<Task, TaskError> {
        let stage = &self.plan.stages[self.stage];
        let name = TaskName { stage: stage.name.clone(), partition: self.partition };
        let (claim, snapshot) = self
            .log
            .claim_task(&name)
            .await
            .map_err(|source| TaskError::Claim { task: name.to_string(), source })?;
        let mut operators = Operators::new(&stage.operators, &stage.inputs, &*self.build);
        operators
            .restore(&snapshot.state)
            .map_err(|source| TaskError::Restore { task: name.to_string(), source })?;
        let mut sources = Vec::with_capacity(stage.inputs.len());
        let (mut released_to, mut raised_to) = (i64::MIN, i64::MIN);
        for (stream, finished) in stage.inputs.iter().zip(&self.upstream_finished) {
            let position = self.position(&name, &snapshot.positions, stream)?;
            if let Some(position) = &position {
                released_to = released_to.max(position.released_to);
                raised_to = raised_to.max(position.raised_to);
            }
            sources.push(self.source(&name, stream, position, finished.clone())?);
        }
        let streams = self.plan.streams.iter();
        let partitions: HashMap<_, _> = streams.map(|s| (s.name.clone(), s.partitions)).collect();
        let inputs: Vec<_> = stage.inputs.iter().map(ToString::to_string).collect();
        Ok(Task {
            outbox: Outbox::new(
                self.partition,
                partitions,
                self.marked_streams(),
                operators.fingerprints(),
            ),
            metrics: TaskMetrics::new(self.metrics.clone(), &stage.name, self.partition, &inputs),
            traced: self
                .observer
                .tracer()
                .map(|tracer| Traced::new(tracer.clone(), stage.name.clone(), self.partition)),
            name,
            log: Arc::clone(&self.log),
            claim,
            sources,
            buffer: Buffer::new(stage.buffer),
            cut: None,
            operators,
            released_to,
            raised_to,
            processed_to: released_to.saturating_sub(1),
            batch: self.options.batch,
            until_end: self.options.until_end,
            component: Arc::clone(component),
            no_headers: Arc::default(),
            uncommitted: 0,
            uncommitted_since: None,
            committing: None,
        })
    }

    fn position(
        &self,
        name: &TaskName,
        positions: &[InputPosition],
        stream: &StreamName,
    ) -> Result<Option<Position>, TaskError> {
        positions
            .iter()
            .find(|position| position.stream == *stream && position.partition == self.partition)
            .map(|position| Position::decode(&position.metadata))
            .transpose()
            .map_err(|source| TaskError::Position { task: name.to_string(), source })
    }

    fn source(
        &self,
        name: &TaskName,
        stream: &StreamName,
        position: Option<Position>,
        upstream_finished: watch::Receiver<bool>,
    ) -> Result<Source, TaskError> {
        let plan = self.plan.stream(stream).ok_or_else(|| TaskError::UnknownStream {
            task: name.to_string(),
            stream: stream.to_string(),
        })?;
        let upstream = match &plan.origin {
            StreamOrigin::Derived { stage, .. } => self.plan.stages[*stage].partitions,
            StreamOrigin::Ingested(_) | StreamOrigin::DeadLetters => 0,
        };
        let end = self.log.follow(stream, self.partition).map_err(|source| TaskError::Read {
            task: name.to_string(),
            stream: stream.to_string(),
            source,
        })?;
        let input = Input::new(plan, self.partition, upstream, position);
        // What is late is a fact of the log: one stage tells of it, whoever else reads the stream.
        let first = self.plan.stages.iter().position(|stage| stage.inputs.contains(stream));
        Ok(Source { input, end, upstream_finished, reports: first == Some(self.stage) })
    }

    /// The streams that this stage writes and another stage reads.
    fn marked_streams(&self) -> Vec<StreamName> {
        self.plan.stages[self.stage]
            .operators
            .iter()
            .filter_map(|operator| operator.output.clone())
            .filter(|output| self.plan.stages.iter().any(|stage| stage.inputs.contains(output)))
            .collect()
    }
}

/// Whether the same work may succeed later: the log could not be written or read for a while.
fn passes_by_itself(error: &TaskError) -> bool {
    match error {
        TaskError::Commit { source: CommitTaskError::Append(source), .. }
        | TaskError::Claim { source: ClaimTaskError::Claim { source, .. }, .. } => {
            matches!(source, AppendError::Unavailable(_))
        }
        TaskError::Read { source, .. }
        | TaskError::Claim { source: ClaimTaskError::Restore { source, .. }, .. } => {
            matches!(source, ReadError::Storage(_))
        }
        _ => false,
    }
}

/// Whether someone else has claimed the task.
const fn is_fenced(error: &TaskError) -> bool {
    matches!(error, TaskError::Commit { source: CommitTaskError::Fenced { .. }, .. })
}
