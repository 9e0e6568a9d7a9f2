//! Retained messages of our own endpoint: kept in memory, bounded by number and size.
//!
//! After a restart they are gone until something is published again.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use rmqtt::retain::DefaultRetainStorage;
use rmqtt::retain::RetainStorage;
use rmqtt::types::Retain;
use rmqtt::types::TopicFilter;
use rmqtt::types::TopicName;
use tracing::warn;

/// Most topics with a retained message; those of further topics are not kept.
const MAX_TOPICS: isize = 10_000;

/// Largest retained message, in bytes; a larger one is not kept.
const MAX_BYTES: usize = 64 * 1024;

/// Keeps retained messages.
pub(super) struct Retained {
    tree: DefaultRetainStorage,
    refused: AtomicUsize,
}

impl Retained {
    pub(super) fn new() -> Self {
        Self { tree: DefaultRetainStorage::new(), refused: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl RetainStorage for Retained {
    fn enable(&self) -> bool {
        true
    }

    async fn set(
        &self,
        topic: &TopicName,
        retain: Retain,
        expiry: Option<Duration>,
    ) -> rmqtt::Result<()> {
        let bytes = retain.publish.payload.len();
        let full = self.tree.count().await >= MAX_TOPICS && self.get(topic).await?.is_empty();
        if bytes > 0 && (bytes > MAX_BYTES || full) {
            if self.refused.fetch_add(1, Ordering::Relaxed) == 0 {
                warn!(
                    message = "A message is too large, or of too many topics, to be retained.",
                    topic = topic.as_ref() as &str,
                    bytes
                );
            }
            return Ok(());
        }
        // An expiry of zero is the endpoint's "never".
        let expiry = expiry.filter(|expiry| !expiry.is_zero());
        self.tree.set_with_timeout(topic, retain, expiry).await
    }

    async fn get(&self, filter: &TopicFilter) -> rmqtt::Result<Vec<(TopicName, Retain)>> {
        self.tree.get_message(filter).await
    }

    async fn count(&self) -> isize {
        self.tree.count().await
    }

    async fn max(&self) -> isize {
        self.tree.max().await
    }
}
