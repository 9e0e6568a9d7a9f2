//! Shared subscriptions of our own endpoint: which member of a group gets a message.

use async_trait::async_trait;
use rand::seq::IteratorRandom as _;
use rmqtt::context::ServerContext;
use rmqtt::subscribe::SharedSubscription;
use rmqtt::types::ClientId;
use rmqtt::types::Id;
use rmqtt::types::IsOnline;
use rmqtt::types::NodeId;
use rmqtt::types::SharedGroup;
use rmqtt::types::SubscriptionIdentifier;
use rmqtt::types::SubscriptionOptions;
use rmqtt::types::TopicName;

/// Gives each message to a random member that is connected, or to any if none is.
pub(super) struct AnyConnected;

#[async_trait]
impl SharedSubscription for AnyConnected {
    fn is_supported(&self) -> bool {
        true
    }

    async fn choice(
        &self,
        _context: &ServerContext,
        _group: &SharedGroup,
        _publisher: &Id,
        _topic: &TopicName,
        members: &[(
            NodeId,
            ClientId,
            SubscriptionOptions,
            Option<Vec<SubscriptionIdentifier>>,
            Option<IsOnline>,
        )],
    ) -> Option<(usize, IsOnline)> {
        let is_connected = |member: &usize| members[*member].4 == Some(true);
        let mut random = rand::rng();
        if let Some(member) = (0..members.len()).filter(is_connected).choose(&mut random) {
            return Some((member, true));
        }
        (0..members.len()).choose(&mut random).map(|member| (member, false))
    }
}
