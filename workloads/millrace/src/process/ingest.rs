//! A process that takes events in: all ways in, and our own MQTT endpoint with what the `mqtt`
//! sinks publish to its clients. It computes nothing and knows no tables.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use millrace_ingest::mqtt::MqttSettings;
use millrace_log::Log;
use millrace_log::ReadLimit;
use millrace_observe::ComponentKind;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::IngestSource;
use millrace_plan::model::SinkTarget;
use millrace_query::QueryState;
use millrace_query::Readiness;
use tokio_util::sync::CancellationToken;

use crate::process::computing::ComputeContext;
use crate::process::live::StartLiveError;
use crate::process::parts::Parts;
use crate::process::separate::BeginError;
use crate::process::separate::Connected;
use crate::process::separate::Port;
use crate::process::separate::SeparateOptions;
use crate::process::separate::end;
use crate::process::separate::share;
use crate::process::separate::with_open_probes;
use crate::process::ways_in::WaysIn;
use crate::process::worker::Worker;
use crate::process::worker::not_begun;

/// A process that takes events in.
pub(crate) struct IngestProcess {
    port: Port,
}

/// The same at work.
pub(crate) struct Ingesting {
    port: Port,
    connected: Connected,
    ways_in: WaysIn,
    sinks: Worker,
    state: QueryState,
}

impl IngestProcess {
    /// Opens the HTTP port.
    pub(crate) async fn open(plan: Plan, options: SeparateOptions) -> Result<Self, BeginError> {
        let exposure = with_open_probes(&plan.exposure);
        Ok(Self { port: Port::open(plan, exposure, options).await? })
    }

    /// What takes metrics and traces.
    pub(crate) const fn observer(&self) -> &Arc<Observer> {
        &self.port.observer
    }

    /// Takes events in from the moment on in which that is possible; none if told to stop before.
    pub(crate) async fn start(
        self,
        mqtt: MqttSettings,
        shutdown: &CancellationToken,
    ) -> Result<Option<Ingesting>, StartLiveError> {
        let Some(connected) = self.port.connect(shutdown).await? else {
            self.port.close().await;
            return Ok(None);
        };
        let port = self.port;
        let follower = connected.follower.clone();
        let log = Arc::clone(follower.view()) as Arc<dyn Log>;
        let parts = Parts::with(share(port.grace));
        let plan = Arc::new(with_own_sessions(&port.plan, port.name()));
        let ways_in = WaysIn::start(&plan, &log, &port.observer, mqtt, parts).await?;
        let context = ComputeContext {
            log: Arc::clone(&log),
            tables: Arc::clone(&connected.shared.tables),
            observer: Arc::clone(&port.observer),
            publisher: Some(ways_in.publisher()),
            batch: ReadLimit::default(),
            folders: port.folders.clone(),
            beside_others: true,
            only: Some(to_own_clients(&port.plan)),
            patience: share(port.grace),
        };
        let sinks = Worker::start(context, follower, false);
        let state = QueryState::of_probes(
            Arc::clone(&port.plan),
            Arc::clone(&log),
            Arc::clone(&port.observer),
        );
        let observer = Arc::clone(&port.observer);
        state.set_readiness(Arc::new(TakesEvents { log, observer }));
        ways_in.open(port.folders.secrets.as_deref()).await?;
        port.serve(state.probes(ways_in.routes()));
        Ok(Some(Ingesting { port, connected, ways_in, sinks, state }))
    }
}

impl Ingesting {
    /// Address of the HTTP port.
    pub(crate) const fn http_address(&self) -> SocketAddr {
        self.port.address()
    }

    /// What an address of the HTTP port begins with.
    pub(crate) const fn http_scheme(&self) -> &'static str {
        self.port.scheme()
    }

    /// Address of the MQTT endpoint.
    pub(crate) const fn mqtt_address(&self) -> SocketAddr {
        self.ways_in.mqtt_address()
    }

    /// What names the process.
    pub(crate) fn name(&self) -> &str {
        self.port.name()
    }

    /// Takes nothing more in, finishes what is under way, and ends.
    pub(crate) async fn stop(self) {
        let Self { port, connected, ways_in, sinks, state } = self;
        let grace = port.grace;
        end(&state, grace, async {
            tokio::join!(port.close(), ways_in.stop());
            sinks.stop().await;
            connected.close().await;
        })
        .await;
    }
}

/// Processes that share the messages of another broker need a session each, which they find again
/// when they start again.
fn with_own_sessions(plan: &Plan, process: &str) -> Plan {
    let mut plan = plan.clone();
    for ingest in &mut plan.ingest {
        if let IngestSource::MqttConnect(connect) = &mut ingest.source
            && connect.shared_group.is_some()
        {
            connect.broker.client_id = format!("{}-{process}", connect.broker.client_id);
        }
    }
    plan
}

/// The sinks that publish to clients of our own endpoint.
fn to_own_clients(plan: &Plan) -> BTreeSet<String> {
    let own = plan
        .sinks
        .iter()
        .filter(|sink| matches!(&sink.target, SinkTarget::Mqtt(mqtt) if mqtt.broker.is_none()));
    own.map(|sink| sink.name.clone()).collect()
}

/// Ready while the log accepts events, and the endpoint its clients, to whom what is computed is
/// sent from then on.
struct TakesEvents {
    log: Arc<dyn Log>,
    observer: Arc<Observer>,
}

#[async_trait]
impl Readiness for TakesEvents {
    async fn reasons(&self) -> Vec<String> {
        let mut reasons = self.observer.not_ready_of(|part| part.kind == ComponentKind::Endpoint);
        let sends = |kind, _: &str| kind == ComponentKind::Sink;
        reasons.extend(not_begun(&self.observer, sends));
        if let Err(error) = self.log.check_writable().await {
            reasons.push(error.to_string());
        }
        reasons
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a test ends where something is not as it should be")]
mod tests {
    use super::*;

    #[test]
    fn processes_that_share_the_messages_of_another_broker_have_a_session_each() {
        let plan = |shared: &str| {
            let text = format!(
                "apiVersion: millrace.dev/v1alpha1\nkind: TelemetryPipeline\nmetadata: {{name: race}}\nspec:\n  \
                 streams: [{{name: positions, key: [.car]}}]\n  \
                 ingest: [{{name: cars, to: positions, mqtt: {{connect: {{broker: {{url: 'mqtt://broker'}}, topics: [cars]{shared}}}}}}}]\n"
            );
            let pipelines = millrace_api::load(&text, "a.yaml").unwrap();
            millrace_plan::plan(&pipelines[0]).unwrap()
        };
        let id = |shared: &str| {
            let plan = with_own_sessions(&plan(shared), "race-ingest-1");
            match &plan.ingest[0].source {
                IngestSource::MqttConnect(connect) => connect.broker.client_id.clone(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(id(", sharedGroup: millrace"), "millrace-race-cars-race-ingest-1");
        // It is the only one, whatever it is called.
        assert_eq!(id(""), "millrace-race-cars");
    }
}
