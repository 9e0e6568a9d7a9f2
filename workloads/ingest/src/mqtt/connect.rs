//! The client of an external broker: subscribes, appends, then acknowledges in arrival order.
//!
//! The session at the broker is persistent: what was not acknowledged comes again after either
//! side's restart. Each attempt to connect starts with a new client, so that nothing of an ended
//! connection is acknowledged on the next one.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millrace_core::with_causes;
use millrace_log::AppendError;
use millrace_observe::Component;
use millrace_observe::ComponentKind;
use millrace_observe::Observer;
use millrace_observe::State;
use millrace_plan::Plan;
use millrace_plan::model::IngestSource;
use millrace_plan::model::MqttConnect;
use rumqttc::AsyncClient;
use rumqttc::ClientError;
use rumqttc::ConnectionError;
use rumqttc::Event;
use rumqttc::EventLoop;
use rumqttc::Packet;
use rumqttc::Publish;
use rumqttc::QoS;
use rumqttc::SubscribeFilter;
use rumqttc::SubscribeReasonCode;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::acceptor::Acceptor;
use crate::acceptor::Incoming;
use crate::acceptor::Route;
use crate::mqtt::backoff::Backoff;
use crate::mqtt::broker;
use crate::mqtt::broker::BrokerError;
use crate::mqtt::broker::RECONNECT;
use crate::recorded::now_millis;

/// Most messages of one append.
const BATCH: usize = 256;

/// Messages that may wait between the connection and the log.
const WAITING: usize = 1024;

/// Acknowledgements that may wait for the connection.
const ACKNOWLEDGEMENTS: usize = 4096;

/// Waiting times between two tries of an append that the log has refused.
const RETRY: Backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1));

/// How long a connection may take to take the goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

