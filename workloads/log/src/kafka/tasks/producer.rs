//! The transactional producer of a process, and what its failures mean.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use millrace_core::Offset;
use millrace_core::Partition;
use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaError;
use rdkafka::error::KafkaResult;
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
/// How much longer than that a step lasts that never comes to its end.
const LOST: Duration = Duration::from_secs(4);
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

/// A producer that cannot begin transactions yet.
#[derive(Debug, thiserror::Error)]
#[error("no transaction can be begun: {source}")]
pub(super) struct NotReady {
    /// Whether the same producer may be ready later: what it has begun goes on.
    pub(super) goes_on: bool,
    #[source]
    source: KafkaError,
}

/// The producer of transactions under one id.
pub(super) struct TransactionalProducer {
    producer: Arc<ThreadedProducer<Context>>,
    deliveries: Arc<Deliveries>,
    begun: Instant,
}

impl TransactionalProducer {
    /// A producer that is to be made ready.
    pub(super) fn new(config: &ClientConfig, connection: Connection) -> Result<Self, KafkaError> {
        let deliveries = Arc::new(Deliveries::default());
        let context = Context { connection, deliveries: Arc::clone(&deliveries) };
        let producer = Arc::new(config.create_with_context(context)?);
        Ok(Self { producer, deliveries, begun: Instant::now() })
    }

    /// Takes the transactional id over: what its earlier producers left open is ended.
    pub(super) fn make_ready(&self) -> Result<(), NotReady> {
        self.producer.init_transactions(PATIENCE).map_err(|source| {
            let goes_on = match &source {
                KafkaError::Transaction(error) => error.is_retriable() && !error.is_fatal(),
                _ => false,
            };
            NotReady { goes_on, source }
        })
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
        offsets: TopicPartitionList,
        metadata: Arc<ConsumerGroupMetadata>,
    ) -> Result<(), Failure> {
        // librdkafka forgets a request whose group's coordinator leaves the cluster meanwhile, and
        // then waits for its answer for ever.
        let step = move |producer: &ThreadedProducer<Context>| {
            producer.send_offsets_to_transaction(&offsets, &metadata, PATIENCE)
        };
        let sent = self.within(PATIENCE + LOST, step);
        sent.map_err(Failure::Broken)?.map_err(|error| self.judge(error))
    }

