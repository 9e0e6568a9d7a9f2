//! A port of this machine's loopback that leads to a query pod. Each connection is forwarded by the API
//! server on its own, so that a pod that goes away ends its own connections alone.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;

use kube::Api;
use kube::api::Portforwarder;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::cluster::AskError;
use crate::cluster::Cluster;
use crate::cluster::FORWARD_PORTS;
use crate::cluster::LIST_PODS;
use crate::cluster::root_cause;
use crate::exit::Exit;
use crate::exit::Failure;
use crate::exit::note;
use crate::pipeline::Pipeline;
use crate::query_pod::PORT;
use crate::query_pod::QueryPods;

/// Times that a pod is chosen again when the chosen one has gone meanwhile.
const CHOICES: usize = 3;

/// Nothing answers for a pipeline, or it cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenTunnelError {
    /// The API server refused.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// No pod is ready.
    #[error("no query pod of {pipeline} is ready in namespace {namespace}: {why}")]
    Silent {
        /// The pipeline.
        pipeline: String,
        /// Its namespace.
        namespace: String,
        /// What the pipeline's status says.
        why: String,
    },
    /// There is no port on this machine.
    #[error("cannot listen on 127.0.0.1")]
    Listen(#[source] io::Error),
}

impl From<OpenTunnelError> for Failure {
    fn from(error: OpenTunnelError) -> Self {
        match error {
            OpenTunnelError::Ask(error) => error.into(),
            OpenTunnelError::Silent { .. } => Exit::Unavailable.because(error),
            OpenTunnelError::Listen(_) => Exit::CannotCreate.because(error),
        }
    }
}

/// The port, and where it leads.
pub(crate) struct Tunnel {
    listener: TcpListener,
    address: SocketAddr,
    way: Arc<Way>,
    first: Portforwarder,
}

/// How a pod is reached.
struct Way {
    cluster: Cluster,
    pipeline: Pipeline,
    pods: QueryPods,
    chosen: Mutex<Option<String>>,
}

impl Tunnel {
    /// Opens the port. The first connection to a pod is made already, so that what is in its way is
    /// told before anything else begins.
    pub(crate) async fn open(
        cluster: Cluster,
        pipeline: Pipeline,
    ) -> Result<Self, OpenTunnelError> {
        let api = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        let pods = QueryPods::new(api, &pipeline.name());
        let way = Arc::new(Way { cluster, pipeline, pods, chosen: Mutex::default() });
        let first = way.forward().await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(OpenTunnelError::Listen)?;
        let address = listener.local_addr().map_err(OpenTunnelError::Listen)?;
        Ok(Self { listener, address, way, first })
    }

    /// Its address, for `millrace`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Carries connections, until it is dropped.
    pub(crate) async fn serve(self) -> io::Error {
        let Self { listener, way, first, .. } = self;
        let mut first = Some(first);
        loop {
            let connection = match listener.accept().await {
                Ok((connection, _)) => connection,
                Err(error) => return error,
            };
            let (way, first) = (Arc::clone(&way), first.take());
            tokio::spawn(async move {
                let forwarder = match first {
                    Some(first) => Ok(first),
                    None => way.forward().await,
                };
                match forwarder {
                    Ok(forwarder) => carry(connection, forwarder).await,
                    Err(error) => note(&with_cause(&error)),
                }
            });
        }
    }
}

impl Way {
    /// A connection to a pod that is ready.
    async fn forward(&self) -> Result<Portforwarder, OpenTunnelError> {
        // Connections that come at once go to the same pod.
        let mut chosen = self.chosen.lock().await;
        let api = Api::<k8s_openapi::api::core::v1::Pod>::namespaced(
            self.cluster.client.clone(),
            &self.cluster.namespace,
        );
        let mut gone = None;
        for _ in 0..CHOICES {
            let ready = self.pods.ready(chosen.as_deref()).await;
            *chosen = ready.map_err(self.cluster.refused(LIST_PODS))?;
            let Some(pod) = chosen.as_deref() else {
                gone = None;
                break;
            };
            match api.portforward(pod, &[PORT]).await {
                Ok(forwarder) => return Ok(forwarder),
                Err(error) => match self.cluster.refused(FORWARD_PORTS)(error) {
                    // Such as of a pod that has gone since.
                    refused @ AskError::Refused { .. } => gone = Some(refused),
                    refused => return Err(refused.into()),
                },
            }
        }
        if let Some(refused) = gone {
            return Err(refused.into());
        }
        Err(OpenTunnelError::Silent {
            pipeline: self.pipeline.name(),
            namespace: self.cluster.namespace.clone(),
            why: self.pipeline.why_silent(),
        })
    }
}

/// Carries bytes both ways, until one side ends.
async fn carry(mut connection: TcpStream, mut forwarder: Portforwarder) {
    let Some(mut pod) = forwarder.take_stream(PORT) else { return };
    let refusal = forwarder.take_error(PORT);
    // A connection that breaks off is told by who reads from it.
    let _ = tokio::io::copy_bidirectional(&mut connection, &mut pod).await;
    drop((connection, pod));
    let _ = forwarder.join().await;
    if let Some(refusal) = refusal
        && let Some(refusal) = refusal.await
    {
        note(&format!("the pod cannot be reached: {}", refusal.trim()));
    }
}

fn with_cause(error: &OpenTunnelError) -> String {
    let cause = root_cause(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}
