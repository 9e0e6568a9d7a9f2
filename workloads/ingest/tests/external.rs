//! A topic of a real Kafka that others write: each of its records is taken once, whatever happens
//! to those who take them, and the topic stays as it is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use millrace_core::DeadLetter;
use millrace_core::EventId;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_ingest::Acceptor;
use millrace_ingest::KafkaIntake;
use millrace_log::AttachExternalError;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::ReadLimit;
use millrace_log::StreamConfig;
use millrace_log::TaskName;
use millrace_log::kafka::KafkaLog;
use millrace_log::kafka::KafkaSettings;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::IngestPlan;
use millrace_plan::model::IngestSource;
use millrace_plan::model::KafkaIngest;
use millrace_plan::model::KafkaStart;
use millrace_plan::model::Retention;
use millrace_plan::program::Place;
use millrace_plan::program::Program;
use rdkafka::ClientConfig;
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::admin::AdminClient;
use rdkafka::admin::AdminOptions;
use rdkafka::admin::NewTopic;
use rdkafka::admin::ResourceSpecifier;
use rdkafka::admin::TopicReplication;
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::BaseConsumer;
use rdkafka::consumer::CommitMode;
use rdkafka::consumer::Consumer;
use rdkafka::producer::FutureProducer;
use rdkafka::producer::FutureRecord;
use support::broker::until;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// 2018-11-08T16:05:15.862Z.
const STAMP: i64 = 1_541_693_115_862;

const PARTITIONS: Partition = 3;

/// A topic that others write, and a pipeline that reads it.
struct Plant {
    servers: String,
    topic: String,
    prefix: String,
}

impl Plant {
    fn new() -> Self {
        let servers = millrace_services::kafka().unwrap();
        let name = uuid::Uuid::new_v4().simple().to_string();
        Self { servers, topic: format!("plant-{name}.meters.v1"), prefix: format!("p{name}.") }
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers);
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().unwrap()
    }

    async fn make_topic(&self) {
        let topic = NewTopic::new(&self.topic, PARTITIONS, TopicReplication::Fixed(1))
            .set("retention.ms", "-1")
            .set("segment.bytes", "12345678");
        let made = self.admin().create_topics([&topic], &AdminOptions::new()).await.unwrap();
        made[0].as_ref().unwrap();
    }

    /// All that is set for the topic.
    async fn config(&self) -> Vec<(String, Option<String>)> {
        let resource = ResourceSpecifier::Topic(&self.topic);
        let options = AdminOptions::new();
        let found = self.admin().describe_configs([&resource], &options).await.unwrap().remove(0);
        let entries = found.unwrap().entries.into_iter();
        let mut entries: Vec<_> = entries.map(|entry| (entry.name, entry.value)).collect();
        entries.sort();
        entries
    }

    /// Writes messages of these numbers as some program would; every tenth is invalid.
    async fn write(&self, numbers: std::ops::Range<i64>) {
        let producer: FutureProducer = self.client().create().unwrap();
        let mut sent = Vec::new();
        for number in numbers {
            let value = message(number);
            let key = format!("race{}", number % 7);
            let partition = i32::try_from(number).unwrap() % PARTITIONS;
            let record = FutureRecord::to(&self.topic)
                .partition(partition)
                .key(&key)
                .payload(&value)
                .timestamp(STAMP + number);
            sent.push(producer.send_result(record).map_err(|(error, _)| error).unwrap());
        }
        for one in sent {
            one.await.unwrap().map_err(|(error, _)| error).unwrap();
        }
    }

    /// Where the topic's partitions start and end.
    fn extents(&self) -> Vec<(i64, i64)> {
        let consumer: BaseConsumer = self.client().create().unwrap();
        let ends = |partition| {
            consumer.fetch_watermarks(&self.topic, partition, Duration::from_secs(10)).unwrap()
        };
        (0..PARTITIONS).map(ends).collect()
    }

    /// A consumer of some other program, which has read a little.
    fn other_reader(&self) -> BaseConsumer {
        let mut config = self.client();
        config.set("group.id", format!("other-{}", self.topic));
        config.create().unwrap()
    }

    fn others_offset(&self) -> Offset {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, 0);
        let patience = Duration::from_secs(10);
        let found = self.other_reader().committed_offsets(list, patience).unwrap();
        found.elements()[0].offset()
    }

    async fn connect(&self, process: &str) -> Arc<KafkaLog> {
        let settings = serde_json::json!({
            "bootstrapServers": [self.servers],
            "prefix": self.prefix,
        });
        let settings: KafkaSettings = serde_json::from_value(settings).unwrap();
        KafkaLog::connect(settings, "plant", process).await.unwrap()
    }

    fn plan(&self, from: KafkaStart) -> Plan {
        let kafka =
            KafkaIngest { topic: self.topic.clone(), source: "ingest.cars".parse().unwrap(), from };
        let ingest = IngestPlan {
            map: Some(Program::compile(".race = %key", Place::Kafka).unwrap()),
            source: IngestSource::Kafka(kafka),
            ..support::cars()
        };
        support::plan(support::coordinates(), 2, vec![ingest])
    }

    /// Starts a process that takes records: an end of the runtime is the end of it.
    fn process(&self, name: &str) -> Runtime {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (plan, plant, name) = (self.plan(KafkaStart::Earliest), self.again(), name.to_owned());
        runtime.spawn(async move {
            let log: Arc<dyn Log> = plant.connect(&name).await;
            let intake = start(&plan, &log, &CancellationToken::new()).await.unwrap();
            intake.1.closed().await;
        });
        runtime
    }

    fn again(&self) -> Self {
        let (servers, topic) = (self.servers.clone(), self.topic.clone());
        Self { servers, topic, prefix: self.prefix.clone() }
    }
}

