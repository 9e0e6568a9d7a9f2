//! Runs every `mqtt` sink of a plan: a reader for each partition of each stream that it reads.

use std::sync::Arc;

use millrace_log::Log;
use millrace_observe::ComponentKind;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::SinkPlan;
use millrace_plan::model::SinkTarget;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::broker::BrokerPublisher;
use crate::metrics::Metrics;
use crate::publisher::Publisher;
use crate::reader::Reader;

/// The consumer group whose offsets are a sink's positions.
#[must_use]
pub fn group_of(sink: &SinkPlan) -> String {
    match sink.generation {
        0 => format!("sink/{}", sink.name),
        generation => format!("sink/{}/{generation}", sink.name),
    }
}

/// The running `mqtt` sinks of a plan.
pub struct MqttSinks {
    tasks: TaskTracker,
}

impl MqttSinks {
    /// Sends until `cancel` is cancelled. Streams must exist in the log. Sinks without a broker
    /// go to `endpoint`; where there is none, as under `--until-end`, they do not run, and send
    /// when they next do.
    #[must_use]
    pub fn start(
        plan: &Plan,
        log: &Arc<dyn Log>,
        endpoint: Option<&Arc<dyn Publisher>>,
        observer: &Observer,
        cancel: &CancellationToken,
    ) -> Self {
        let tasks = TaskTracker::new();
        let metrics = observer.once(|| Metrics::register(observer));
        for sink in &plan.sinks {
            let SinkTarget::Mqtt(mqtt) = &sink.target else { continue };
            let publisher: Arc<dyn Publisher> = match (&mqtt.broker, endpoint) {
                (Some(broker), _) => {
                    Arc::new(BrokerPublisher::start(broker.clone(), &tasks, cancel.clone()))
                }
                (None, Some(endpoint)) => Arc::clone(endpoint),
                (None, None) => continue,
            };
            let shared = Arc::new(mqtt.clone());
            let counters = metrics.sink(&sink.name);
            let group = group_of(sink);
            for name in &sink.from {
                let Some(stream) = plan.stream(name) else {
                    warn!(message = "A sink reads an unknown stream.", sink = sink.name);
                    continue;
                };
                for partition in 0..stream.partitions {
                    let component = observer.component(
                        ComponentKind::Sink,
                        &sink.name,
                        Some(name.as_str()),
                        Some(partition),
                    );
                    let reader = Reader {
                        sink: Arc::clone(&shared),
                        name: sink.name.clone(),
                        group: group.clone(),
                        stream: name.clone(),
                        partition,
                        log: Arc::clone(log),
                        publisher: Arc::clone(&publisher),
                        component,
                        metrics: counters.clone(),
                        tracer: observer.tracer().cloned(),
                    };
                    tasks.spawn(reader.run(cancel.clone()));
                }
            }
        }
        tasks.close();
        Self { tasks }
    }

    /// Waits until all have ended, after their cancellation.
    pub async fn closed(self) {
        self.tasks.wait().await;
    }
}
