//! The way in from outside: a port of the node, over TLS, by the pipeline's own authority. Where it is
//! and whom to trust is asked for again when nobody answers.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::RootCertStore;
use rustls::StreamOwned;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use crate::support::kubernetes::kubectl;

/// Any name of the edge's certificate.
const NAME: &str = "localhost";
/// Least time between two questions where it is.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);
const CONNECT: Duration = Duration::from_secs(5);

/// A connection over TLS.
pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A port of the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    Https,
    Mqtts,
}

/// Where the edge is, and whom to trust.
#[derive(Debug, Clone)]
struct Place {
    node: String,
    https: u16,
    mqtts: u16,
    config: Arc<ClientConfig>,
}

/// The way in to one pipeline. Clones share what they know.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    namespace: String,
    pipeline: String,
    place: Arc<Mutex<(Option<Place>, Instant)>>,
}

impl Door {
    pub(crate) fn new(namespace: &str, pipeline: &str) -> Self {
        let place = Arc::new(Mutex::new((None, Instant::now())));
        let door = Self { namespace: namespace.to_owned(), pipeline: pipeline.to_owned(), place };
        door.look();
        door
    }

    /// The beginning of a URL.
    pub(crate) fn url(&self) -> Option<String> {
        let place = self.place.lock().unwrap().0.clone()?;
        Some(format!("https://{}:{}", place.node, place.https))
    }

    /// A connection on which no answer is waited for longer than `patience`. If there is none, the
    /// next one is tried where the edge is by then.
    pub(crate) fn connect(&self, port: Port, patience: Duration) -> io::Result<Stream> {
        let place = self.place.lock().unwrap().0.clone();
        let connected = place
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
            .and_then(|place| place.connect(port, patience));
        if connected.is_err() {
            self.look_again();
        }
        connected
    }

    fn look_again(&self) {
        let mut place = self.place.lock().unwrap();
        if place.1.elapsed() >= BETWEEN_LOOKS {
            place.1 = Instant::now();
            drop(place);
            self.look();
        }
    }

    /// Asks where it is.
    pub(crate) fn look(&self) {
        let found = self.find();
        if found.is_some() {
            self.place.lock().unwrap().0 = found;
        }
    }

    fn find(&self) -> Option<Place> {
        let get = |arguments: &[&str]| -> Option<Value> {
            let namespace = ["--namespace", &self.namespace, "get", "--output", "json"];
            serde_json::from_str(&kubectl(&[&namespace[..], arguments].concat()).ok()?).ok()
        };
        let service = get(&["service", &format!("{}-edge", self.pipeline)])?;
        let port = |name: &str| {
            let ports = service["spec"]["ports"].as_array()?;
            let port = ports.iter().find(|port| port["name"] == name)?["nodePort"].as_u64()?;
            u16::try_from(port).ok()
        };
        let nodes = get(&["nodes"])?;
        let addresses = nodes["items"][0]["status"]["addresses"].as_array()?;
        let node = addresses.iter().find(|address| address["type"] == "InternalIP")?["address"]
            .as_str()?
            .to_owned();
        let trust = get(&["configmap", &format!("{}-trust", self.pipeline)])?;
        let config = trusting(trust["data"]["ca.crt"].as_str()?);
        Some(Place { node, https: port("https")?, mqtts: port("mqtts")?, config })
    }
}

impl Place {
    fn connect(&self, port: Port, patience: Duration) -> io::Result<Stream> {
        let number = match port {
            Port::Https => self.https,
            Port::Mqtts => self.mqtts,
        };
        let address = format!("{}:{number}", self.node).parse().map_err(io::Error::other)?;
        let tcp = TcpStream::connect_timeout(&address, CONNECT)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(patience))?;
        tcp.set_write_timeout(Some(patience))?;
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let tls =
            ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(tls, tcp);
        // Now, so that a certificate that is not trusted is no failed request.
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }
}

fn trusting(authorities: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}
