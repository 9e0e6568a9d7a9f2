//! Who takes the messages of a sink: our own endpoint, or a broker.

use async_trait::async_trait;
use millrace_ingest::mqtt::EndpointPublisher;
use millrace_ingest::mqtt::OutgoingMessage;
use millrace_ingest::mqtt::PublishError;

/// Takes messages and confirms them.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Publishes messages in their order and returns when all are confirmed.
    ///
    /// # Errors
    /// When not all are confirmed. Some may have been published; all may be published again.
    async fn publish(&self, messages: Vec<OutgoingMessage>) -> Result<(), DeliverError>;
}

/// Messages that were not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// Our own endpoint did not take one.
    #[error("the endpoint does not take the message")]
    Endpoint(#[source] PublishError),
    /// The connection to the broker has ended before it confirmed all.
    #[error("the broker has not confirmed: {0}")]
    Broker(String),
}

/// Our own endpoint confirms when a message is in the queue of every matching session.
#[async_trait]
impl Publisher for EndpointPublisher {
    async fn publish(&self, messages: Vec<OutgoingMessage>) -> Result<(), DeliverError> {
        for message in messages {
            Self::publish(self, message).await.map_err(DeliverError::Endpoint)?;
        }
        Ok(())
    }
}
