//! A stage as far as it runs here: the tasks of the partitions that fall to this process.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;

use millrace_core::Partition;
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
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::BuildOperator;
use crate::EngineOptions;
use crate::error::TaskError;
use crate::metrics::Metrics;
use crate::metrics::ProcessorLabels;
use crate::metrics::TaskLabels;
use crate::supervisor::Supervisor;
use crate::task::Ended;

/// A stage and what its tasks need.
pub(crate) struct Stage {
    pub(crate) plan: Arc<Plan>,
    pub(crate) index: usize,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) metrics: Metrics,
    pub(crate) options: EngineOptions,
    pub(crate) build: BuildOperator,
    /// Per input of the stage: whether its writers have finished.
    pub(crate) upstream_finished: Vec<watch::Receiver<bool>>,
    pub(crate) running: Arc<StageRunning>,
    /// Stops the engine.
    pub(crate) stop: CancellationToken,
}

impl Stage {
    /// How the stage shows to others until its tasks have begun.
    pub(crate) fn component(&self) -> Arc<Component> {
        self.observer.component(ComponentKind::Task, self.name(), None, None)
    }

    fn name(&self) -> &str {
        &self.plan.stages[self.index].name
    }

    /// Runs the tasks that fall to this process, until all of them have ended.
    pub(crate) async fn run(self, component: Arc<Component>) -> Result<(), TaskError> {
        let inputs = &self.plan.stages[self.index].inputs;
        let tell = |news: ShareNews<'_>| match news {
            ShareNews::Waiting(error) => {
                let reason = with_causes(error);
                warn!(message = "A stage waits for the log.", stage = self.name(), error = reason);
                component.set(State::Waiting(reason));
            }
            ShareNews::Joined => self.observer.forget(&component.id),
            ShareNews::Gone(partition) => self.forget(partition),
        };
        let work = |assigned| self.task(assigned);
        let result = share(&*self.log, self.name(), inputs, &self.stop, tell, work).await;
        result.map_err(|error| match error {
            ShareError::Join(source) => {
                let failure = TaskError::Join { stage: self.name().to_owned(), source };
                let reason = with_causes(&failure);
                error!(message = "A stage cannot run.", error = reason);
                component.set(State::Failed(reason));
                failure
            }
            ShareError::Work(error) => error,
            ShareError::Broken(source) => {
                TaskError::Unexpected { task: format!("of {}", self.name()), source }
            }
        })
    }

    /// Takes back what is said of a task that is elsewhere.
    fn forget(&self, partition: Partition) {
        let stage = &self.plan.stages[self.index];
        let labels = TaskLabels { stage: stage.name.clone(), partition };
        self.metrics.buffered.remove(&labels);
        for operator in &stage.operators {
            let labels = ProcessorLabels { processor: operator.name.clone(), partition };
            self.metrics.state_entries.remove(&labels);
        }
        self.observer.forget(&ComponentId {
            kind: ComponentKind::Task,
            name: stage.name.clone(),
            stream: None,
            partition: Some(partition),
        });
    }

    /// The task of a partition, to its end or until the partition is lost.
    fn task(
        &self,
        assigned: Assigned,
    ) -> impl Future<Output = Result<(), TaskError>> + Send + 'static {
        let supervisor = Supervisor {
            plan: Arc::clone(&self.plan),
            stage: self.index,
            partition: assigned.partition,
            is_ours_alone: assigned.is_ours_alone,
            log: Arc::clone(&self.log),
            observer: Arc::clone(&self.observer),
            metrics: self.metrics.clone(),
            options: self.options.clone(),
            build: Arc::clone(&self.build),
            upstream_finished: self.upstream_finished.clone(),
        };
        let component = supervisor.component();
        let (stop, running) = (self.stop.clone(), Arc::clone(&self.running));
        let until_end = self.options.until_end;
        async move {
            let task = supervisor.run(&component, &stop);
            match assigned.lost.run_until_cancelled(task).await {
                Some(Ok(Ended::Input)) => running.one_finished(),
                Some(Ok(Ended::Shutdown)) => {}
                Some(Err(error)) => {
                    // The end of all input would never come.
                    if until_end {
                        stop.cancel();
                    }
                    return Err(error);
                }
                None => info!(message = "A task is not ours any more.", task = %component.id),
            }
            Ok(())
        }
    }
}

/// Counts the tasks of a stage that have not come to the end of their input.
pub(crate) struct StageRunning {
    remaining: AtomicI32,
    finished: watch::Sender<bool>,
}

impl StageRunning {
    pub(crate) fn new(tasks: Partition, finished: watch::Sender<bool>) -> Self {
        Self { remaining: tasks.into(), finished }
    }

    fn one_finished(&self) {
        if self.remaining.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.finished.send_replace(true);
        }
    }
}