async fn start(
    plan: &Plan,
    log: &Arc<dyn Log>,
    cancel: &CancellationToken,
) -> Result<(Arc<Observer>, KafkaIntake), millrace_ingest::StartKafkaError> {
    let observer = Arc::new(Observer::default());
    let acceptor = Acceptor::new(plan, Arc::clone(log), &observer);
    let intake = KafkaIntake::start(plan, &acceptor, log, &observer, cancel).await?;
    Ok((observer, intake))
}

fn is_valid(number: i64) -> bool {
    number % 10 != 9
}

fn message(number: i64) -> String {
    if is_valid(number) {
        let time = STAMP + number;
        format!(r#"{{"timestamp":{time},"carIndex":2,"location":{{"lat":51.5,"long":-0.5}}}}"#)
    } else {
        format!("{{\"carIndex\":{number}")
    }
}

async fn make_streams(log: &dyn Log) {
    let stream = |name: &str, partitions| StreamConfig {
        name: name.parse().unwrap(),
        partitions,
        retention: Retention::default(),
    };
    log.ensure_streams(&[stream("coordinates", 2), stream("dead-letters", 1)]).await.unwrap();
}

async fn records(log: &dyn Log, stream: &str, partitions: Partition) -> Vec<Record> {
    let mut records = Vec::new();
    for partition in 0..partitions {
        let name = stream.parse().unwrap();
        let mut next = 0;
        loop {
            let batch = log.read(&name, partition, next, ReadLimit::default()).await.unwrap();
            next = batch.next;
            records.extend(batch.entries.into_iter().filter_map(|(_, entry)| match entry {
                Entry::Record(record) => Some(record),
                Entry::Mark(_) => None,
            }));
            if next >= log.partition_info(&name, partition).unwrap().end {
                break;
            }
        }
    }
    records
}

async fn taken(log: &dyn Log, at_least: usize) {
    until(async || {
        let letters = records(log, "dead-letters", 1).await.len();
        records(log, "coordinates", 2).await.len() + letters >= at_least
    })
    .await;
}

/// Asserts that the messages of these numbers, and no others, have become what they are, once.
async fn assert_once(plant: &Plant, log: &dyn Log, numbers: std::ops::Range<i64>) {
    let id = |number: i64| {
        let partition = i32::try_from(number).unwrap() % PARTITIONS;
        EventId::of_external(&plant.topic, partition, number / i64::from(PARTITIONS))
    };
    let mut expected: Vec<_> = numbers
        .clone()
        .filter(|number| is_valid(*number))
        .map(|number| (id(number), STAMP + number, format!("race{}", number % 7)))
        .collect();
    expected.sort();
    let events = records(log, "coordinates", 2).await;
    let mut found: Vec<_> = events
        .iter()
        .map(|event| {
            assert_eq!(event.ingest_time, event.event_time);
            (event.id, event.event_time, String::from_utf8(event.key.to_vec()).unwrap())
        })
        .collect();
    found.sort();
    assert_eq!(found, expected);

    let letters = records(log, "dead-letters", 1).await.into_iter().map(DeadLetter::from_record);
    let mut found: Vec<_> = letters
        .map(|letter| {
            let source = letter.source.unwrap();
            assert_eq!((source.stream.as_str(), &letter.context), (&*plant.topic, &plant.topic));
            let number = source.offset * i64::from(PARTITIONS) + i64::from(source.partition);
            assert_eq!(letter.original, message(number));
            number
        })
        .collect();
    found.sort_unstable();
    let invalid: Vec<_> = numbers.filter(|number| !is_valid(*number)).collect();
    assert_eq!(found, invalid);
}

#[test]
fn each_record_is_taken_once_by_those_who_come_and_go_and_the_topic_stays_as_it_is() {
    let plant = Plant::new();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(plant.make_topic());
    runtime.block_on(plant.write(0..400));
    let mut read = TopicPartitionList::new();
    read.add_partition_offset(&plant.topic, 0, Offset::Offset(5)).unwrap();
    plant.other_reader().commit(&read, CommitMode::Sync).unwrap();
    let config = runtime.block_on(plant.config());

    let log = runtime.block_on(plant.connect("test"));
    runtime.block_on(make_streams(&*log));
    // Two that end in the middle of their work, then two that share the rest.
    for (round, until) in [(0, 1), (1, 300)] {
        let process = plant.process(&format!("ingest-{round}"));
        runtime.block_on(taken(&*log, until));
        process.shutdown_background();
        let begin = 400 + round * 200;
        runtime.block_on(plant.write(begin..begin + 200));
    }
    let others = [plant.process("ingest-2"), plant.process("ingest-3")];
    runtime.block_on(plant.write(800..1000));
    runtime.block_on(taken(&*log, 1000));
    for process in others {
        process.shutdown_background();
    }

    runtime.block_on(assert_once(&plant, &*log, 0..1000));
    assert_eq!(runtime.block_on(plant.config()), config);
    assert_eq!(plant.extents(), [(0, 334), (0, 333), (0, 333)]);
    assert_eq!(plant.others_offset(), Offset::Offset(5));
    let consumer: BaseConsumer = plant.client().create().unwrap();
    let topics = consumer.fetch_metadata(None, Duration::from_secs(10)).unwrap();
    let ours = topics.topics().iter().filter_map(|topic| topic.name().strip_prefix(&plant.prefix));
    assert_eq!(
        ours.collect::<BTreeSet<_>>(),
        BTreeSet::from(["coordinates", "dead-letters", "ingest.cars.changelog"])
    );
    runtime.block_on(log.close());
}

#[test]
fn a_start_at_the_end_leaves_out_what_was_there_before() {
    let plant = Plant::new();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        plant.make_topic().await;
        plant.write(0..30).await;
        let log: Arc<dyn Log> = plant.connect("ingest-0").await;
        make_streams(&*log).await;
        let cancel = CancellationToken::new();
        let plan = plant.plan(KafkaStart::Latest);
        let (_, intake) = start(&plan, &log, &cancel).await.unwrap();
        let task = TaskName { stage: "ingest.cars".to_owned(), partition: 0 };
        until(async || log.task_positions(&task).await.unwrap().len() == 3).await;
        plant.write(30..60).await;
        taken(&*log, 30).await;
        assert_once(&plant, &*log, 30..60).await;
        cancel.cancel();
        intake.closed().await;
        log.close().await;
    });
}

