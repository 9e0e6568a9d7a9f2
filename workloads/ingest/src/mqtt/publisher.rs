//! Publishing from inside to the endpoint's subscribers.
//!
//! A published message goes into the queue of every session that it matches. A session's queue is
//! bounded; where a subscriber is slower than what is published, the publisher waits a while for
//! it, and then the endpoint drops the oldest messages of that session.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use rmqtt::codec::types::Publish as PublishPacket;
use rmqtt::context::ServerContext;
use rmqtt::session::SessionState;
use rmqtt::types::From as Sender;
use rmqtt::types::Id;
use rmqtt::types::Publish;
use rmqtt::types::QoS;
use tokio::time::Instant;

/// A look at the queues costs a walk over all sessions, so it is taken at most so often.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A publisher that publishes faster than that looks after so many messages.
const LOOK_AFTER: usize = 256;

/// The publisher waits while a connected subscriber has more messages than this waiting.
const CROWDED: usize = 1024;

/// How long the publisher waits for slow subscribers at most, each time it looks.
const PATIENCE: Duration = Duration::from_millis(250);

/// Time between two looks while waiting.
const PAUSE: Duration = Duration::from_millis(1);

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// Its topic.
    pub topic: String,
    /// Its body.
    pub body: Bytes,
    /// Highest quality of service at which it is delivered: 0, 1 or 2.
    pub qos: u8,
    /// Whether it is kept for later subscribers.
    pub retain: bool,
}

/// A message that could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The topic is empty, or has wildcards or a NUL.
    #[error("`{0}` is not a topic to publish on")]
    Topic(String),
    /// The endpoint failed.
    #[error("cannot hand the message to the subscribers")]
    Hand(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Publishes to the subscribers of our own endpoint. Cloning is cheap.
#[derive(Clone)]
pub struct EndpointPublisher {
    context: ServerContext,
    sender: Sender,
    published: Arc<AtomicUsize>,
    crowd: Arc<Crowd>,
}

/// Whether subscribers lag behind, as last seen.
struct Crowd {
    begun: Instant,
    /// When it was last seen, in milliseconds since `begun`.
    looked: AtomicU64,
    lagging: AtomicBool,
}

impl EndpointPublisher {
    pub(super) fn new(context: ServerContext) -> Self {
        let id = Id::from(context.node.id(), "millrace".into());
        let crowd = Crowd {
            begun: Instant::now(),
            looked: AtomicU64::new(0),
            lagging: AtomicBool::new(false),
        };
        Self {
            context,
            sender: Sender::from_system(id),
            published: Arc::default(),
            crowd: Arc::new(crowd),
        }
    }

    /// Puts a message into the queues of all sessions that have subscribed to its topic, those of
    /// persistent sessions whose client is away included.
    ///
    /// # Errors
    /// When the topic cannot be published on.
    pub async fn publish(&self, message: OutgoingMessage) -> Result<(), PublishError> {
        if !is_publishable(&message.topic) {
            return Err(PublishError::Topic(message.topic));
        }
        if self.published.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOK_AFTER) {
            self.wait_for_subscribers().await;
        }
        let packet = PublishPacket {
            dup: false,
            retain: message.retain,
            qos: match message.qos {
                0 => QoS::AtMostOnce,
                1 => QoS::AtLeastOnce,
                _ => QoS::ExactlyOnce,
            },
            topic: message.topic.into(),
            packet_id: None,
            payload: message.body,
            properties: None,
        };
        let publish = Publish::from(packet).create_time(crate::recorded::now_millis());
        SessionState::forwards(&self.context, self.sender.clone(), publish, false, None)
            .await
            .map_err(|error| PublishError::Hand(error.into()))
    }

    async fn wait_for_subscribers(&self) {
        let until = Instant::now() + PATIENCE;
        while self.longest_queue().await > CROWDED && Instant::now() < until {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether a connected subscriber has more messages waiting than it should; at most 20 ms old.
    pub(super) async fn is_crowded(&self) -> bool {
        let crowd = &self.crowd;
        let now = u64::try_from(crowd.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = crowd.looked.load(Ordering::Relaxed);
        let due = u128::from(now.saturating_sub(last)) >= LOOK_EVERY.as_millis();
        let relaxed = Ordering::Relaxed;
        if due && crowd.looked.compare_exchange(last, now, relaxed, relaxed).is_ok() {
            crowd.lagging.store(self.longest_queue().await > CROWDED, relaxed);
        }
        crowd.lagging.load(relaxed)
    }

    /// Most messages that wait for one connected subscriber.
    pub(super) async fn longest_queue(&self) -> usize {
        let sessions: Vec<_> = {
            let shared = self.context.extends.shared().await;
            shared.iter().filter_map(|entry| entry.session()).collect()
        };
        let mut longest = 0;
        for session in sessions {
            if session.connected().await.unwrap_or(false) {
                longest = longest.max(session.deliver_queue().len());
            }
        }
        longest
    }
}

/// Whether a text is a topic that can be published on.
fn is_publishable(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= 65_535 && !topic.contains(['+', '#', '\0'])
}
