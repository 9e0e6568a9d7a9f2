//! Runs every `mqtt` sink of a plan: a reader for each partition of each stream that is read here.

use std::path::Path;
use std::sync::Arc;

use millrace_log::Log;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::SinkTarget;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::BrokerPublisher;
use crate::metrics::Metrics;
use crate::publisher::Publisher;
use crate::reader::Reader;
use crate::sent::Sent;
use crate::shares::Readers;
use crate::shares::Shares;

/// Who has our own endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoints {
    /// This process alone: a sink goes on where it was.
    One,
    /// Each of several processes: a sink sends each of them what comes from now on.
    Several,
}

/// The running `mqtt` sinks of a plan.
pub struct MqttSinks {
    tasks: TaskTracker,
}

impl MqttSinks {
    /// Sends until `cancel` is cancelled. Streams must exist in the log. Sinks without a broker
    /// go to `endpoint`; where there is none, as under `--until-end`, they do not run, and send
    /// when they next do. Sinks with a broker share their partitions with other processes, where
    /// the log is not this one's alone. `secrets` is the folder that has one folder a Secret.
    #[must_use]
    pub fn start(
        plan: &Plan,
        log: &Arc<dyn Log>,
        endpoint: Option<&Arc<dyn Publisher>>,
        observer: &Arc<Observer>,
        secrets: &Path,
        cancel: &CancellationToken,
    ) -> Self {
        Self::start_with(plan, log, endpoint, Endpoints::One, observer, secrets, cancel)
    }

    /// Like [`Self::start`] where several processes have an endpoint, each with subscribers of its
    /// own: each reads all that goes there, at its start from the end of the streams on, and keeps
    /// its position as long as it lives. In the streams of a new generation it goes on where the
    /// group's offset is.
    /// To brokers each connects under the declared name and eight hexadecimal digits.
    #[must_use]
    pub fn start_beside_others(
        plan: &Plan,
        log: &Arc<dyn Log>,
        endpoint: Option<&Arc<dyn Publisher>>,
        observer: &Arc<Observer>,
        secrets: &Path,
        cancel: &CancellationToken,
    ) -> Self {
        Self::start_with(plan, log, endpoint, Endpoints::Several, observer, secrets, cancel)
    }

    fn start_with(
        plan: &Plan,
        log: &Arc<dyn Log>,
        endpoint: Option<&Arc<dyn Publisher>>,
        endpoints: Endpoints,
        observer: &Arc<Observer>,
        secrets: &Path,
        cancel: &CancellationToken,
    ) -> Self {
        let tasks = TaskTracker::new();
        let metrics = observer.once(|| Metrics::register(observer));
        let all = Shares { plan, log, observer, tasks: &tasks, cancel };
        for sink in &plan.sinks {
            let SinkTarget::Mqtt(mqtt) = &sink.target else { continue };
            let publisher: Arc<dyn Publisher> = match (&mqtt.broker, endpoint) {
                (Some(broker), _) => {
                    let mut broker = broker.clone();
                    if endpoints == Endpoints::Several {
                        // A broker has one connection of a name.
                        broker.client_id =
                            format!("{}-{:08x}", broker.client_id, rand::random::<u32>());
                    }
                    let secrets = secrets.to_owned();
                    Arc::new(BrokerPublisher::start(broker, secrets, &tasks, cancel.clone()))
                }
                (None, Some(endpoint)) => Arc::clone(endpoint),
                (None, None) => continue,
            };
            let is_own = mqtt.broker.is_none();
            let readers = if is_own { Readers::Each } else { Readers::Shared };
            let keeps_none = is_own && endpoints == Endpoints::Several;
            let sent = keeps_none.then(|| observer.once(Sent::default));
            let (shared, name) = (Arc::new(mqtt.clone()), sink.name.clone());
            let (counters, tracer) = (metrics.sink(&sink.name), observer.tracer().cloned());
            all.start(sink, readers, move |reads, component, stop| {
                let reader = Reader {
                    sink: Arc::clone(&shared),
                    name: name.clone(),
                    reads,
                    sent: sent.clone(),
                    publisher: Arc::clone(&publisher),
                    component,
                    metrics: counters.clone(),
                    tracer: tracer.clone(),
                };
                reader.run(stop)
            });
        }
        tasks.close();
        Self { tasks }
    }

    /// Waits until all have ended, after their cancellation.
    pub async fn closed(self) {
        self.tasks.wait().await;
    }
}
