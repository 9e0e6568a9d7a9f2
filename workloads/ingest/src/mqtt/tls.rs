//! TLS of our own endpoint: terminated here, by ring, in front of the plain MQTT listener.
//!
//! The plain listener behind it is on the loopback interface; it accepts only connections that
//! this front has opened (see [`Front::client`]), so that nobody gets past TLS.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem;
use rustls_pki_types::pem::PemObject as _;
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use tracing::debug;
use tracing::warn;

/// Longest time that a client may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Certificate or key files that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadTlsError {
    /// A file cannot be read or holds nothing of the kind.
    #[error("cannot read the {what} from {path}")]
    Read {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: pem::Error,
    },
    /// The key does not belong to the certificate, or the algorithm is not supported.
    #[error("cannot use the certificate and its key")]
    Use(#[source] rustls::Error),
}

/// Reads the files of a certificate chain and its key, both PEM.
pub(super) fn load(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, LoadTlsError> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
        .map_err(|source| LoadTlsError::Read {
            what: "certificate",
            path: certificate.to_owned(),
            source,
        })?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|source| LoadTlsError::Read {
        what: "key",
        path: key.to_owned(),
        source,
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map(Arc::new)
        .map_err(LoadTlsError::Use)
}

/// The TLS listener and the connections that it has opened to the plain one.
#[derive(Clone)]
pub(super) struct Front {
    acceptor: TlsAcceptor,
    behind: SocketAddr,
    /// By the address of the inner connection: the client's.
    opened: Arc<Mutex<HashMap<SocketAddr, IpAddr>>>,
    room: Arc<Semaphore>,
    connections: TaskTracker,
}

impl Front {
    pub(super) fn new(
        config: Arc<ServerConfig>,
        behind: SocketAddr,
        max_connections: usize,
    ) -> Self {
        Self {
            acceptor: config.into(),
            behind,
            opened: Arc::default(),
            room: Arc::new(Semaphore::new(max_connections)),
            connections: TaskTracker::new(),
        }
    }

    /// The client whose connection comes from here, if this front has opened it.
    pub(super) fn client(&self, address: SocketAddr) -> Option<IpAddr> {
        self.opened.lock().get(&address).copied()
    }

    /// Accepts connections until dropped; those that are open then stay.
    pub(super) async fn accept(self, listener: TcpListener) {
        loop {
            let (stream, client) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(message = "Failed to accept an MQTT connection.", %error);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            // Without room the connection is closed at once.
            let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else { continue };
            let front = self.clone();
            self.connections.spawn(async move {
                if let Err(error) = front.serve(stream, client.ip()).await {
                    debug!(message = "An MQTT connection over TLS has ended.", %client, %error);
                }
                drop(permit);
            });
        }
    }

    async fn serve(&self, stream: TcpStream, client: IpAddr) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut outside = tokio::time::timeout(HANDSHAKE, self.acceptor.accept(stream)).await??;
        let socket = if self.behind.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.bind(SocketAddr::new(self.behind.ip(), 0))?;
        let opened = Opened::new(self, socket.local_addr()?, client);
        let mut inside = socket.connect(self.behind).await?;
        inside.set_nodelay(true)?;
        let copied = copy_bidirectional(&mut outside, &mut inside).await;
        drop(opened);
        copied.map(drop)
    }
}

/// A connection's entry among those that the front has opened.
struct Opened<'a> {
    front: &'a Front,
    address: SocketAddr,
}

impl<'a> Opened<'a> {
    fn new(front: &'a Front, address: SocketAddr, client: IpAddr) -> Self {
        front.opened.lock().insert(address, client);
        Self { front, address }
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        self.front.opened.lock().remove(&self.address);
    }
}
