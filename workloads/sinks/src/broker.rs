//! Publishes to an external broker: one connection for a sink, many messages on their way, each
//! confirmed by the broker.
//!
//! When a connection ends, everything on its way fails and the readers send it again on the
//! next one, in order. Each attempt to connect starts with a new client and a clean session.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use millrace_ingest::mqtt::OutgoingMessage;
use millrace_ingest::mqtt::broker::RECONNECT;
use millrace_ingest::mqtt::broker::options;
use millrace_plan::model::MqttBroker;
use rumqttc::AsyncClient;
use rumqttc::Event;
use rumqttc::EventLoop;
use rumqttc::Outgoing;
use rumqttc::Packet;
use rumqttc::QoS;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

/// Messages on their way to the broker at most.
const WINDOW: u16 = 100;

/// Messages that may wait for the connection.
const WAITING: usize = 256;

/// How long messages that are on their way at a stop may take to be confirmed.
const STOP_PATIENCE: Duration = Duration::from_millis(800);

/// Publishes to an external broker.
pub struct BrokerPublisher {
    messages: mpsc::Sender<Waiting>,
}

struct Waiting {
    message: OutgoingMessage,
    confirmed: oneshot::Sender<Result<(), String>>,
}

impl BrokerPublisher {
    /// Connects, and connects again, until `cancel` is cancelled. Messages that are on their way
    /// then may still be confirmed for a moment, as long as anybody waits for that. `secrets` is the
    /// folder that has one folder a Secret.
    #[must_use]
    pub fn start(
        broker: MqttBroker,
        secrets: PathBuf,
        tasks: &TaskTracker,
        cancel: CancellationToken,
    ) -> Self {
        let (messages, waiting) = mpsc::channel(WAITING);
        tasks.spawn(async move {
            let given_up = async {
                cancel.cancelled().await;
                tokio::time::sleep(STOP_PATIENCE).await;
            };
            tokio::select! {
                () = run(broker, &secrets, waiting) => {}
                () = given_up => {}
            }
        });
        Self { messages }
    }
}

#[async_trait]
impl crate::Publisher for BrokerPublisher {
    async fn publish(&self, messages: Vec<OutgoingMessage>) -> Result<(), crate::DeliverError> {
        let closed = || crate::DeliverError::Broker("the connection is closing".to_owned());
        let mut confirmations = Vec::with_capacity(messages.len());
        for message in messages {
            let (confirmed, confirmation) = oneshot::channel();
            self.messages.send(Waiting { message, confirmed }).await.map_err(|_| closed())?;
            confirmations.push(confirmation);
        }
        for confirmation in confirmations {
            confirmation.await.map_err(|_| closed())?.map_err(crate::DeliverError::Broker)?;
        }
        Ok(())
    }
}

async fn run(broker: MqttBroker, secrets: &Path, mut waiting: mpsc::Receiver<Waiting>) {
    let mut reconnect = RECONNECT;
    loop {
        let reason = match options(&broker, secrets) {
            Ok(mut options) => {
                options.set_clean_session(true);
                options.set_inflight(WINDOW);
                let (client, events) = AsyncClient::new(options, usize::from(WINDOW));
                let mut connection = Connection::new(client, events);
                let reason = connection.serve(&mut waiting, || reconnect.reset()).await;
                connection.fail(&reason);
                reason
            }
            Err(error) => error.to_string(),
        };
        if waiting.is_closed() && waiting.is_empty() {
            return;
        }
        warn!(
            message = "Failed to publish to an MQTT broker; connecting again.",
            broker = broker.url,
            reason
        );
        // What waits for the connection learns why it has to wait, and comes again.
        while let Ok(waiting) = waiting.try_recv() {
            let _ = waiting.confirmed.send(Err(reason.clone()));
        }
        if waiting.is_closed() {
            return;
        }
        tokio::time::sleep(reconnect.next_wait()).await;
    }
}

/// One connection and the messages on their way over it.
struct Connection {
    client: AsyncClient,
    events: Option<EventLoop>,
    /// Handed to the client, not yet sent.
    handed: VecDeque<oneshot::Sender<Result<(), String>>>,
    /// Sent, by packet id.
    sent: HashMap<u16, oneshot::Sender<Result<(), String>>>,
}

impl Connection {
    fn new(client: AsyncClient, events: EventLoop) -> Self {
        Self { client, events: Some(events), handed: VecDeque::new(), sent: HashMap::new() }
    }

    /// Serves until the connection ends; returns why.
    async fn serve(
        &mut self,
        waiting: &mut mpsc::Receiver<Waiting>,
        connected: impl FnMut(),
    ) -> String {
        let Some(events) = self.events.take() else { return String::new() };
        let (seen, mut happened) = mpsc::channel(WAITING);
        // The event loop must not be interrupted within a poll, so it has a task of its own.
        let polling = AbortOnDrop(tokio::spawn(poll(events, seen)));
        let mut connected = connected;
        let mut is_connected = false;
        loop {
            let room = is_connected && self.handed.len() + self.sent.len() < usize::from(WINDOW);
            tokio::select! {
                biased;
                event = happened.recv() => match event {
                    Some(Ok(Event::Incoming(Packet::ConnAck(_)))) => {
                        is_connected = true;
                        connected();
                    }
                    Some(Ok(event)) => self.happened(&event),
                    Some(Err(reason)) => return reason,
                    None => return "the connection has ended".to_owned(),
                },
                message = waiting.recv(), if room => {
                    let Some(message) = message else {
                        drop(polling);
                        return "the sink is closing".to_owned();
                    };
                    self.hand(message);
                }
            }
        }
    }

    fn hand(&mut self, Waiting { message, confirmed }: Waiting) {
        let qos = match message.qos {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        };
        let body = message.body.to_vec();
        match self.client.try_publish(message.topic, qos, message.retain, body) {
            Ok(()) => self.handed.push_back(confirmed),
            Err(error) => drop(confirmed.send(Err(error.to_string()))),
        }
    }

    fn happened(&mut self, event: &Event) {
        let confirmed = match event {
            // Messages are sent in the order in which they were handed over.
            Event::Outgoing(Outgoing::Publish(0)) => self.handed.pop_front(),
            Event::Outgoing(Outgoing::Publish(id)) => {
                if let Some(handed) = self.handed.pop_front() {
                    self.sent.insert(*id, handed);
                }
                None
            }
            Event::Incoming(Packet::PubAck(ack)) => self.sent.remove(&ack.pkid),
            Event::Incoming(Packet::PubComp(complete)) => self.sent.remove(&complete.pkid),
            _ => None,
        };
        if let Some(confirmed) = confirmed {
            // Nobody waits any more where the reader has been cancelled.
            let _ = confirmed.send(Ok(()));
        }
    }

    /// Tells everyone who waits that the connection has ended.
    fn fail(&mut self, reason: &str) {
        let sent = self.sent.drain().map(|(_, confirmed)| confirmed);
        for confirmed in sent.chain(self.handed.drain(..)) {
            let _ = confirmed.send(Err(reason.to_owned()));
        }
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn poll(mut events: EventLoop, seen: mpsc::Sender<Result<Event, String>>) {
    loop {
        let event = events.poll().await.map_err(|error| error.to_string());
        let ended = event.is_err();
        if seen.send(event).await.is_err() || ended {
            return;
        }
    }
}
