//! Which streams there are in the cluster, and their topics.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use millrace_core::Partition;
use millrace_core::StreamName;
use parking_lot::RwLock;
use tokio::time::Instant;
use tokio::time::sleep;

use super::admin::Admin;
use super::admin::EnsureTopicError;
use super::admin::TopicKind;
use super::cluster::Cluster;
use super::cluster::Unreachable;
use super::extent::Topic;
use super::names::Names;
use crate::AppendError;
use crate::EnsureStreamsError;
use crate::StreamConfig;

/// How long a change of topics may take until every partition has a leader.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// How often in a row a topic must be missing until it counts as removed: a broker that starts
/// may not know all of them yet.
const TIMES_MISSING: u32 = 3;

/// The streams of a pipeline, as the cluster has them.
pub(super) struct Topics {
    names: Names,
    cluster: Arc<Cluster>,
    admin: Admin,
    known: RwLock<HashMap<StreamName, Known>>,
}

struct Known {
    topic: Arc<Topic>,
    times_missing: u32,
}

impl Topics {
    /// No streams are known until [`Topics::refresh`].
    pub(super) fn new(names: Names, cluster: Arc<Cluster>, admin: Admin) -> Self {
        Self { names, cluster, admin, known: RwLock::default() }
    }

    /// Whom to ask about topics that are no streams.
    pub(super) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// A stream's topic, if it is known.
    pub(super) fn get(&self, stream: &StreamName) -> Option<Arc<Topic>> {
        self.known.read().get(stream).map(|known| Arc::clone(&known.topic))
    }

    /// All topics that are known.
    pub(super) fn all(&self) -> Vec<Arc<Topic>> {
        self.known.read().values().map(|known| Arc::clone(&known.topic)).collect()
    }

    /// A stream's topic; the cluster is asked for one that is not known.
    pub(super) async fn find(
        &self,
        stream: &StreamName,
    ) -> Result<Option<Arc<Topic>>, Unreachable> {
        if let Some(topic) = self.get(stream) {
            return Ok(Some(topic));
        }
        let name = self.names.topic(stream);
        let Some(described) = self.cluster.describe_topic(&name).await? else { return Ok(None) };
        let topic = self.know(stream, described.partitions);
        self.cluster.measure(std::slice::from_ref(&topic)).await?;
        Ok(Some(topic))
    }

    /// Takes over which topics there are; returns those that were not known. Streams that are
    /// gone are forgotten, and their followers told.
    pub(super) async fn refresh(&self) -> Result<Vec<Arc<Topic>>, Unreachable> {
        let described = self.cluster.describe_topics().await?;
        let mut new = Vec::new();
        for topic in self.all().into_iter().filter(|topic| topic.is_external) {
            if described.get(&topic.name).is_some_and(|there| topic.grow(there.partitions)) {
                new.push(topic);
            }
        }
        let mut there = HashMap::new();
        for (name, described) in described {
            if let Some(stream) = self.names.stream(&name) {
                there.insert(stream, described.partitions);
            }
        }
        self.known.write().retain(|stream, known| {
            known.times_missing =
                if there.contains_key(stream) { 0 } else { known.times_missing + 1 };
            known.topic.is_external || known.times_missing < TIMES_MISSING
        });
        for (stream, partitions) in there {
            if self.get(&stream).is_none() {
                new.push(self.know(&stream, partitions));
            }
        }
        Ok(new)
    }

    /// A topic that others write, known as a stream of this name from now on.
    pub(super) fn know_external(
        &self,
        stream: &StreamName,
        name: &str,
        partitions: Partition,
    ) -> Arc<Topic> {
        let mut known = self.known.write();
        if let Some(known) = known.get(stream).filter(|known| known.topic.name == name) {
            known.topic.grow(partitions);
            return Arc::clone(&known.topic);
        }
        let topic = Arc::new(Topic::external(stream.clone(), name.to_owned(), partitions));
        known.insert(stream.clone(), Known { topic: Arc::clone(&topic), times_missing: 0 });
        topic
    }

    /// Forgets a stream, and has its followers told.
    pub(super) fn forget(&self, stream: &StreamName) {
        self.known.write().remove(stream);
    }

    /// What names of this pipeline's topics begin with.
    pub(super) fn prefix(&self) -> &str {
        self.names.prefix()
    }

