//! Runs every `webhook` sink of a plan: a reader for each partition of each stream that it reads.

use std::path::Path;
use std::sync::Arc;

use millrace_log::Log;
use millrace_observe::ComponentKind;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::SecretSource;
use millrace_plan::model::SinkTarget;
use millrace_plan::model::WebhookSink;
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::attempt::Receiver;
use super::delivery::Delivery;
use super::metrics::Metrics;
use super::reader::Reader;
use super::signature::ReadSecretError;
use super::signature::Signer;
use crate::position::GroupPartition;
use crate::runner::group_of;

/// How requests say who sends them.
const USER_AGENT: &str = concat!("millrace/", env!("CARGO_PKG_VERSION"));

/// A `webhook` sink that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartWebhookError {
    /// Its signing secret cannot be read.
    #[error("sink `{sink}` cannot sign its requests")]
    Secret {
        /// The sink.
        sink: String,
        /// Why not.
        source: ReadSecretError,
    },
    /// The client for requests cannot be made.
    #[error("sink `{sink}` cannot send requests")]
    Client {
        /// The sink.
        sink: String,
        /// Why not.
        source: reqwest::Error,
    },
}

/// The running `webhook` sinks of a plan.
pub struct WebhookSinks {
    tasks: TaskTracker,
}

impl WebhookSinks {
    /// Sends until `cancel` is cancelled. Streams must exist in the log. `secrets` is the folder
    /// that has one folder a Secret.
    ///
    /// # Errors
    /// When a signing secret cannot be read, or the machine's root certificates cannot.
    pub fn start(
        plan: &Plan,
        log: &Arc<dyn Log>,
        observer: &Observer,
        secrets: Option<&Path>,
        cancel: &CancellationToken,
    ) -> Result<Self, StartWebhookError> {
        // Where a provider of TLS has been chosen before, that one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let metrics = observer.once(|| Metrics::register(observer));
        let mut readers = Vec::new();
        for sink in &plan.sinks {
            let SinkTarget::Webhook(webhook) = &sink.target else { continue };
            let receiver = receiver(&sink.name, webhook, secrets)?;
            let shared = Arc::new(webhook.clone());
            let at_once = Arc::new(Semaphore::new(webhook.concurrent));
            for name in &sink.from {
                let Some(stream) = plan.stream(name) else {
                    warn!(message = "A sink reads an unknown stream.", sink = sink.name);
                    continue;
                };
                for partition in 0..stream.partitions {
                    let component = observer.component(
                        ComponentKind::Sink,
                        &sink.name,
                        Some(name.as_str()),
                        Some(partition),
                    );
                    let delivery = Delivery {
                        sink: Arc::clone(&shared),
                        name: sink.name.clone(),
                        stream: name.clone(),
                        partition,
                        log: Arc::clone(log),
                        receiver: receiver.clone(),
                        at_once: Arc::clone(&at_once),
                        component,
                        metrics: metrics.sink(&sink.name),
                        tracer: observer.tracer().cloned(),
                    };
                    let reads = GroupPartition {
                        log: Arc::clone(log),
                        group: group_of(sink),
                        stream: name.clone(),
                        partition,
                    };
                    readers.push(Reader { reads, delivery, concurrent: webhook.concurrent });
                }
            }
        }
        let tasks = TaskTracker::new();
        for reader in readers {
            tasks.spawn(reader.run(cancel.clone()));
        }
        tasks.close();
        Ok(Self { tasks })
    }

    /// Waits until all have ended, after their cancellation.
    pub async fn closed(self) {
        self.tasks.wait().await;
    }
}

fn receiver(
    sink: &str,
    webhook: &WebhookSink,
    secrets: Option<&Path>,
) -> Result<Receiver, StartWebhookError> {
    let signer = webhook
        .signing_secret
        .as_ref()
        .map(|source| signer(source, secrets))
        .transpose()
        .map_err(|source| StartWebhookError::Secret { sink: sink.to_owned(), source })?;
    // A redirect would send events to where the resource does not say.
    let client = Client::builder()
        .redirect(Policy::none())
        .timeout(webhook.timeout)
        .user_agent(USER_AGENT)
        .build()
        .map_err(|source| StartWebhookError::Client { sink: sink.to_owned(), source })?;
    Ok(Receiver { client, url: webhook.url.clone(), signer: signer.map(Arc::new) })
}

fn signer(source: &SecretSource, secrets: Option<&Path>) -> Result<Signer, ReadSecretError> {
    let file = match (source, secrets) {
        (SecretSource::File(file), _) => file.clone(),
        (source, Some(secrets)) => source.file(secrets),
        (SecretSource::Secret { .. }, None) => return Err(ReadSecretError::NoFolder),
    };
    Signer::new(file)
}