#[test]
fn a_topic_with_our_own_prefix_is_refused_in_words() {
    let plant = Plant::new();
    let own = Plant { topic: format!("{}other", plant.prefix), ..plant.again() };
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let log: Arc<dyn Log> = own.connect("ingest-0").await;
        let plan = own.plan(KafkaStart::Earliest);
        let started = start(&plan, &log, &CancellationToken::new()).await;
        let Err(error) = started else { panic!("it has started") };
        let expected = format!(
            "the topic `{0}other` begins with `{0}`, as this pipeline's own do: set another `prefix` in its connection file",
            plant.prefix
        );
        assert_eq!(error.source.to_string(), expected);
        log.close().await;
    });
}

#[test]
fn nobody_can_write_to_a_topic_of_others_or_make_it() {
    let plant = Plant::new();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let log: Arc<dyn Log> = plant.connect("ingest-0").await;
        let name = "ingest.cars".parse().unwrap();
        let missing = log.attach_external(&name, &plant.topic).await;
        assert!(matches!(missing, Err(AttachExternalError::NotFound { .. })), "{missing:?}");
        plant.make_topic().await;
        plant.write(0..3).await;
        until(async || log.attach_external(&name, &plant.topic).await.is_ok()).await;
        let record = records(&*log, "ingest.cars", 1).await.remove(0);
        let entry = Entry::Record(record);
        let append = millrace_log::Append { stream: name.clone(), partition: 0, entry };
        log.append(vec![append]).await.unwrap_err();
        log.remove(&[name], &[]).await.unwrap();
        assert_eq!(plant.extents(), [(0, 1), (0, 1), (0, 1)]);
        log.close().await;
    });
}
