//! Which requests are traced, and the queue of spans to be exported.

use std::str::FromStr;
use std::time::SystemTime;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

use crate::Observer;
use crate::trace::Span;
use crate::trace::SpanKind;
use crate::trace::TraceParent;

/// So many spans wait for their export; more are counted and dropped.
const QUEUE: usize = 8192;

/// The share of requests that are traced where the caller does not say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleShare(f64);

/// A text that is no share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write a number from 0 to 1, such as 0.01 for one request of a hundred")]
pub struct SampleShareError;

/// Takes spans, and says what is traced. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Tracer {
    queue: mpsc::Sender<Span>,
    exported: Counter,
    dropped: Counter,
    share: f64,
}

/// A request that is traced.
#[derive(Debug, Clone, Copy)]
pub struct TracedRequest {
    /// The context of its span.
    pub context: TraceParent,
    /// The caller's span.
    pub caller: Option<u64>,
    /// When it began.
    pub start: SystemTime,
}

impl Tracer {
    /// A tracer, and where its spans come out.
    #[must_use]
    pub fn new(share: SampleShare, observer: &Observer) -> (Self, mpsc::Receiver<Span>) {
        let (queue, spans) = mpsc::channel(QUEUE);
        let (exported, dropped) = (Counter::default(), Counter::default());
        observer.register(
            "trace_spans_exported",
            "Spans that the collector has taken",
            exported.clone(),
        );
        observer.register(
            "trace_spans_dropped",
            "Spans that were not exported: the queue was full, or the collector did not take them",
            dropped.clone(),
        );
        (Self { queue, exported, dropped, share: share.0 }, spans)
    }

    /// Decides whether a request is traced: the caller's flag decides where its `traceparent` is
    /// valid, else the share.
    #[must_use]
    pub fn begin(&self, traceparent: Option<&[u8]>) -> Option<TracedRequest> {
        let (context, caller) = match traceparent.and_then(TraceParent::parse) {
            Some(caller) if caller.sampled => (caller.child(), Some(caller.span)),
            None if self.share > 0.0 && rand::random::<f64>() < self.share => {
                (TraceParent::new(), None)
            }
            Some(_) | None => return None,
        };
        Some(TracedRequest { context, caller, start: SystemTime::now() })
    }

    /// The span that a record belongs to, by its header, if that is traced.
    #[must_use]
    pub fn parent(&self, traceparent: Option<&[u8]>) -> Option<TraceParent> {
        traceparent.and_then(TraceParent::parse).filter(|parent| parent.sampled)
    }

    /// Takes a span, never waiting.
    pub fn record(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.count_dropped(1);
        }
    }

    /// Counts spans that the collector has taken.
    pub fn count_exported(&self, number: usize) {
        self.exported.inc_by(number as u64);
    }

    /// Counts spans that are given up.
    pub fn count_dropped(&self, number: usize) {
        self.dropped.inc_by(number as u64);
    }
}

impl TracedRequest {
    /// Its span, once it is answered; `route` is the declared path.
    #[must_use]
    pub fn answered(&self, method: &str, route: &str, status: u16) -> Span {
        let name = format!("{method} {route}");
        let mut span = Span::ended(self.context, self.caller, name, SpanKind::Server, self.start)
            .with("http.request.method", method.to_owned())
            .with("http.route", route.to_owned())
            .with("http.response.status_code", i32::from(status))
            .with_error((status >= 500).then(|| format!("answered by {status}")));
        span.remote_parent = self.caller.is_some();
        span
    }
}

impl FromStr for SampleShare {
    type Err = SampleShareError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let share = text.parse().map_err(|_| SampleShareError)?;
        if (0.0..=1.0).contains(&share) { Ok(Self(share)) } else { Err(SampleShareError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracer(share: &str) -> (Tracer, mpsc::Receiver<Span>) {
        Tracer::new(share.parse().unwrap(), &Observer::default())
    }

    #[test]
    fn the_caller_decides_where_it_says_anything_and_else_the_share() {
        let sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".as_bytes();
        let not = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00".as_bytes();
        let (none, _spans) = tracer("0");
        let (all, _spans) = tracer("1");
        let begun = none.begin(Some(sampled)).unwrap();
        assert_eq!(begun.context.trace, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!(begun.caller, Some(0xb7ad_6b71_6920_3331));
        assert!(all.begin(Some(not)).is_none());
        assert!(none.begin(None).is_none());
        assert!(none.begin(Some(b"x")).is_none());
        assert_eq!(all.begin(Some(b"x")).unwrap().caller, None);
    }

    #[test]
    fn a_share_is_from_0_to_1() {
        assert!("0.01".parse::<SampleShare>().is_ok());
        for bad in ["1.1", "-0.1", "NaN", "1%", ""] {
            assert!(bad.parse::<SampleShare>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_full_queue_drops_spans_and_counts_them() {
        let observer = Observer::default();
        let (tracer, _spans) = Tracer::new("1".parse().unwrap(), &observer);
        let start = SystemTime::now();
        for _ in 0..QUEUE + 3 {
            tracer.record(Span::ended(TraceParent::new(), None, "x", SpanKind::Internal, start));
        }
        let text = observer.encode().unwrap();
        assert!(text.contains("millrace_trace_spans_dropped_total 3"), "{text}");
    }
}
