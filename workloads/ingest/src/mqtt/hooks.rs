//! What the endpoint asks us about each client and each message.
//!
//! The broker awaits `MessagePublishCheckAcl` before it confirms a publish of any quality of
//! service, so the durable append happens there. While the log does not accept, the confirmation
//! is held; see [`Gate::publish`] for how that ends.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use millrace_http::PasswordFile;
use millrace_http::RefusedPassword;
use millrace_observe::Component;
use millrace_observe::State;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use rmqtt::codec::types::MQTT_LEVEL_5;
use rmqtt::codec::v5::PublishAckReason;
use rmqtt::hook::Handler;
use rmqtt::hook::HookResult;
use rmqtt::hook::Parameter;
use rmqtt::hook::ReturnType;
use rmqtt::session::Session;
use rmqtt::types::AuthResult;
use rmqtt::types::ConnectInfo;
use rmqtt::types::FromType;
use rmqtt::types::Id;
use rmqtt::types::LastWill;
use rmqtt::types::Publish;
use rmqtt::types::PublishAclResult;
use rmqtt::types::PublishResult;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::acceptor::Acceptor;
use crate::acceptor::Incoming;
use crate::acceptor::RefusalKind;
use crate::acceptor::Refused;
use crate::mqtt::backoff::Backoff;
use crate::mqtt::publisher::EndpointPublisher;
use crate::mqtt::tls::Front;
use crate::recorded::now_millis;

/// Waiting times between two tries of an append that the log has refused.
const RETRY: Backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1));

/// What the hooks know.
pub(super) struct Gate {
    pub(super) acceptor: Acceptor,
    pub(super) users: Option<Arc<PasswordFile>>,
    pub(super) front: Option<Front>,
    /// How long a confirmation is held while the log does not accept.
    pub(super) hold: Duration,
    /// Set when the endpoint closes: nothing is accepted any more.
    pub(super) closing: CancellationToken,
    /// The messages that are being accepted.
    pub(super) accepting: TaskTracker,
    pub(super) component: Arc<Component>,
    pub(super) connections: Gauge,
    pub(super) undelivered: Counter,
    /// Knows whether subscribers lag behind; set once the broker is made.
    pub(super) publisher: OnceLock<EndpointPublisher>,
}

/// The broker's handle to the gate.
pub(super) struct Hooks(pub(super) Arc<Gate>);

/// How the acceptance of a message ended.
enum End {
    Accepted,
    Refused(RefusalKind, String),
    GivenUp(String),
    Closing,
}

#[async_trait]
impl Handler for Hooks {
    async fn hook(&self, parameter: &Parameter, acc: Option<HookResult>) -> ReturnType {
        let gate = &self.0;
        match parameter {
            Parameter::MessagePublishCheckAcl(session, publish) => {
                let result = gate.publish(session, publish).await;
                (false, Some(HookResult::PublishAclResult(result)))
            }
            Parameter::MessagePublish(_, from, publish) => {
                if matches!(from.typ(), FromType::LastWill) {
                    gate.last_will(&from.id, publish).await;
                }
                (true, acc)
            }
            Parameter::ClientAuthenticate(connect) => {
                let result = gate.authenticate(connect).await;
                (false, Some(HookResult::AuthResult(result)))
            }
            Parameter::ClientConnected(_) => {
                gate.connections.inc();
                (true, acc)
            }
            Parameter::ClientDisconnected(..) => {
                gate.connections.dec();
                (true, acc)
            }
            Parameter::MessageDropped(Some(_), ..) => {
                gate.undelivered.inc();
                (true, acc)
            }
            _ => (true, acc),
        }
    }
}

impl Gate {
    /// Makes a client's message durable and says how it is confirmed.
    ///
    /// An invalid message is a durable dead letter and is confirmed, to version 5 with the reason.
    /// Where the log has not accepted for `hold`, a client of version 5 is told so by a reason
    /// code; a connection of version 3.1.1, which has no such code, is closed unconfirmed, and the
    /// client sends again when it is back.
    async fn publish(&self, session: &Session, publish: &Publish) -> PublishAclResult {
        match self.accept(&session.id, publish).await {
            // What clients publish is shown to subscribers as far as they can follow: the broker
            // would keep it for them without a limit. What sinks publish waits for them instead.
            End::Accepted if self.is_crowded().await => {
                self.undelivered.inc();
                let reason = "subscribers are too slow to be shown this".to_owned();
                refused(PublishAckReason::NoMatchingSubscribers, reason, Confirm::Yes)
            }
            End::Accepted => PublishAclResult::allow(),
            End::Refused(kind, reason) => refused(reason_code(kind), reason, Confirm::Yes),
            End::GivenUp(reason) => {
                let version_5 = session.protocol().await.is_ok_and(|level| level == MQTT_LEVEL_5);
                let confirm = if version_5 { Confirm::Yes } else { Confirm::CloseInstead };
                refused(PublishAckReason::ImplementationSpecificError, reason, confirm)
            }
            End::Closing => refused(
                PublishAckReason::ImplementationSpecificError,
                "the endpoint is closing".to_owned(),
                Confirm::CloseInstead,
            ),
        }
    }

