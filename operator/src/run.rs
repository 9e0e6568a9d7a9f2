//! The program: everything that runs beside the controller, and how it ends.

use std::sync::Arc;

use futures::channel::mpsc;
use kube::Client;
use kube::config::KubeconfigError;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::cli::Arguments;
use crate::context::Context;
use crate::controller;
use crate::controller::ControllerError;
use crate::controller::Settings;
use crate::events::Events;
use crate::health;
use crate::health::Health;
use crate::health::HealthError;
use crate::leader::LeaderError;
use crate::leader::Leadership;

/// Why the program ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Where the API server is, is not known.
    #[error("cannot find out how to reach the API server; set KUBECONFIG, or run in a pod")]
    Configure(#[source] Box<kube::config::InferConfigError>),
    /// A client cannot be made.
    #[error("cannot make a client of the API server")]
    Connect(#[source] kube::Error),
    /// Signals cannot be waited for.
    #[error("cannot wait for signals")]
    Signals(#[source] std::io::Error),
    /// It is no longer the leader.
    #[error(transparent)]
    Leader(#[from] LeaderError),
    /// Health cannot be served.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// The controller cannot begin.
    #[error(transparent)]
    Controller(#[from] ControllerError),
    /// A kubeconfig cannot be read.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
}

/// Runs until a signal ends it.
///
/// # Errors
/// It cannot begin, or it is no longer the leader.
pub async fn run(arguments: Arguments) -> Result<(), RunError> {
    // The one provider of the tree: another one might be built in by a dependency.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config =
        kube::Config::infer().await.map_err(|source| RunError::Configure(Box::new(source)))?;
    let own_namespace = config.default_namespace.clone();
    let client = Client::try_from(config).map_err(RunError::Connect)?;
    let identity = arguments.leader.identity.clone().unwrap_or_else(identity);
    let end = CancellationToken::new();
    let signals = signals(end.clone()).map_err(RunError::Signals)?;

    let health = Arc::new(Health::default());
    let (triggers, triggered) = mpsc::unbounded();
    let context = Arc::new(Context::new(
        client.clone(),
        arguments.images.images(),
        Events::new(client.clone(), identity.clone()),
        Arc::clone(&health),
        triggers,
    ));
    let settings =
        Settings { namespaces: arguments.namespaces.clone(), concurrency: arguments.concurrency };
    // Answers until everything else has ended, so that a pod is seen to end.
    let answers = CancellationToken::new();
    let server = health::serve(arguments.http_listen, Arc::clone(&health), answers.clone());
    let work = async {
        let result =
            work(arguments, client, own_namespace, identity, context, settings, triggered, end);
        let result = Box::pin(result).await;
        answers.cancel();
        result
    };
    let both = async { tokio::try_join!(async { Ok(server.await?) }, work).map(|_| ()) };
    let result = both.await;
    signals.abort();
    result
}

#[allow(clippy::too_many_arguments, reason = "the program's own parts, once")]
async fn work(
    arguments: Arguments,
    client: Client,
    own_namespace: String,
    identity: String,
    context: Arc<Context>,
    settings: Settings,
    triggered: mpsc::UnboundedReceiver<crate::owned::PipelineKey>,
    end: CancellationToken,
) -> Result<(), RunError> {
    let health = Arc::clone(&context.health);
    if !arguments.leader.leader_election {
        health.metrics.set_leader(true);
        return Ok(controller::run(context, settings, triggered, end).await?);
    }
    let namespace = arguments.leader.lease_namespace.unwrap_or(own_namespace);
    let mut leadership = Leadership::new(client, &namespace, arguments.leader.lease_name, identity);
    // Who waits for the Lease is ready to take over.
    health.set_ready(true);
    if !leadership.acquire(&end).await {
        return Ok(());
    }
    health.set_ready(false);
    health.metrics.set_leader(true);
    // The Lease is given back when the last pass has ended.
    let ended = CancellationToken::new();
    let keep = leadership.keep(ended.clone());
    let work = async {
        let result = controller::run(context, settings, triggered, end).await;
        ended.cancel();
        result
    };
    let ((), ()) = tokio::try_join!(async { keep.await.map_err(RunError::from) }, async {
        work.await.map_err(RunError::from)
    },)?;
    Ok(())
}

/// Ends everything at SIGTERM or SIGINT.
fn signals(end: CancellationToken) -> Result<tokio::task::JoinHandle<()>, std::io::Error> {
    use tokio::signal::unix::SignalKind;
    use tokio::signal::unix::signal;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!(message = "Ending: the passes that have begun are finished.");
        end.cancel();
    }))
}

/// The host's name, which in a pod is the pod's.
fn identity() -> String {
    std::env::var("HOSTNAME")
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| format!("millrace-operator-{:08x}", rand::random::<u32>()))
}
