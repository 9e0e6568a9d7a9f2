//! The offsets that groups have committed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use millrace_core::Offset;
use millrace_core::Partition;
use parking_lot::Mutex;
use rdkafka::Offset as KafkaOffset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::BaseConsumer;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;

use super::client;
use super::client::Connection;
use super::client::Role;
use super::extent::Topic;
use super::names::Names;
use super::settings::KafkaSettings;
use crate::ReadError;

const PATIENCE: Duration = Duration::from_secs(10);

/// A client that is not used for so long is given up.
const UNUSED: Duration = Duration::from_secs(30);

/// Reads offsets of groups; librdkafka wants a client for each.
pub(super) struct Offsets {
    settings: KafkaSettings,
    names: Names,
    clients: Mutex<HashMap<String, Client>>,
}

struct Client {
    consumer: Arc<BaseConsumer<Connection>>,
    used: Instant,
}

impl Offsets {
    pub(super) fn new(settings: &KafkaSettings, names: &Names) -> Self {
        let (settings, names) = (settings.clone(), names.clone());
        Self { settings, names, clients: Mutex::default() }
    }

    /// The next offset that a group will read; none if it never committed.
    pub(super) async fn committed(
        self: &Arc<Self>,
        group: &str,
        topic: &Arc<Topic>,
        partition: Partition,
    ) -> Result<Option<Offset>, ReadError> {
        let (offsets, topic) = (Arc::clone(self), Arc::clone(topic));
        let group = self.names.group(group);
        let asked =
            tokio::task::spawn_blocking(move || offsets.ask(group, &topic.name, partition)).await;
        let committed = asked.map_err(|error| ReadError::Storage(Box::new(error)))?;
        committed.map_err(|error| ReadError::Storage(Box::new(error)))
    }

    fn ask(
        &self,
        group: String,
        topic: &str,
        partition: Partition,
    ) -> Result<Option<Offset>, KafkaError> {
        let consumer = self.client(group)?;
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let found = consumer.committed_offsets(list, PATIENCE)?;
        let Some(element) = found.find_partition(topic, partition) else { return Ok(None) };
        element.error()?;
        match element.offset() {
            KafkaOffset::Offset(offset) => Ok(Some(offset)),
            _ => Ok(None),
        }
    }

    fn client(&self, group: String) -> Result<Arc<BaseConsumer<Connection>>, KafkaError> {
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get_mut(&group) {
            client.used = Instant::now();
            return Ok(Arc::clone(&client.consumer));
        }
        let config = client::config(&self.settings, Role::Reader { group: &group })
            .map_err(|error| KafkaError::ClientCreation(millrace_core::with_causes(&error)))?;
        let consumer = config.create_with_context(Connection::new(&self.settings))?;
        let client = Client { consumer: Arc::new(consumer), used: Instant::now() };
        Ok(Arc::clone(&clients.entry(group).or_insert(client).consumer))
    }

    /// Lets librdkafka do what it does by its user's thread: log lines and tokens.
    pub(super) fn serve(&self) {
        for client in self.clients.lock().values() {
            // They read no partition, so that nothing can come but errors, and those are logged.
            drop(client.consumer.poll(Duration::ZERO));
        }
    }

    /// Gives up what is not used. Clients say goodbye to their brokers, so it may take a moment.
    pub(super) fn tidy(&self) {
        self.drop_if(|client| client.used.elapsed() >= UNUSED);
    }

    /// Gives all up.
    pub(super) fn close(&self) {
        self.drop_if(|_| true);
    }

    fn drop_if(&self, condition: impl Fn(&Client) -> bool) {
        let gone: Vec<_> = self.clients.lock().extract_if(|_, client| condition(client)).collect();
        drop(gone);
    }
}
