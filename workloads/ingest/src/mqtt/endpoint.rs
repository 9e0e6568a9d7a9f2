//! Our own MQTT endpoint: a whole broker (MQTT 3.1.1 and 5) whose publishes go into the log.
//!
//! Publishers are confirmed after the durable append. Subscribers get what sinks publish, and what
//! clients publish on the topics of ways in, once that is durable and as far as they can follow.
//! Clients can publish on no other topics. Sessions, their queues and retained messages are in
//! memory.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use millrace_http::LoadUsersError;
use millrace_http::PasswordFile;
use millrace_observe::ComponentKind;
use millrace_observe::Observer;
use millrace_observe::State;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use rmqtt::context::ServerContext;
use rmqtt::hook::Type;
use rmqtt::net::Builder;
use rmqtt::net::Listener;
use rmqtt::server::MqttServer;
use rmqtt::types::Message;
use rmqtt::types::Reason;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::acceptor::Acceptor;
use crate::mqtt::hooks::Gate;
use crate::mqtt::hooks::Hooks;
use crate::mqtt::publisher::EndpointPublisher;
use crate::mqtt::retained::Retained;
use crate::mqtt::shared::AnyConnected;
use crate::mqtt::tls;
use crate::mqtt::tls::Front;
use crate::mqtt::tls::LoadTlsError;

/// Largest MQTT packet; a client that sends a larger one is disconnected.
const MAX_PACKET_BYTES: u32 = 16 << 20;

/// Messages that may wait for the confirmation of one subscriber, and of one publisher.
const MAX_INFLIGHT: NonZeroU16 = NonZeroU16::new(1000).expect("1000 is not zero");

/// Messages that wait for one subscriber; then the oldest goes (of quality 0: the newest).
const MAX_QUEUED: usize = 10_000;

/// A subscriber that takes nothing for so long is disconnected.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a session of a client that is away is kept at most.
const SESSION_EXPIRY: Duration = Duration::from_hours(2);

/// How long the messages in hand may take to become durable when the endpoint closes.
const CLOSE_ACCEPTING: Duration = Duration::from_secs(3);

/// How long subscribers may take to get what waits for them when the endpoint closes.
const CLOSE_DELIVERING: Duration = Duration::from_millis(500);

/// How long connections may take to end when the endpoint closes.
const CLOSE_CONNECTIONS: Duration = Duration::from_secs(1);

/// Settings of the endpoint.
#[derive(Debug, Clone)]
pub struct MqttSettings {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// File of lines `user:hash`, the hash by Argon2 or bcrypt; none: everyone may connect. Read again
    /// when it changes.
    pub users_file: Option<PathBuf>,
    /// Certificate and key; none: without TLS.
    pub tls: Option<TlsFiles>,
    /// Most sessions, connected or away; further clients are refused.
    pub max_connections: usize,
    /// How long a confirmation is held while the log does not accept.
    pub hold: Duration,
}

/// Files for TLS, both PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate and its chain.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
}

impl Default for MqttSettings {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1883)),
            users_file: None,
            tls: None,
            max_connections: 10_000,
            hold: Duration::from_secs(10),
        }
    }
}

