//! A place in a partition from which it is read on, with what is fetched ahead.

use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::Message;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

use super::client::Connection;
use super::extent::Times;
use super::extent::Topic;
use super::external;
use super::lane::Lane;
use super::wire::Arena;
use crate::Entry;
use crate::ReadBatch;
use crate::ReadError;
use crate::ReadLimit;

/// A partition of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) stream: StreamName,
    pub(super) partition: Partition,
}

/// Told by librdkafka when something has been fetched for a cursor that had nothing.
pub(super) struct Signal {
    pub(super) lane: Weak<Lane>,
    pub(super) place: Place,
    /// For the read that waits for it.
    pub(super) fetched: Notify,
    is_told: AtomicBool,
    arrivals: UnboundedSender<Arc<Signal>>,
}

impl Signal {
    pub(super) fn new(
        lane: Weak<Lane>,
        place: Place,
        arrivals: UnboundedSender<Arc<Self>>,
    ) -> Arc<Self> {
        let is_told = AtomicBool::new(false);
        Arc::new(Self { lane, place, fetched: Notify::new(), is_told, arrivals })
    }

    /// Something has been fetched. It is called by a thread of librdkafka that holds a lock, so
    /// nothing may be asked of librdkafka here.
    pub(super) fn tell(self: &Arc<Self>) {
        self.fetched.notify_one();
        if !self.is_told.swap(true, Ordering::AcqRel) {
            // Nobody listens any more when the log is closed.
            drop(self.arrivals.send(Arc::clone(self)));
        }
    }

    /// From now on it tells again.
    pub(super) fn taken(&self) {
        self.is_told.store(false, Ordering::Release);
    }
}

/// A place in a partition.
pub(super) struct Cursor {
    pub(super) topic: Arc<Topic>,
    pub(super) partition: Partition,
    /// The offset that is read next.
    pub(super) next: Offset,
    pub(super) used: Instant,
    pub(super) signal: Arc<Signal>,
    /// How long reads have waited for what is known to be there since anything came.
    pub(super) in_vain: Duration,
    queue: PartitionQueue<Connection>,
    // The first entry, if it was looked at already.
    first: Option<(Offset, Entry)>,
    arena: Arena,
}

impl Cursor {
    pub(super) fn new(
        topic: Arc<Topic>,
        partition: Partition,
        next: Offset,
        mut queue: PartitionQueue<Connection>,
        signal: Arc<Signal>,
    ) -> Self {
        let teller = Arc::clone(&signal);
        queue.set_nonempty_callback(move || teller.tell());
        let (used, in_vain) = (Instant::now(), Duration::ZERO);
        let (first, arena) = (None, Arena::default());
        Self { topic, partition, next, used, signal, in_vain, queue, first, arena }
    }

    /// Looks at the first entry without reading it, so that its offset is known.
    pub(super) fn look(&mut self) -> Result<(), ReadError> {
        if self.first.is_none() {
            self.first = self.fetched()?;
            if let Some((offset, entry)) = &self.first {
                let mut times = Times::default();
                times.see(entry);
                self.seen(*offset, times);
            }
        }
        Ok(())
    }

    /// Reads what is there into a batch, up to the limit. What is there before an error is
    /// returned; the error then comes again when it is read on.
    pub(super) fn take(
        &mut self,
        batch: &mut ReadBatch,
        limit: ReadLimit,
    ) -> Result<(), ReadError> {
        let mut bytes = 0;
        let mut times = Times::default();
        let result = loop {
            let fetched = match self.first.take() {
                Some(first) => Ok(Some(first)),
                None => self.fetched(),
            };
            let (offset, entry) = match fetched {
                Ok(Some(fetched)) => fetched,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            times.see(&entry);
            bytes += content_bytes(&entry);
            batch.entries.push((offset, entry));
            self.next = offset + 1;
            if batch.entries.len() >= limit.entries || bytes >= limit.bytes {
                break Ok(());
            }
        };
        if let Some((last, _)) = batch.entries.last() {
            batch.next = last + 1;
            self.in_vain = Duration::ZERO;
            self.seen(*last, times);
        }
        result
    }

    /// Nothing but marks of transactions lies before this offset.
    pub(super) fn pass(&mut self, next: Offset) {
        if self.first.is_none() && next > self.next {
            self.next = next;
            self.in_vain = Duration::ZERO;
        }
    }

    fn seen(&self, offset: Offset, times: Times) {
        if let Some(extent) = self.topic.partition(self.partition) {
            extent.saw(times);
            extent.reaches(offset + 1);
        }
    }

    /// The next entry that is fetched, if one is.
    fn fetched(&mut self) -> Result<Option<(Offset, Entry)>, ReadError> {
        loop {
            let Some(message) = self.queue.poll(Duration::ZERO) else { return Ok(None) };
            let message = match message {
                Ok(message) => message,
                Err(error) => return self.failed(error).map(|()| None),
            };
            let offset = message.offset();
            // After the log began anew further up, everything below is passed over.
            if offset < self.next {
                continue;
            }
            let entry = external::decode(&self.topic, &message, &mut self.arena);
            return entry.map(|entry| Some((offset, entry))).map_err(|what| ReadError::Corrupt {
                stream: self.topic.stream.clone(),
                partition: self.partition,
                offset,
                what,
            });
        }
    }

    /// What an error of librdkafka means for the reader; some pass by themselves.
    fn failed(&self, error: KafkaError) -> Result<(), ReadError> {
        let (stream, partition) = (self.topic.stream.clone(), self.partition);
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition,
            ) => Err(ReadError::UnknownStream { stream, partition }),
            Some(
                code @ (RDKafkaErrorCode::BadMessage
                | RDKafkaErrorCode::InvalidMessage
                | RDKafkaErrorCode::BadCompression),
            ) => Err(ReadError::Corrupt {
                stream,
                partition,
                offset: self.next,
                what: code.to_string(),
            }),
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                Err(ReadError::Storage(Box::new(error)))
            }
            _ => {
                tracing::info!(message = "A fetch failed.", %stream, partition, %error);
                Ok(())
            }
        }
    }
}

/// Bytes of key and value, which a read is limited by.
fn content_bytes(entry: &Entry) -> usize {
    match entry {
        Entry::Record(record) => record.key.len() + record.value.len(),
        Entry::Mark(_) => 0,
    }
}
