//! Metrics of the HTTP port itself, and those that are read from the log and the parts when
//! somebody asks.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use axum::extract::MatchedPath;
use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;
use millrace_core::record::header::TRACEPARENT;
use millrace_observe::Observer;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::standby_metrics::StandbyMetrics;
use crate::state::Shared;
use crate::state::SharedState;
use millrace_http::Problem;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartitionLabels {
    stream: String,
    partition: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ComponentLabels {
    kind: String,
    name: String,
    stream: String,
    partition: String,
}

type Seconds = Gauge<f64, AtomicU64>;

/// Metrics that this crate owns.
#[derive(Clone, Default)]
pub(crate) struct QueryMetrics {
    requests: Family<RequestLabels, Counter>,
    pub(crate) live_streams: Gauge,
    pub(crate) live_records: Counter,
    stream_start: Family<PartitionLabels, Gauge<i64, AtomicI64>>,
    stream_end: Family<PartitionLabels, Gauge<i64, AtomicI64>>,
    stream_event_time: Family<PartitionLabels, Seconds>,
    lag: Family<ComponentLabels, Gauge<i64, AtomicI64>>,
    watermark_delay: Family<ComponentLabels, Seconds>,
    up: Family<ComponentLabels, Gauge<i64, AtomicI64>>,
    log_records: Counter,
    log_syncs: Counter,
    log_sync_seconds: Counter<f64, AtomicU64>,
    log_disk_bytes: Gauge,
    standbys: StandbyMetrics,
    reading: Arc<Mutex<()>>,
}

impl QueryMetrics {
    pub(crate) fn register(observer: &Observer) -> Self {
        let m = Self { standbys: StandbyMetrics::register(observer), ..Self::default() };
        observer.register(
            "http_requests",
            "Requests answered, by method, route and status",
            m.requests.clone(),
        );
        observer.register(
            "http_live_streams",
            "Clients that follow a stream now",
            m.live_streams.clone(),
        );
        observer.register(
            "http_live_records",
            "Records handed to clients that follow a stream",
            m.live_records.clone(),
        );
        observer.register(
            "stream_start_offset",
            "Lowest offset that a partition still keeps",
            m.stream_start.clone(),
        );
        observer.register(
            "stream_end_offset",
            "Offset after a partition's last entry, marks included",
            m.stream_end.clone(),
        );
        observer.register(
            "stream_event_time_seconds",
            "Highest event time of a partition, in seconds since 1970",
            m.stream_event_time.clone(),
        );
        observer.register(
            "component_lag_records",
            "Offsets that a part is behind the end of what it reads",
            m.lag.clone(),
        );
        observer.register(
            "component_watermark_delay_seconds",
            "How far a part's watermark is behind the clock",
            m.watermark_delay.clone(),
        );
        observer.register(
            "component_up",
            "1 if a part runs or has finished, 0 if it starts, waits or has failed",
            m.up.clone(),
        );
        observer.register("log_records", "Records appended to the log", m.log_records.clone());
        observer.register(
            "log_syncs",
            "Groups of appends and commits that shared an fsync",
            m.log_syncs.clone(),
        );
        observer.register(
            "log_sync_seconds",
            "Time spent in those groups",
            m.log_sync_seconds.clone(),
        );
        observer.register("log_disk_bytes", "Bytes of the log on disk", m.log_disk_bytes.clone());
        m
    }

    /// Reads what is kept elsewhere. What is no longer there, such as a partition that another
    /// process has now, is not told of any longer.
    fn refresh(&self, state: &Shared) {
        self.stream_start.clear();
        self.stream_end.clear();
        self.stream_event_time.clear();
        self.up.clear();
        self.lag.clear();
        self.watermark_delay.clear();
        for stream in &state.plan.streams {
            for partition in 0..stream.partitions {
                let Ok(info) = state.log.partition_info(&stream.name, partition) else { continue };
                let labels = PartitionLabels { stream: stream.name.as_str().to_owned(), partition };
                self.stream_start.get_or_create(&labels).set(info.start);
                self.stream_end.get_or_create(&labels).set(info.end);
                if let Some(millis) = info.highest_event_time {
                    self.stream_event_time.get_or_create(&labels).set(seconds(millis));
                }
            }
        }
        let now = jiff::Timestamp::now().as_millisecond();
        for component in state.observer.components() {
            let id = &component.id;
            let labels = ComponentLabels {
                kind: kind(id.kind).to_owned(),
                name: id.name.clone(),
                stream: id.stream.clone().unwrap_or_default(),
                partition: id.partition.map(|p| p.to_string()).unwrap_or_default(),
            };
            let up = matches!(
                component.state(),
                millrace_observe::State::Running | millrace_observe::State::Finished
            );
            self.up.get_or_create(&labels).set(i64::from(up));
            self.lag.get_or_create(&labels).set(component.lag());
            if let Some(millis) = component.watermark() {
                self.watermark_delay
                    .get_or_create(&labels)
                    .set(seconds(now.saturating_sub(millis)));
            }
        }
        let log = state.log.statistics();
        self.log_records.inner().store(log.records, Ordering::Relaxed);
        self.log_syncs.inner().store(log.syncs, Ordering::Relaxed);
        self.log_sync_seconds.inner().store(log.sync_seconds.to_bits(), Ordering::Relaxed);
        self.log_disk_bytes.set(i64::try_from(log.disk_bytes).unwrap_or(i64::MAX));
        self.standbys.refresh(&log);
    }
}

/// The name of a kind of part, as in the API.
pub(crate) fn kind(kind: millrace_observe::ComponentKind) -> &'static str {
    use millrace_observe::ComponentKind as Kind;
    match kind {
        Kind::Ingest => "ingest",
        Kind::Task => "task",
        Kind::Sink => "sink",
        Kind::Endpoint => "endpoint",
    }
}

// Milliseconds since 1970 are exact in a double.
#[expect(clippy::cast_precision_loss)]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

/// `GET /metrics`
pub(crate) async fn metrics(State(state): State<SharedState>) -> Result<Response, Problem> {
    let text = {
        // One at a time, so that nobody reads what is half refreshed.
        let _reading = state.metrics.reading.lock();
        state.metrics.refresh(&state);
        state.observer.encode()
    };
    let text = text.map_err(|error| Problem::internal("the metrics cannot be written", &error))?;
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, media_type)], text).into_response())
}

/// The route that answered, where the server's own table of routes does not know it.
#[derive(Debug, Clone)]
pub(crate) struct RouteLabel(pub(crate) String);

/// Counts requests. Paths that match no route count as one, so that clients cannot make metrics.
pub(crate) async fn count(
    State(state): State<SharedState>,
    request: Request,
    next: Next,
) -> Response {
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST") => known.to_owned(),
        _ => "other".to_owned(),
    };
    // Ways in, which take other methods, record their own spans.
    let traced = state.observer.tracer().filter(|_| matches!(&*method, "GET" | "HEAD"));
    let traced = traced.and_then(|tracer| {
        let header = request.headers().get(TRACEPARENT).map(HeaderValue::as_bytes);
        Some((tracer, tracer.begin(header)?))
    });
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let declared = response.extensions().get::<RouteLabel>().map(|label| label.0.as_str());
    if let (Some((tracer, traced)), Some(route)) = (traced, declared) {
        tracer.record(traced.answered(&method, route, status));
    }
    let route = declared
        .or_else(|| matched.as_ref().map(MatchedPath::as_str))
        .unwrap_or("other")
        .to_owned();
    state.metrics.requests.get_or_create(&RequestLabels { method, route, status }).inc();
    response
}
