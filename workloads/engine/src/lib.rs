//! The engine: runs a plan's stages as tasks, one per partition.
//!
//! A task puts the events of its inputs in event-time order, runs the operators and commits
//! outputs, state and positions in one transaction of the log. What a task makes depends on its
//! inputs' logs alone, never on batches, restarts or the clock.

mod buffer;
mod committing;
mod error;
mod input;
mod metrics;
mod operators;
mod outbox;
mod page;
mod position;
mod recent_ids;
mod stage;
mod supervisor;
mod task;
mod task_metrics;
mod traced;
mod watermark;

pub use error::TaskError;
pub use operators::RestoreStateError;
pub use operators::TimerStays;
pub use position::PositionError;

use std::collections::BTreeSet;
use std::sync::Arc;

use millrace_log::Log;
use millrace_log::ReadLimit;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::OperatorPlan;
use millrace_plan::model::StreamOrigin;
use millrace_processors::Operator;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::stage::Stage;
use crate::stage::StageRunning;

/// How the engine runs.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Whether tasks end, releasing everything, when their input has ended.
    pub until_end: bool,
    /// What a task reads at once. Results do not depend on it.
    pub batch: ReadLimit,
    /// Becomes `true` when nothing more is appended to ingested streams; only asked if
    /// `until_end`.
    pub input_finished: watch::Receiver<bool>,
    /// Names of the stages whose tasks run here; none: of all. Others are then run elsewhere, or
    /// rest.
    pub only: Option<BTreeSet<String>>,
}

/// Makes the operator of a plan, with empty state.
pub type BuildOperator = Arc<dyn Fn(&OperatorPlan) -> Box<dyn Operator> + Send + Sync>;

/// The tasks of a plan at work.
pub struct Engine {
    tasks: JoinSet<Result<(), TaskError>>,
    finished: watch::Sender<bool>,
    stop: CancellationToken,
    until_end: bool,
}

impl Engine {
    /// Starts every task of the plan that falls to this process: all of them where the log is its
    /// alone, and otherwise those whose partitions it gets as a member of the stages' groups, as
    /// long as it has them. Tasks that cannot work at present say so in the observer and try again;
    /// the shutdown token stops them after a last commit.
    #[must_use]
    pub fn start(
        plan: &Arc<Plan>,
        log: &Arc<dyn Log>,
        observer: &Arc<Observer>,
        options: &EngineOptions,
        shutdown: &CancellationToken,
    ) -> Self {
        let build: BuildOperator = Arc::new(millrace_processors::build);
        Self::start_with(&build, plan, log, observer, options, shutdown)
    }

    /// Like [`Engine::start`], with operators that are made otherwise than by
    /// [`millrace_processors::build`].
    #[must_use]
    pub fn start_with(
        build: &BuildOperator,
        plan: &Arc<Plan>,
        log: &Arc<dyn Log>,
        observer: &Arc<Observer>,
        options: &EngineOptions,
        shutdown: &CancellationToken,
    ) -> Self {
        let metrics = observer.once(|| Metrics::register(observer));
        let stop = shutdown.child_token();
        let mut tasks = JoinSet::new();
        let mut stages_finished: Vec<watch::Receiver<bool>> = Vec::new();
        for stage in 0..plan.stages.len() {
            let upstream = plan.stages[stage]
                .inputs
                .iter()
                .map(|name| match plan.stream(name).map(|stream| &stream.origin) {
                    Some(StreamOrigin::Derived { stage: upstream, .. }) => {
                        stages_finished[*upstream].clone()
                    }
                    _ => options.input_finished.clone(),
                })
                .collect::<Vec<_>>();
            let (sender, receiver) = watch::channel(false);
            stages_finished.push(receiver);
            let running = Arc::new(StageRunning::new(plan.stages[stage].partitions, sender));
            let runs = |only: &BTreeSet<String>| only.contains(&plan.stages[stage].name);
            if !options.only.as_ref().is_none_or(runs) {
                continue;
            }
            let stage = Stage {
                plan: Arc::clone(plan),
                index: stage,
                log: Arc::clone(log),
                observer: Arc::clone(observer),
                metrics: metrics.clone(),
                options: options.clone(),
                build: Arc::clone(build),
                upstream_finished: upstream,
                running,
                stop: stop.clone(),
            };
            let component = stage.component();
            tasks.spawn(stage.run(component));
        }
        Self { tasks, finished: watch::Sender::new(false), stop, until_end: options.until_end }
    }

    /// Becomes `true` when every task has come to the end of its input.
    #[must_use]
    pub fn finished(&self) -> watch::Receiver<bool> {
        self.finished.subscribe()
    }

    /// Waits until every task has ended.
    ///
    /// # Errors
    /// The first failure of a task. The others go on, unless they run until the end of input,
    /// which would then never come.
    pub async fn join(mut self) -> Result<(), TaskError> {
        let mut failure = None;
        while let Some(joined) = self.tasks.join_next().await {
            let ended = joined.unwrap_or_else(|source| {
                Err(TaskError::Unexpected { task: "of the engine".to_owned(), source })
            });
            if let Err(error) = ended {
                if self.until_end {
                    self.stop.cancel();
                }
                failure.get_or_insert(error);
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        self.finished.send_replace(true);
        Ok(())
    }
}
