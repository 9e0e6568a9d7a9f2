//! Ways in from topics that others write: exactly once from the topic into the stream.
//!
//! What the records of a batch have become and the positions in the topic are one commit of a
//! task, so that neither can be without the other. All partitions are taken by one process, in the
//! order of their timestamps: the one to which the first partition falls in a group of all
//! processes.

mod intake;
mod merge;

use std::sync::Arc;
use std::time::Duration;

use millrace_core::Partition;
use millrace_core::with_causes;
use millrace_log::AttachExternalError;
use millrace_log::Log;
use millrace_log::StageConfig;
use millrace_log::share::Assigned;
use millrace_log::share::ShareNews;
use millrace_log::share::share;
use millrace_observe::Component;
use millrace_observe::ComponentKind;
use millrace_observe::Observer;
use millrace_observe::State;
use millrace_plan::Plan;
use millrace_plan::model::IngestPlan;
use millrace_plan::model::IngestSource;
use millrace_plan::model::KafkaIngest;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::acceptor::Acceptor;
use crate::acceptor::Route;
use crate::kafka::intake::TopicIntake;
use crate::mqtt::Backoff;

/// How long a cluster may take to show a topic until the start goes on without.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// Waiting times between two tries of what the log has refused.
const RETRY: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));

/// The partition whose process takes all of the topic, and the number of the task.
const TASK: Partition = 0;

/// The ways in of a plan that read topics.
pub struct KafkaIntake {
    tasks: TaskTracker,
}

/// A topic that can never be read as things are.
#[derive(Debug, thiserror::Error)]
#[error("the way in `{way}` cannot start")]
pub struct StartKafkaError {
    /// The way in.
    pub way: String,
    /// Why not.
    #[source]
    pub source: AttachExternalError,
}

impl KafkaIntake {
    /// Reads for every way in of the plan that names a topic, until `cancel` is cancelled. What
    /// may be otherwise later, such as a topic that is not there, is waited for.
    ///
    /// # Errors
    /// When the log has no topics of others, or a topic is one of this pipeline's own.
    pub async fn start(
        plan: &Plan,
        acceptor: &Acceptor,
        log: &Arc<dyn Log>,
        observer: &Observer,
        cancel: &CancellationToken,
    ) -> Result<Self, StartKafkaError> {
        let mut ways = Vec::new();
        for ingest in &plan.ingest {
            let IngestSource::Kafka(kafka) = &ingest.source else { continue };
            let Some(route) = acceptor.route(&ingest.name) else { continue };
            let way = Arc::new(Way {
                kafka: kafka.clone(),
                route: Arc::clone(route),
                log: Arc::clone(log),
                component: observer.component(ComponentKind::Ingest, &ingest.name, None, None),
            });
            way.look()
                .await
                .map_err(|source| StartKafkaError { way: ingest.name.clone(), source })?;
            ways.push(way);
        }
        let tasks = TaskTracker::new();
        for way in ways {
            tasks.spawn(way.run(cancel.clone()));
        }
        tasks.close();
        Ok(Self { tasks })
    }

    /// The stages whose tasks keep how far the topics of a plan were read.
    #[must_use]
    pub fn stages(plan: &Plan) -> Vec<StageConfig> {
        let of = |ingest: &IngestPlan| match &ingest.source {
            IngestSource::Kafka(kafka) => Some(stage_of(kafka)),
            _ => None,
        };
        plan.ingest.iter().filter_map(of).collect()
    }

    /// Waits until all have ended, after their cancellation.
    pub async fn closed(self) {
        self.tasks.wait().await;
    }
}

/// A way in, in this process.
struct Way {
    kafka: KafkaIngest,
    route: Arc<Route>,
    log: Arc<dyn Log>,
    component: Arc<Component>,
}

/// What keeps how far a topic was read.
fn stage_of(kafka: &KafkaIngest) -> StageConfig {
    StageConfig { name: kafka.source.to_string(), partitions: 1 }
}

impl Way {
    /// Looks for the topic once, shortly; tells only what no waiting can mend.
    async fn look(&self) -> Result<(), AttachExternalError> {
        let attached = self.log.attach_external(&self.kafka.source, &self.kafka.topic);
        match tokio::time::timeout(FIRST_LOOK, attached).await {
            Ok(Err(
                error @ (AttachExternalError::NoKafka { .. } | AttachExternalError::Own { .. }),
            )) => Err(error),
            _ => Ok(()),
        }
    }

    async fn run(self: Arc<Self>, cancel: CancellationToken) {
        if cancel.run_until_cancelled(self.attach()).await.is_none() {
            self.component.set(State::Finished);
            return;
        }
        let tell = |news: ShareNews<'_>| match news {
            ShareNews::Waiting(error) => self.component.set(State::Waiting(error.to_string())),
            ShareNews::Joined => self.component.set(State::Running),
            ShareNews::Gone(_) => {}
        };
        let work = |assigned: Assigned| {
            let way = Arc::clone(&self);
            async move {
                if assigned.partition != TASK {
                    return Ok(());
                }
                TopicIntake::new(way, assigned).run().await
            }
        };
        let source = &self.kafka.source;
        let shared =
            share(&*self.log, source.as_str(), std::slice::from_ref(source), &cancel, tell, work);
        match shared.await {
            Ok(()) => self.component.set(State::Finished),
            Err(error) => {
                let reason = with_causes(&error);
                let route = self.route.name();
                warn!(message = "A way in from Kafka cannot go on.", route, reason);
                self.component.set(State::Failed(reason));
            }
        }
    }

    /// Finds the topic, however long that takes.
    async fn attach(&self) {
        let mut retry = RETRY;
        loop {
            match self.log.attach_external(&self.kafka.source, &self.kafka.topic).await {
                Ok(_) => return,
                Err(error) => self.component.set(State::Waiting(with_causes(&error))),
            }
            tokio::time::sleep(retry.next_wait()).await;
        }
    }
}