/// An endpoint that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartMqttError {
    /// The address cannot be listened on.
    #[error(
        "cannot listen for MQTT on {address}: choose another address with --mqtt-listen, such as 127.0.0.1:1884"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The users file cannot be used.
    #[error("cannot load the users of MQTT")]
    Users(#[from] LoadUsersError),
    /// The certificate or key cannot be used.
    #[error("cannot load the MQTT certificate")]
    Tls(#[from] LoadTlsError),
}

/// A running endpoint.
pub struct MqttEndpoint {
    address: SocketAddr,
    publisher: EndpointPublisher,
    running: JoinHandle<()>,
}

impl MqttEndpoint {
    /// Listens for clients until `cancel` is cancelled. Then no more clients and messages are
    /// accepted, those in hand are finished, and the connections are closed.
    ///
    /// # Errors
    /// When the address is taken, or the files of users or TLS cannot be used.
    pub async fn start(
        settings: MqttSettings,
        acceptor: Acceptor,
        observer: &Observer,
        cancel: CancellationToken,
    ) -> Result<Self, StartMqttError> {
        let users = settings.users_file.as_deref().map(PasswordFile::load).transpose()?;
        let users = users.map(Arc::new);
        let tls = settings.tls.as_ref().map(|t| tls::load(&t.certificate, &t.key)).transpose()?;
        let component = observer.component(ComponentKind::Endpoint, "mqtt", None, None);
        let (front, listener) = match tls {
            None => (None, listen(settings.address)?),
            Some(config) => {
                let outside = tokio::net::TcpListener::bind(settings.address)
                    .await
                    .map_err(|source| listen_error(settings.address, source))?;
                let inside = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
                let behind = inside.local_addr().map_err(|e| listen_error(settings.address, e))?;
                let front = Front::new(config, behind, settings.max_connections);
                (Some((front, outside)), inside)
            }
        };
        let address = match &front {
            None => listener.local_addr().map_err(|e| listen_error(settings.address, e))?,
            Some((_, outside)) => {
                outside.local_addr().map_err(|e| listen_error(settings.address, e))?
            }
        };
        let gate = Arc::new(Gate {
            acceptor,
            users,
            front: front.as_ref().map(|(front, _)| front.clone()),
            hold: settings.hold,
            closing: CancellationToken::new(),
            accepting: TaskTracker::new(),
            component: Arc::clone(&component),
            connections: Gauge::default(),
            undelivered: Counter::default(),
            publisher: OnceLock::new(),
        });
        observer.register(
            "mqtt_connections",
            "Clients connected to the MQTT endpoint",
            gate.connections.clone(),
        );
        observer.register(
            "mqtt_messages_undelivered",
            "Messages dropped because a subscriber was too slow or gone",
            gate.undelivered.clone(),
        );
        let context = context(&gate, settings.max_connections).await;
        let server = MqttServer::new(context.clone()).listener_by_id(listener, 1).build();
        let publisher = EndpointPublisher::new(context.clone());
        let publisher = gate.publisher.get_or_init(|| publisher).clone();
        component.set(State::Running);
        if let Some(users) = gate.users.clone() {
            let stop = cancel.clone();
            tokio::spawn(async move { users.watch(stop).await });
        }
        let closing = publisher.clone();
        let running = tokio::spawn(async move {
            let accepting = async {
                match front {
                    None => drop(server.run().await),
                    Some((front, outside)) => {
                        tokio::select! {
                            _ = server.run() => {}
                            () = front.accept(outside) => {}
                        }
                    }
                }
            };
            cancel.run_until_cancelled(accepting).await;
            close(&gate, &context, &closing).await;
            component.set(State::Finished);
        });
        Ok(Self { address, publisher, running })
    }

    /// The address that clients connect to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Publishes to the endpoint's subscribers.
    #[must_use]
    pub fn publisher(&self) -> EndpointPublisher {
        self.publisher.clone()
    }

    /// Waits until the endpoint has closed, after its cancellation.
    pub async fn closed(self) {
        // A panic of the task has been reported by its thread.
        let _ = self.running.await;
    }
}

fn listen(address: SocketAddr) -> Result<Listener, StartMqttError> {
    Builder::new()
        .name("mqtt")
        .laddr(address)
        // A process that was killed leaves its port in TIME_WAIT.
        .reuseaddr(Some(true))
        .nodelay(true)
        .max_packet_size(MAX_PACKET_BYTES)
        // Our own hook decides who may connect, whether a name is given or not.
        .allow_anonymous(false)
        .max_inflight(MAX_INFLIGHT)
        .max_mqueue_len(MAX_QUEUED)
        .send_timeout(SEND_TIMEOUT)
        .session_expiry_interval(SESSION_EXPIRY)
        .max_session_expiry_interval(SESSION_EXPIRY)
        // Messages do not expire by themselves; queues are bounded by number.
        .message_expiry_interval(Duration::ZERO)
        .bind()
        .and_then(Listener::tcp)
        .map_err(|error| listen_error(address, error))
}

fn listen_error(
    address: SocketAddr,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StartMqttError {
    StartMqttError::Listen { address, source: source.into() }
}

async fn context(gate: &Arc<Gate>, max_connections: usize) -> ServerContext {
    let context = ServerContext::new()
        // The broker would refuse clients whenever the machine is busy with something else.
        .busy_check_enable(false)
        .mqtt_max_sessions(isize::try_from(max_connections).unwrap_or(isize::MAX))
        .build()
        .await;
    *context.extends.retain_mut().await = Box::new(Retained::new());
    *context.extends.shared_subscription_mut().await = Box::new(AnyConnected);
    let register = context.extends.hook_mgr().register();
    for hook in [
        Type::MessagePublishCheckAcl,
        Type::MessagePublish,
        Type::ClientAuthenticate,
        Type::ClientConnected,
        Type::ClientDisconnected,
        Type::MessageDropped,
    ] {
        register.add(hook, Box::new(Hooks(Arc::clone(gate)))).await;
    }
    register.start().await;
    context
}

/// Finishes what is in hand and closes all connections.
async fn close(gate: &Gate, context: &ServerContext, publisher: &EndpointPublisher) {
    gate.closing.cancel();
    gate.accepting.close();
    let _ = tokio::time::timeout(CLOSE_ACCEPTING, gate.accepting.wait()).await;
    let _ = tokio::time::timeout(CLOSE_DELIVERING, async {
        while publisher.longest_queue().await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    for entry in context.extends.shared().await.iter() {
        if let Some(sender) = entry.tx() {
            // A session that has just ended needs no message.
            let _ = sender.unbounded_send(Message::Closed(Reason::from_static("shutting down")));
        }
    }
    let _ = tokio::time::timeout(CLOSE_CONNECTIONS, async {
        while context.connections.count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