/// The subscriptions of a plan at external brokers.
pub struct MqttSubscriptions {
    tasks: TaskTracker,
}

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
enum SubscriptionError {
    #[error("cannot use the settings of the broker")]
    Settings(#[from] BrokerError),
    #[error("the connection to the broker has ended")]
    Connection(#[source] Box<ConnectionError>),
    #[error("the broker refuses the subscription to `{0}`")]
    Refused(String),
    #[error("the client has ended")]
    Client(#[source] Box<ClientError>),
}

impl MqttSubscriptions {
    /// Subscribes for every way in of the plan that names a broker, until `cancel` is cancelled.
    /// `secrets` is the folder that has one folder a Secret.
    #[must_use]
    pub fn start(
        plan: &Plan,
        acceptor: &Acceptor,
        observer: &Observer,
        secrets: &Path,
        cancel: &CancellationToken,
    ) -> Self {
        let tasks = TaskTracker::new();
        for ingest in &plan.ingest {
            let IngestSource::MqttConnect(connect) = &ingest.source else { continue };
            let Some(route) = acceptor.route(&ingest.name) else { continue };
            let subscription = Subscription {
                connect: connect.clone(),
                secrets: secrets.to_owned(),
                route: Arc::clone(route),
                acceptor: acceptor.clone(),
                component: observer.component(ComponentKind::Ingest, &ingest.name, None, None),
            };
            tasks.spawn(subscription.run(cancel.clone()));
        }
        tasks.close();
        Self { tasks }
    }

    /// Waits until all have ended, after their cancellation.
    pub async fn closed(self) {
        self.tasks.wait().await;
    }
}

struct Subscription {
    connect: MqttConnect,
    secrets: PathBuf,
    route: Arc<Route>,
    acceptor: Acceptor,
    component: Arc<Component>,
}

impl Subscription {
    async fn run(self, cancel: CancellationToken) {
        let mut reconnect = RECONNECT;
        while !cancel.is_cancelled() {
            let Err(error) = self.connection(&cancel, &mut reconnect).await else { break };
            let reason = with_causes(&error);
            warn!(
                message = "Failed to receive from an MQTT broker; connecting again.",
                route = self.route.name(),
                reason
            );
            self.component.set(State::Waiting(reason));
            cancel.run_until_cancelled(tokio::time::sleep(reconnect.next_wait())).await;
        }
        self.component.set(State::Finished);
    }

    /// Serves one connection until it ends or is cancelled.
    async fn connection(
        &self,
        cancel: &CancellationToken,
        reconnect: &mut Backoff,
    ) -> Result<(), SubscriptionError> {
        let mut options = broker::options(&self.connect.broker, &self.secrets)?;
        options.set_clean_session(false);
        options.set_manual_acks(true);
        let (client, events) = AsyncClient::new(options, ACKNOWLEDGEMENTS);
        client
            .subscribe_many(self.filters())
            .await
            .map_err(|error| SubscriptionError::Client(Box::new(error)))?;
        let (messages, mut received) = mpsc::channel(WAITING);
        let stop = CancellationToken::new();
        let _stop_at_the_end = stop.clone().drop_guard();
        let mut polling = tokio::spawn(poll(events, messages, stop));
        let mut arrived = Vec::new();
        loop {
            arrived.clear();
            let count = received.recv_many(&mut arrived, BATCH);
            match cancel.run_until_cancelled(count).await {
                None => break,
                Some(0) => return end_of(polling.await),
                Some(_) => {}
            }
            let mut batch = Vec::with_capacity(arrived.len());
            for one in arrived.drain(..) {
                match one {
                    FromBroker::Message(message) => batch.push(message),
                    FromBroker::Subscribed(None) => {
                        reconnect.reset();
                        self.component.set(State::Running);
                    }
                    FromBroker::Subscribed(Some(refused)) => {
                        let topic = self.connect.topics.get(refused).cloned();
                        return Err(SubscriptionError::Refused(topic.unwrap_or_default()));
                    }
                }
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                () = self.store(&batch) => {}
                // What is not acknowledged comes again.
                result = &mut polling => return end_of(result),
            }
            for message in &batch {
                client
                    .ack(message)
                    .await
                    .map_err(|error| SubscriptionError::Client(Box::new(error)))?;
            }
        }
        // Pending acknowledgements go out before the goodbye. New messages find no receiver.
        drop(received);
        let _ = client.try_disconnect();
        let _ = tokio::time::timeout(GOODBYE, &mut polling).await;
        Ok(())
    }

    fn filters(&self) -> Vec<SubscribeFilter> {
        let qos = match self.connect.qos {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        };
        let filter = |topic: &String| match &self.connect.shared_group {
            Some(group) => format!("$share/{group}/{topic}"),
            None => topic.clone(),
        };
        self.connect.topics.iter().map(|topic| SubscribeFilter::new(filter(topic), qos)).collect()
    }

    /// Makes messages durable, however long that takes.
    async fn store(&self, messages: &[Publish]) {
        let mut retry = RETRY;
        loop {
            match self.try_store(messages).await {
                Ok(()) => return,
                Err(error) => {
                    self.component.set(State::Waiting(error.to_string()));
                    tokio::time::sleep(retry.next_wait()).await;
                }
            }
        }
    }

    async fn try_store(&self, messages: &[Publish]) -> Result<(), AppendError> {
        let arrival = now_millis();
        let mut prepared: Vec<_> = messages
            .iter()
            .map(|message| {
                let incoming = Incoming {
                    topic: &message.topic,
                    client_id: None,
                    user: None,
                    body: message.payload.clone(),
                    arrival,
                };
                Acceptor::prepare(&self.route, &incoming)
            })
            .collect();
        self.acceptor.store_all(&mut prepared).await?;
        self.component.set(State::Running);
        for one in prepared {
            // Invalid messages are durable dead letters, and counted.
            let _ = one.finish(0, None);
        }
        Ok(())
    }
}

/// What the connection hands over.
enum FromBroker {
    /// The broker has answered the subscription; with the topic that it refuses, if any.
    Subscribed(Option<usize>),
    Message(Publish),
}

async fn poll(
    mut events: EventLoop,
    messages: mpsc::Sender<FromBroker>,
    stop: CancellationToken,
) -> Result<(), Box<ConnectionError>> {
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            event = events.poll() => event.map_err(Box::new)?,
        };
        let message = match event {
            Event::Incoming(Packet::Publish(message)) => FromBroker::Message(message),
            Event::Incoming(Packet::SubAck(answer)) => FromBroker::Subscribed(
                answer.return_codes.iter().position(|c| matches!(c, SubscribeReasonCode::Failure)),
            ),
            _ => continue,
        };
        // While the log does not accept, this waits; the receiver ends with the connection.
        if messages.send(message).await.is_err() {
            // Go on, so that what has been acknowledged and the goodbye go out.
            while !stop.is_cancelled() {
                events.poll().await.map_err(Box::new)?;
            }
            return Ok(());
        }
    }
}

fn end_of(
    result: Result<Result<(), Box<ConnectionError>>, tokio::task::JoinError>,
) -> Result<(), SubscriptionError> {
    match result {
        Ok(Err(error)) => Err(SubscriptionError::Connection(error)),
        // A panic of the task has been reported by its thread.
        Ok(Ok(())) | Err(_) => Ok(()),
    }
}
