//! Spans of records that are traced: from their release to the commit of what they became.

use std::sync::Arc;
use std::time::SystemTime;

use millrace_core::Headers;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::record::header::TRACEPARENT;
use millrace_observe::trace::Span;
use millrace_observe::trace::SpanKind;
use millrace_observe::trace::TraceParent;
use millrace_observe::trace::Tracer;

/// Most traced records of one commit; more are counted and dropped.
const MOST: usize = 4096;

/// The traced records of a task that wait for the commit.
pub(crate) struct Traced {
    tracer: Tracer,
    stage: String,
    partition: Partition,
    released: Vec<Released>,
    /// Those of the commit that is under way.
    committing: Vec<Released>,
}

struct Released {
    parent: TraceParent,
    stream: Arc<str>,
    offset: Offset,
    start: SystemTime,
}

impl Traced {
    /// Nothing yet, of a stage's partition.
    pub(crate) const fn new(tracer: Tracer, stage: String, partition: Partition) -> Self {
        Self { tracer, stage, partition, released: Vec::new(), committing: Vec::new() }
    }

    /// Notes a record that is processed now, if it is traced.
    pub(crate) fn release(&mut self, stream: &Arc<str>, offset: Offset, headers: &Headers) {
        if headers.0.is_empty() {
            return;
        }
        let header = headers.get(TRACEPARENT).map(|value| &value[..]);
        let Some(parent) = self.tracer.parent(header) else { return };
        if self.released.len() == MOST {
            return self.tracer.count_dropped(1);
        }
        let (stream, start) = (Arc::clone(stream), SystemTime::now());
        self.released.push(Released { parent, stream, offset, start });
    }

    /// What was released so far is being committed; nothing else is.
    pub(crate) fn commit(&mut self) {
        std::mem::swap(&mut self.released, &mut self.committing);
    }

    /// Records the spans of what was being committed.
    pub(crate) fn committed(&mut self) {
        for Released { parent, stream, offset, start } in self.committing.drain(..) {
            let name = format!("process {}", self.stage);
            let span = Span::caused_by(parent, name, SpanKind::Consumer, start)
                .with("millrace.stage", self.stage.clone())
                .with("millrace.stream", stream.to_string())
                .with("millrace.partition", self.partition)
                .with("millrace.offset", offset);
            self.tracer.record(span);
        }
    }
}
