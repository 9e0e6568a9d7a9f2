//! The compacted topics that stages keep their tasks' state in.

use std::collections::HashMap;
use std::sync::Arc;

use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_core::with_causes;
use parking_lot::Mutex;

use super::super::admin::EnsureTopicError;
use super::super::admin::TopicKind;
use super::super::cluster::Unreachable;
use super::super::names::Names;
use super::super::topics::Topics;
use crate::AppendError;
use crate::EnsureStreamsError;
use crate::StageConfig;

/// The topic of a stage's state; it has a partition for each task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changelog {
    pub(super) topic: Arc<str>,
    pub(super) partitions: Partition,
}

/// The changelogs that are known.
pub(super) struct Changelogs {
    names: Names,
    topics: Arc<Topics>,
    known: Mutex<HashMap<String, Changelog>>,
}

impl Changelogs {
    pub(super) fn new(names: Names, topics: Arc<Topics>) -> Self {
        Self { names, topics, known: Mutex::default() }
    }

    /// Makes the changelogs that are missing.
    pub(super) async fn ensure(&self, stages: &[StageConfig]) -> Result<(), EnsureStreamsError> {
        for stage in stages {
            if let Some(known) = self.get(&stage.name)
                && known.partitions == stage.partitions
            {
                continue;
            }
            let topic = self.names.changelog(&stage.name);
            self.topics
                .ensure_topic(&topic, stage.partitions, &TopicKind::Changelog)
                .await
                .map_err(|error| failed(stage, &topic, error))?;
            self.know(&stage.name, &topic, stage.partitions);
        }
        Ok(())
    }

    /// The changelog of a stage; none if it has none.
    pub(super) async fn find(&self, stage: &str) -> Result<Option<Changelog>, Unreachable> {
        if let Some(known) = self.get(stage) {
            return Ok(Some(known));
        }
        let topic = self.names.changelog(stage);
        let found = self.topics.cluster().describe_topic(&topic).await?;
        Ok(found.map(|found| self.know(stage, &topic, found.partitions)))
    }

    fn get(&self, stage: &str) -> Option<Changelog> {
        self.known.lock().get(stage).cloned()
    }

    fn know(&self, stage: &str, topic: &str, partitions: Partition) -> Changelog {
        let changelog = Changelog { topic: Arc::from(topic), partitions };
        self.known.lock().insert(stage.to_owned(), changelog.clone());
        changelog
    }

    /// Removes the changelog of a stage.
    pub(super) async fn remove(&self, stage: &str) -> Result<(), AppendError> {
        self.known.lock().remove(stage);
        self.topics.remove_topics(&[self.names.changelog(stage)]).await
    }
}

fn failed(stage: &StageConfig, topic: &str, error: EnsureTopicError) -> EnsureStreamsError {
    // Stages are named as streams are; for one that is not, the topic of all is named.
    let stream = stage.name.parse().unwrap_or_else(|_| StreamName::dead_letters());
    match error {
        EnsureTopicError::PartitionCount { existing, wanted } => {
            EnsureStreamsError::PartitionCount { stream, existing, wanted }
        }
        error => {
            let reason = format!("topic `{topic}`: {}", with_causes(&error));
            EnsureStreamsError::Create { stream, source: AppendError::Unavailable(reason) }
        }
    }
}
