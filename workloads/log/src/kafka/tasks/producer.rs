//! The transactional producer of a process, and what its failures mean.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use millrace_core::Offset;
use millrace_core::Partition;
use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaError;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::BaseRecord;
use rdkafka::producer::DeliveryResult;
use rdkafka::producer::Producer;
use rdkafka::producer::ProducerContext;
use rdkafka::producer::ThreadedProducer;

use super::super::client::Connection;
use super::super::client::delegate_client;
use super::deliveries::Deliveries;
use super::deliveries::Token;

/// How long a step of a transaction may take. The brokers give a transaction up after 10 s.
const PATIENCE: Duration = Duration::from_secs(11);
/// How long a full queue waits before it is tried again.
const PAUSE: Duration = Duration::from_millis(1);
/// Transactions that end sooner were not given up by the brokers for their age.
const SURELY_IN_TIME: Duration = Duration::from_secs(8);

/// What a failure of a transaction means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing of it is committed, and the producer can go on once it has been aborted.
    Abort(String),
    /// Nothing of it is committed; the group of these offsets has gone on without its member.
    Generation(String),
    /// Nothing of it is committed; the producer is of no use any more.
    Broken(String),
    /// Nothing of it is committed: another process has this one's name and commits instead.
    TakenOver(String),
    /// It was to be committed, and nobody knows whether it is. The producer is of no use.
    Unknown(String),
}

/// A record as it goes to a topic.
pub(super) struct Outgoing<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: Partition,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) timestamp: Option<i64>,
    pub(super) headers: Option<OwnedHeaders>,
}

struct Context {
    connection: Connection,
    deliveries: Arc<Deliveries>,
}

delegate_client!(Context, connection);

impl ProducerContext for Context {
    type DeliveryOpaque = Token;

    fn delivery(&self, result: &DeliveryResult<'_>, token: Token) {
        let result = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, message)) => Err(format!("{error} ({})", message.topic())),
        };
        self.deliveries.report(token, result);
    }
}

/// A producer whose earlier transactions, and those of its predecessors, have all ended.
pub(super) struct TransactionalProducer {
    producer: ThreadedProducer<Context>,
    deliveries: Arc<Deliveries>,
    begun: Instant,
}

impl TransactionalProducer {
    /// Takes the transactional id over.
    pub(super) fn new(config: &ClientConfig, connection: Connection) -> Result<Self, KafkaError> {
        let deliveries = Arc::new(Deliveries::default());
        let context = Context { connection, deliveries: Arc::clone(&deliveries) };
        let producer: ThreadedProducer<Context> = config.create_with_context(context)?;
        producer.init_transactions(PATIENCE)?;
        Ok(Self { producer, deliveries, begun: Instant::now() })
    }

    /// Begins a transaction of so many records.
    pub(super) fn begin(&mut self, records: usize) -> Result<(), Failure> {
        self.begun = Instant::now();
        self.deliveries.begin(records);
        self.producer.begin_transaction().map_err(|error| self.judge(error))
    }

    /// Hands a record over.
    pub(super) fn send(&self, index: usize, record: Outgoing<'_>) -> Result<(), Failure> {
        let mut next = BaseRecord {
            topic: record.topic,
            partition: Some(record.partition),
            payload: record.value,
            key: record.key,
            timestamp: record.timestamp,
            headers: record.headers,
            delivery_opaque: self.deliveries.token(index),
        };
        loop {
            match self.producer.send(next) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if self.begun.elapsed() < PATIENCE =>
                {
                    next = back;
                    std::thread::sleep(PAUSE);
                }
                Err((error, _)) => {
                    self.deliveries.withdraw();
                    return Err(self.judge(error));
                }
            }
        }
    }

    /// Waits until every record is with the brokers; returns where each one is.
    pub(super) fn delivered(&self) -> Result<Vec<Offset>, Failure> {
        self.deliveries.wait(PATIENCE).map_err(|reason| match self.fatal() {
            Some(failure) => failure,
            None => Failure::Abort(reason),
        })
    }

    /// Adds offsets of a group to the transaction.
    pub(super) fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        metadata: &ConsumerGroupMetadata,
    ) -> Result<(), Failure> {
        self.producer
            .send_offsets_to_transaction(offsets, metadata, PATIENCE)
            .map_err(|error| self.judge(error))
    }

    /// Commits the transaction.
    pub(super) fn commit(&self) -> Result<(), Failure> {
        self.producer.commit_transaction(PATIENCE).map_err(|error| match error {
            KafkaError::Transaction(error) if error.txn_requires_abort() => {
                Failure::Abort(error.to_string())
            }
            error => Failure::Unknown(error.to_string()),
        })
    }

    /// Aborts the transaction.
    pub(super) fn abort(&self) -> Result<(), Failure> {
        self.producer
            .abort_transaction(PATIENCE)
            .map_err(|error| Failure::Broken(error.to_string()))
    }

    /// What an error means before the commit.
    fn judge(&self, error: KafkaError) -> Failure {
        let reason = error.to_string();
        let KafkaError::Transaction(error) = error else {
            return self.fatal().unwrap_or(Failure::Abort(reason));
        };
        match error.code() {
            RDKafkaErrorCode::IllegalGeneration
            | RDKafkaErrorCode::UnknownMemberId
            | RDKafkaErrorCode::FencedInstanceId => Failure::Generation(reason),
            code if error.is_fatal() => self.broken(code, reason),
            _ => Failure::Abort(reason),
        }
    }

    /// What has put the producer out of use, if anything has.
    fn fatal(&self) -> Option<Failure> {
        let (code, reason) = self.producer.client().fatal_error()?;
        Some(self.broken(code, reason))
    }

    fn broken(&self, code: RDKafkaErrorCode, reason: String) -> Failure {
        // The brokers fence a transaction that has lasted too long in the same way as one whose
        // id another process took over.
        let is_fenced = matches!(
            code,
            RDKafkaErrorCode::Fenced
                | RDKafkaErrorCode::ProducerFenced
                | RDKafkaErrorCode::InvalidProducerEpoch
        );
        if is_fenced && self.begun.elapsed() < SURELY_IN_TIME {
            Failure::TakenOver(reason)
        } else {
            Failure::Broken(reason)
        }
    }
}