    async fn is_crowded(&self) -> bool {
        match self.publisher.get() {
            Some(publisher) => publisher.is_crowded().await,
            None => false,
        }
    }

    async fn last_will(&self, id: &Id, publish: &Publish) {
        if let End::GivenUp(reason) = self.accept(id, publish).await {
            warn!(
                message = "Failed to store a last will.",
                client_id = id.client_id.as_ref() as &str,
                reason
            );
        }
    }

    async fn accept(&self, id: &Id, publish: &Publish) -> End {
        let _accepting = self.accepting.token();
        let user = id.username.as_ref().filter(|_| self.users.is_some());
        let incoming = Incoming {
            topic: &publish.topic,
            client_id: Some(&id.client_id),
            user: user.map(AsRef::as_ref),
            body: publish.payload.clone(),
            arrival: now_millis(),
        };
        let held_until = Instant::now() + self.hold;
        let mut retry = RETRY;
        let mut held = None;
        loop {
            if self.closing.is_cancelled() {
                return End::Closing;
            }
            let error = match self.acceptor.accept(&incoming).await {
                Ok(_) => return End::Accepted,
                Err(Refused::Invalid { kind, reason, .. }) => return End::Refused(kind, reason),
                Err(Refused::Unavailable(error)) => error,
            };
            held.get_or_insert_with(|| Held(&self.component)).because(error.to_string());
            if Instant::now() >= held_until {
                return End::GivenUp(error.to_string());
            }
            let wait = tokio::time::sleep(retry.next_wait());
            self.closing.run_until_cancelled(wait).await;
        }
    }

    async fn authenticate(&self, connect: &ConnectInfo) -> AuthResult {
        let client = self.client(connect.id().remote_addr).filter(|_| !self.closing.is_cancelled());
        let Some(client) = client else { return AuthResult::NotAuthorized };
        if let Some(users) = &self.users {
            let (Some(name), Some(password)) = (connect.username(), connect.password()) else {
                return AuthResult::NotAuthorized;
            };
            match users.check(name, password, client).await {
                Ok(()) => {}
                Err(RefusedPassword::Wrong) => return AuthResult::BadUsernameOrPassword,
                // The broker has no code for "later" here; clients come again by themselves.
                Err(RefusedPassword::TooMany(_) | RefusedPassword::Busy) => {
                    return AuthResult::NotAuthorized;
                }
            }
        }
        // The broker publishes a will without asking whether its topic may be published on.
        let will = connect.last_will().map(|will| match will {
            LastWill::V3(will) => &will.topic,
            LastWill::V5(will) => &will.topic,
        });
        if will.is_some_and(|topic| self.acceptor.listener(topic).is_none()) {
            return AuthResult::NotAuthorized;
        }
        AuthResult::Allow(false, None)
    }

    /// Whose connection comes from here. With TLS, only the front may connect.
    fn client(&self, from: Option<SocketAddr>) -> Option<IpAddr> {
        match &self.front {
            None => from.map(|address| address.ip()),
            Some(front) => front.client(from?),
        }
    }
}

/// A message that waits for the log. However that ends, the endpoint waits no longer: whether the log
/// accepts again is found out without messages, and none would come to who says that it is not ready.
struct Held<'a>(&'a Component);

impl Held<'_> {
    fn because(&self, reason: String) {
        self.0.set(State::Waiting(reason));
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.set(State::Running);
    }
}

/// What becomes of the confirmation of a message that is no event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Confirm {
    /// It goes out, to version 5 with the reason.
    Yes,
    /// The connection is closed without it.
    CloseInstead,
}

fn refused(code: PublishAckReason, reason: String, confirm: Confirm) -> PublishAclResult {
    let close = confirm == Confirm::CloseInstead;
    PublishAclResult(PublishResult::reason_code(code, Some(reason.into()), close))
}

const fn reason_code(kind: RefusalKind) -> PublishAckReason {
    match kind {
        RefusalKind::TooLarge => PublishAckReason::QuotaExceeded,
        RefusalKind::NoRoute => PublishAckReason::TopicNameInvalid,
        RefusalKind::NotJson
        | RefusalKind::Map
        | RefusalKind::Schema
        | RefusalKind::EventTime
        | RefusalKind::Key
        | RefusalKind::Request
        | RefusalKind::Form => PublishAckReason::PayloadFormatInvalid,
    }
}
