//! Takes spans from their queue and sends them in batches.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use millrace_core::with_causes;
use millrace_observe::Observer;
use millrace_observe::trace::SampleShare;
use millrace_observe::trace::Span;
use millrace_observe::trace::Tracer;
use millrace_simulate::send::HttpAddress;
use millrace_simulate::send::ParseHttpAddressError;
use millrace_simulate::send::PrepareTlsError;
use millrace_simulate::send::client_tls;
use opentelemetry::InstrumentationScope;
use opentelemetry::KeyValue;
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_otlp::RetryPolicy;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_otlp::WithHttpConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;

use crate::process::traces::client::CollectorClient;
use crate::process::traces::convert::exported;

/// Says where the collector is, where the command does not.
const COLLECTOR_VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Most spans of a request.
const BATCH: usize = 512;

/// How long spans wait for others.
const INTERVAL: Duration = Duration::from_secs(1);

/// Attempts to send a batch, and the pause after a failed one.
const ATTEMPTS: usize = 3;
const PAUSE: Duration = Duration::from_secs(2);

/// How long the last spans may take at the end.
const LAST_SPANS: Duration = Duration::from_millis(500);

/// Where traces go.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Traces")]
pub(crate) struct TracesOptions {
    /// Collector that takes traces by OTLP over HTTP, such as `http://127.0.0.1:4318`. Without it
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` counts, and without that nothing is traced.
    #[arg(long = "otlp", value_name = "URL")]
    collector: Option<HttpAddress>,

    /// Share of requests that are traced, from 0 to 1, where the caller's `traceparent` does not
    /// say.
    #[arg(long = "otlp-sample", value_name = "SHARE", default_value = "0.01")]
    sample: SampleShare,
}

/// Why traces cannot be exported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartTracesError {
    /// The variable for the collector is wrong.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT is wrong")]
    Variable(#[from] ParseHttpAddressError),
    /// TLS cannot be set up.
    #[error("cannot send traces by TLS")]
    Tls(#[from] PrepareTlsError),
    /// The settings of the environment are wrong.
    #[error("cannot send traces: see the variables OTEL_EXPORTER_OTLP_*")]
    Settings(#[from] ExporterBuildError),
}

/// The running export; nothing where there is no collector.
pub(crate) struct Traces {
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

struct Exporter {
    sender: SpanExporter,
    scope: InstrumentationScope,
    tracer: Tracer,
    collector: HttpAddress,
    stop: CancellationToken,
    failing: bool,
}

impl Traces {
    /// Starts to export what parts record that start from now on.
    pub(crate) fn start(
        options: &TracesOptions,
        pipeline: &str,
        observer: &Observer,
    ) -> Result<Self, StartTracesError> {
        let variable = std::env::var(COLLECTOR_VARIABLE).ok().filter(|text| !text.is_empty());
        let collector = match (&options.collector, variable) {
            (Some(collector), _) => collector.clone(),
            (None, Some(text)) => text.parse()?,
            (None, None) => return Ok(Self { running: None }),
        };
        let tls = if collector.tls { Some(Arc::new(client_tls(None)?)) } else { None };
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{collector}/v1/traces"))
            .with_http_client(CollectorClient::new(collector.clone(), tls))
            // The exporter's own retries would block a thread.
            .with_retry_policy(RetryPolicy::disabled())
            .build()?;
        let resource = Resource::builder()
            .with_service_name("millrace")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("millrace.pipeline", pipeline.to_owned()))
            .build();
        exporter.set_resource(&resource);
        let (tracer, spans) = Tracer::new(options.sample, observer);
        observer.trace_by(tracer.clone());
        let stop = CancellationToken::new();
        let running = Exporter {
            sender: exporter,
            scope: InstrumentationScope::builder("millrace").build(),
            tracer,
            collector,
            stop: stop.clone(),
            failing: false,
        };
        Ok(Self { running: Some((stop, tokio::spawn(running.run(spans)))) })
    }

    /// Sends what waits, and ends.
    pub(crate) async fn stop(self) {
        let Some((stop, task)) = self.running else { return };
        stop.cancel();
        let abort = task.abort_handle();
        if tokio::time::timeout(LAST_SPANS, task).await.is_err() {
            abort.abort();
            warn!(message = "The collector did not take the last spans in time.");
        }
    }
}

impl Exporter {
    async fn run(mut self, mut spans: mpsc::Receiver<Span>) {
        let stop = self.stop.clone();
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(Some(first)) = stop.run_until_cancelled(spans.recv()).await {
            batch.push(first);
            let gathering = async {
                loop {
                    let room = BATCH.saturating_sub(batch.len());
                    if room == 0 || spans.recv_many(&mut batch, room).await == 0 {
                        break;
                    }
                }
            };
            let gathering = tokio::time::timeout(INTERVAL, gathering);
            // Full, late or asked to stop: it goes out.
            let _ = stop.run_until_cancelled(gathering).await;
            self.send(batch.drain(..)).await;
        }
        spans.close();
        while spans.recv_many(&mut batch, BATCH).await > 0 {
            self.send(batch.drain(..)).await;
        }
    }

    async fn send(&mut self, spans: impl Iterator<Item = Span>) {
        let batch: Vec<_> = spans.map(|span| exported(span, &self.scope)).collect();
        let number = batch.len();
        for attempt in 1..=ATTEMPTS {
            match self.sender.export(batch.clone()).await {
                Ok(()) => {
                    self.tracer.count_exported(number);
                    if std::mem::take(&mut self.failing) {
                        info!(message = "The collector takes traces again.", collector = %self.collector);
                    }
                    return;
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        warn!(
                            message = "The collector does not take traces; spans are dropped meanwhile.",
                            collector = %self.collector,
                            error = with_causes(&error)
                        );
                    }
                    let last = attempt == ATTEMPTS || self.stop.is_cancelled();
                    if last {
                        break;
                    }
                    self.stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
                }
            }
        }
        self.tracer.count_dropped(number);
    }
}