    /// Takes a step on a thread of its own. A step that is not over in time is left alone with its
    /// client: whoever follows fences it.
    fn within<T: Send + 'static>(
        &self,
        time: Duration,
        step: impl FnOnce(&ThreadedProducer<Context>) -> KafkaResult<T> + Send + 'static,
    ) -> Result<KafkaResult<T>, String> {
        let producer = Arc::clone(&self.producer);
        let (answer, answered) = mpsc::channel();
        let work = move || {
            let done = step(&producer);
            drop(producer);
            // Who waited may have given up.
            let _ = answer.send(done);
        };
        let thread = thread::Builder::new().name("transaction".to_owned()).spawn(work);
        thread.map_err(|error| format!("no thread can be started: {error}"))?;
        answered
            .recv_timeout(time)
            .map_err(|_| format!("the Kafka client has not answered for {} s", time.as_secs()))
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

#[cfg(test)]
mod tests {
    use rdkafka::consumer::BaseConsumer;
    use rdkafka::consumer::Consumer;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::DefaultProducerContext;
    use rdkafka::types::RDKafkaApiKey;
    use rdkafka::types::RDKafkaRespErr;

    use super::*;

    /// Brokers that answer as they are told.
    struct Brokers {
        cluster: MockCluster<'static, DefaultProducerContext>,
        consumer: BaseConsumer,
    }

    impl Brokers {
        fn new() -> Self {
            let cluster = MockCluster::new(1).unwrap();
            cluster.create_topic("out", 1, 1).unwrap();
            let consumer = ClientConfig::new()
                .set("bootstrap.servers", cluster.bootstrap_servers())
                .set("group.id", "group")
                .create()
                .unwrap();
            Self { cluster, consumer }
        }

        fn producer(&self) -> TransactionalProducer {
            let mut config = ClientConfig::new();
            config
                .set("bootstrap.servers", self.cluster.bootstrap_servers())
                .set("transactional.id", "process")
                .set("retry.backoff.ms", "10");
            let producer = TransactionalProducer::new(&config, Connection::default()).unwrap();
            producer.make_ready().unwrap();
            producer
        }

        fn answer(&self, to: RDKafkaApiKey, error: RDKafkaRespErr) {
            self.cluster.request_errors(to, &[error]);
        }

        /// A transaction of one record and one offset.
        fn transact(&self, producer: &mut TransactionalProducer) -> Result<Vec<Offset>, Failure> {
            producer.begin(1)?;
            let record = Outgoing {
                topic: "out",
                partition: 0,
                key: Some(b"k"),
                value: Some(b"v"),
                timestamp: None,
                headers: None,
            };
            producer.send(0, record)?;
            let delivered = producer.delivered()?;
            let mut offsets = TopicPartitionList::new();
            offsets.add_partition_offset("out", 0, rdkafka::Offset::Offset(1)).unwrap();
            let metadata = Arc::new(self.consumer.group_metadata().unwrap());
            producer.send_offsets(offsets, metadata)?;
            producer.commit()?;
            Ok(delivered)
        }
    }

    #[test]
    fn a_group_that_went_on_without_its_member_aborts_and_the_producer_goes_on() {
        let brokers = Brokers::new();
        let mut producer = brokers.producer();
        for error in [
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
        ] {
            brokers.answer(RDKafkaApiKey::TxnOffsetCommit, error);
            let failed = brokers.transact(&mut producer);
            assert!(matches!(failed, Err(Failure::Generation(_))), "{failed:?}");
            producer.abort().unwrap();
            assert_eq!(brokers.transact(&mut producer).map(|offsets| offsets.len()), Ok(1));
        }
    }

    #[test]
    fn a_step_that_never_ends_is_left_alone() {
        let brokers = Brokers::new();
        let producer = brokers.producer();
        let (end, ends) = mpsc::channel::<()>();
        let moment = Duration::from_millis(10);
        let left = producer.within(moment, move |_| Ok(ends.recv().is_err()));
        assert_eq!(left.unwrap_err(), "the Kafka client has not answered for 0 s");
        drop(end);
        let others = producer.within(PATIENCE, |_| Ok(1));
        assert!(matches!(others, Ok(Ok(1))), "{others:?}");
    }

    #[test]
    fn who_took_the_name_over_is_told_from_other_failures() {
        let brokers = Brokers::new();
        let mut producer = brokers.producer();
        brokers.answer(
            RDKafkaApiKey::AddOffsetsToTxn,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
        );
        let failed = brokers.transact(&mut producer);
        assert!(matches!(failed, Err(Failure::TakenOver(_))), "{failed:?}");
    }

    #[test]
    fn a_refused_record_aborts_and_the_producer_goes_on() {
        let brokers = Brokers::new();
        let mut producer = brokers.producer();
        brokers
            .answer(RDKafkaApiKey::Produce, RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
        let failed = brokers.transact(&mut producer);
        assert!(matches!(failed, Err(Failure::Abort(_))), "{failed:?}");
        // The client may take records of the next one along with what it throws away.
        let committed = (0..10).any(|_| {
            producer.abort().unwrap();
            brokers.transact(&mut producer).is_ok()
        });
        assert!(committed);
    }

    #[test]
    fn a_commit_that_was_asked_for_and_failed_for_good_is_unknown() {
        let brokers = Brokers::new();
        let mut producer = brokers.producer();
        brokers.answer(RDKafkaApiKey::EndTxn, RDKafkaRespErr::RD_KAFKA_RESP_ERR_PRODUCER_FENCED);
        let failed = brokers.transact(&mut producer);
        assert!(matches!(failed, Err(Failure::Unknown(_))), "{failed:?}");
    }
}
