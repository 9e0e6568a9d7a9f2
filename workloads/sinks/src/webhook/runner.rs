//! Runs every `webhook` sink of a plan: a reader for each partition of each stream that is read here.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use millrace_log::Log;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::SecretSource;
use millrace_plan::model::SinkTarget;
use millrace_plan::model::WebhookSink;
use reqwest::Client;
use reqwest::header::HeaderName;
use reqwest::redirect::Policy;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::attempt::ReadHeaderError;
use super::attempt::Receiver;
use super::attempt::read_header;
use super::delivery::Delivery;
use super::metrics::Metrics;
use super::reader::Reader;
use super::signature::ReadSecretError;
use super::signature::Signer;
use crate::shares::Readers;
use crate::shares::Shares;

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
    /// A secret value of a header cannot be read.
    #[error("sink `{sink}` cannot send its headers")]
    Header {
        /// The sink.
        sink: String,
        /// Why not.
        source: ReadHeaderError,
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
    /// Sends until `cancel` is cancelled. Streams must exist in the log; where it is not this
    /// process's alone, partitions are shared with others. `secrets` is the folder that has one
    /// folder a Secret.
    ///
    /// # Errors
    /// When a signing secret or the secret value of a header cannot be read, or the machine's root certificates cannot.
    pub fn start(
        plan: &Plan,
        log: &Arc<dyn Log>,
        observer: &Arc<Observer>,
        secrets: Option<&Path>,
        cancel: &CancellationToken,
    ) -> Result<Self, StartWebhookError> {
        // Where a provider of TLS has been chosen before, that one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let metrics = observer.once(|| Metrics::register(observer));
        // First what may fail, so that nothing is left behind that sends.
        let mut sinks = Vec::new();
        for sink in &plan.sinks {
            if let SinkTarget::Webhook(webhook) = &sink.target {
                sinks.push((sink, webhook, receiver(&sink.name, webhook, secrets)?));
            }
        }
        let tasks = TaskTracker::new();
        let all = Shares { plan, log, observer, tasks: &tasks, cancel };
        for (sink, webhook, receiver) in sinks {
            let (shared, name) = (Arc::new(webhook.clone()), sink.name.clone());
            let at_once = Arc::new(Semaphore::new(webhook.concurrent));
            let (counters, tracer) = (metrics.sink(&sink.name), observer.tracer().cloned());
            all.start(sink, Readers::Shared, move |reads, component, stop| {
                let delivery = Delivery {
                    sink: Arc::clone(&shared),
                    name: name.clone(),
                    stream: reads.stream.clone(),
                    partition: reads.partition,
                    log: Arc::clone(&reads.log),
                    receiver: receiver.clone(),
                    at_once: Arc::clone(&at_once),
                    component,
                    metrics: counters.clone(),
                    tracer: tracer.clone(),
                };
                Reader { reads, delivery, concurrent: shared.concurrent }.run(stop)
            });
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
    let headers = webhook.secret_headers.iter().map(|(name, source)| header(name, source, secrets));
    let secret_headers = headers
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| StartWebhookError::Header { sink: sink.to_owned(), source })?;
    // A redirect would send events to where the resource does not say.
    let client = Client::builder()
        .redirect(Policy::none())
        .timeout(webhook.timeout)
        .user_agent(USER_AGENT)
        .build()
        .map_err(|source| StartWebhookError::Client { sink: sink.to_owned(), source })?;
    Ok(Receiver {
        client,
        url: webhook.url.clone(),
        signer: signer.map(Arc::new),
        secret_headers: Arc::new(secret_headers),
    })
}

/// A header and the file of its value, which can be read.
fn header(
    name: &str,
    source: &SecretSource,
    secrets: Option<&Path>,
) -> Result<(HeaderName, PathBuf), ReadHeaderError> {
    let header: HeaderName = name.parse().map_err(|_| ReadHeaderError::Name(name.to_owned()))?;
    let file = match (source, secrets) {
        (SecretSource::File(file), _) => file.clone(),
        (source, Some(secrets)) => source.file(secrets),
        (SecretSource::Secret { .. }, None) => {
            return Err(ReadHeaderError::NoFolder(name.to_owned()));
        }
    };
    read_header(&header, &file)?;
    Ok((header, file))
}

fn signer(source: &SecretSource, secrets: Option<&Path>) -> Result<Signer, ReadSecretError> {
    let file = match (source, secrets) {
        (SecretSource::File(file), _) => file.clone(),
        (source, Some(secrets)) => source.file(secrets),
        (SecretSource::Secret { .. }, None) => return Err(ReadSecretError::NoFolder),
    };
    Signer::new(file)
}