    fn know(&self, stream: &StreamName, partitions: Partition) -> Arc<Topic> {
        let mut known = self.known.write();
        let known = known.entry(stream.clone()).or_insert_with(|| {
            let topic = Topic::new(stream.clone(), self.names.topic(stream), partitions);
            Known { topic: Arc::new(topic), times_missing: 0 }
        });
        Arc::clone(&known.topic)
    }

    /// Makes the streams that are missing and takes over changed retentions. Returns those that
    /// were not known before.
    pub(super) async fn ensure_streams(
        &self,
        streams: &[StreamConfig],
    ) -> Result<Vec<Arc<Topic>>, EnsureStreamsError> {
        let wanted: BTreeMap<_, _> = streams.iter().map(|config| (&config.name, config)).collect();
        let Some(first) = streams.first() else { return Ok(Vec::new()) };
        let there = self.cluster.describe_topics().await.map_err(|error| {
            EnsureStreamsError::Create { stream: first.name.clone(), source: error.into() }
        })?;
        // Nothing is made if anything cannot be.
        for config in streams {
            if let Some(there) = there.get(&self.names.topic(&config.name)) {
                check_count(&config.name, there.partitions, config.partitions)?;
            }
        }
        let mut new = Vec::new();
        for config in wanted.into_values() {
            let kind = TopicKind::Stream(config.retention);
            self.ensure_topic(&self.names.topic(&config.name), config.partitions, &kind)
                .await
                .map_err(|error| failed(&config.name, error))?;
            if self.get(&config.name).is_none() {
                new.push(self.know(&config.name, config.partitions));
            }
        }
        Ok(new)
    }

    /// Makes a topic if it is missing, and otherwise takes over a changed retention.
    pub(super) async fn ensure_topic(
        &self,
        name: &str,
        partitions: Partition,
        kind: &TopicKind,
    ) -> Result<(), EnsureTopicError> {
        let deadline = Instant::now() + PATIENCE;
        if let Some(there) = self.cluster.describe_topic(name).await? {
            if there.partitions != partitions {
                return Err(EnsureTopicError::PartitionCount {
                    existing: there.partitions,
                    wanted: partitions,
                });
            }
            self.admin.adapt(name, kind).await?;
        } else {
            self.admin.create(name, partitions, kind).await?;
        }
        // Others may have made it at the same time, in their way.
        loop {
            match self.cluster.describe_topic(name).await? {
                Some(there) if there.partitions != partitions => {
                    return Err(EnsureTopicError::PartitionCount {
                        existing: there.partitions,
                        wanted: partitions,
                    });
                }
                Some(there) if there.has_leaders => return Ok(()),
                _ if Instant::now() > deadline => {
                    return Err(EnsureTopicError::NoLeaders(name.to_owned()));
                }
                _ => sleep(PAUSE).await,
            }
        }
    }

    /// Removes streams; those that are not there are passed over.
    pub(super) async fn remove_streams(&self, streams: &[StreamName]) -> Result<(), AppendError> {
        let names: Vec<_> = streams.iter().map(|stream| self.names.topic(stream)).collect();
        {
            let mut known = self.known.write();
            for stream in streams {
                known.remove(stream);
            }
        }
        self.remove_topics(&names).await
    }

    /// Removes topics and waits until they are gone; those that are not there are passed over.
    pub(super) async fn remove_topics(&self, names: &[String]) -> Result<(), AppendError> {
        if names.is_empty() {
            return Ok(());
        }
        self.admin.delete(names).await?;
        let deadline = Instant::now() + PATIENCE;
        for name in names {
            while self.cluster.describe_topic(name).await?.is_some() {
                if Instant::now() > deadline {
                    let text = format!("topic `{name}` is still there after its removal");
                    return Err(AppendError::Unavailable(text));
                }
                sleep(PAUSE).await;
            }
        }
        Ok(())
    }
}

fn check_count(
    stream: &StreamName,
    existing: Partition,
    wanted: Partition,
) -> Result<(), EnsureStreamsError> {
    if existing == wanted {
        return Ok(());
    }
    Err(EnsureStreamsError::PartitionCount { stream: stream.clone(), existing, wanted })
}

fn failed(stream: &StreamName, error: EnsureTopicError) -> EnsureStreamsError {
    let stream = stream.clone();
    match error {
        EnsureTopicError::PartitionCount { existing, wanted } => {
            EnsureStreamsError::PartitionCount { stream, existing, wanted }
        }
        error => EnsureStreamsError::Create {
            stream,
            source: AppendError::Unavailable(millrace_core::with_causes(&error)),
        },
    }
}
