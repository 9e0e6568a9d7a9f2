//! Ways in from topics that others write: exactly once from the topic into the stream.
//!
//! The processes of a pipeline share a topic's partitions as a group. What the records of a batch
//! have become and the position in the topic are one commit of the partition's task, so that
//! neither can be without the other.

mod partition;

use std::sync::Arc;
use std::time::Duration;

use millrace_core::Partition;
use millrace_core::with_causes;
use millrace_log::AttachExternalError;
use millrace_log::Log;
use millrace_log::share::ShareNews;
use millrace_log::share::share;
use millrace_observe::Component;
use millrace_observe::ComponentId;
use millrace_observe::ComponentKind;
use millrace_observe::Observer;
use millrace_observe::State;
use millrace_plan::Plan;
use millrace_plan::model::IngestSource;
use millrace_plan::model::KafkaIngest;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::acceptor::Acceptor;
use crate::acceptor::Route;
use crate::kafka::partition::PartitionIntake;
use crate::mqtt::Backoff;

/// How long a cluster may take to show a topic until the start goes on without.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// Waiting times between two tries of what the log has refused.
const RETRY: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));

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
        observer: &Arc<Observer>,
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
                observer: Arc::clone(observer),
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
    observer: Arc<Observer>,
    component: Arc<Component>,
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
            ShareNews::Gone(partition) => self.observer.forget(&self.component_id(partition)),
        };
        let work = |assigned| PartitionIntake::new(Arc::clone(&self), assigned).run();
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

    /// How the work on a partition shows.
    fn component_id(&self, partition: Partition) -> ComponentId {
        ComponentId {
            kind: ComponentKind::Ingest,
            name: self.route.name().to_owned(),
            stream: Some(self.kafka.topic.clone()),
            partition: Some(partition),
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
