//! Removes tasks: their state, their positions and their groups.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use millrace_core::Partition;
use millrace_core::with_causes;
use rdkafka::TopicPartitionList;
use rdkafka::admin::AdminClient;
use rdkafka::admin::AdminOptions;
use rdkafka::error::RDKafkaErrorCode;

use super::super::client;
use super::super::client::Connection;
use super::super::client::Role;
use super::Tasks;
use super::changelog::Changelog;
use super::request::Contents;
use super::request::Owner;
use super::request::parse_metadata;
use super::restored::Restored;
use crate::AppendError;
use crate::CommitTaskError;
use crate::TaskName;

const PATIENCE: Duration = Duration::from_secs(15);

impl Tasks {
    /// Removes tasks with their state and positions; a stage of which nothing is left goes with
    /// its changelog and its group. What is not there is passed over.
    ///
    /// # Errors
    /// When the log cannot accept now, or a group still has members.
    pub(in super::super) async fn remove(&self, tasks: &[TaskName]) -> Result<(), AppendError> {
        let mut stages: BTreeMap<&str, BTreeSet<Partition>> = BTreeMap::new();
        for task in tasks {
            self.claims.end(task, self.epochs.next());
            stages.entry(&task.stage).or_default().insert(task.partition);
        }
        if !stages.is_empty() {
            // What was begun under earlier claims ends first.
            self.barrier().await?;
        }
        for (stage, partitions) in stages {
            self.groups.settle(stage).await;
            match self.changelogs.find(stage).await? {
                Some(changelog) if is_whole(&changelog, &partitions) => {
                    self.remove_group(stage).await?;
                    self.changelogs.remove(stage).await?;
                }
                Some(changelog) => {
                    for partition in partitions {
                        self.empty(stage, &changelog, partition).await?;
                    }
                }
                None => self.remove_positions(stage, partitions).await?,
            }
        }
        Ok(())
    }

    /// Removes everything from a partition of a changelog that others of the stage stay in.
    async fn empty(
        &self,
        stage: &str,
        changelog: &Changelog,
        partition: Partition,
    ) -> Result<(), AppendError> {
        if partition >= changelog.partitions {
            return Ok(());
        }
        let topic = Arc::clone(&changelog.topic);
        let keys = self
            .wait(move |readers| {
                let mut restored = Restored::default();
                readers.read(&topic, partition, 0, |key, value| restored.apply(key, value))?;
                Ok(restored.keys())
            })
            .await
            .map_err(|error| AppendError::Unavailable(with_causes(&error)))?;
        if keys.is_empty() {
            return Ok(());
        }
        let owner = Owner::Group { stage: stage.to_owned(), partition };
        self.submit(owner, Contents::removal(changelog, keys)).await.map(drop).map_err(refused)
    }

    /// Removes positions that are kept as offsets of the group.
    async fn remove_positions(
        &self,
        stage: &str,
        partitions: BTreeSet<Partition>,
    ) -> Result<(), AppendError> {
        let mut list = TopicPartitionList::new();
        for topic in self.topics.all() {
            list.add_partition_range(&topic.name, 0, topic.partitions() - 1);
        }
        let group = self.names.group(stage);
        let kept = self
            .wait(move |readers| readers.committed(&group, list))
            .await
            .map_err(|error| AppendError::Unavailable(with_causes(&error)))?;
        let (named, others): (Vec<_>, Vec<_>) = kept
            .elements()
            .into_iter()
            .filter(|element| parse_metadata(element.metadata()).is_some())
            .map(|element| (element.topic().to_owned(), element.partition()))
            .partition(|(_, partition)| partitions.contains(partition));
        if others.is_empty() {
            return self.remove_group(stage).await;
        }
        for partition in partitions {
            let of_it = named.iter().filter(|(_, at)| *at == partition).cloned();
            let contents = Contents::removed_positions(of_it);
            let owner = Owner::Group { stage: stage.to_owned(), partition };
            self.submit(owner, contents).await.map_err(refused)?;
        }
        Ok(())
    }

    async fn remove_group(&self, stage: &str) -> Result<(), AppendError> {
        let group = self.names.group(stage);
        let unavailable = |reason: String| {
            AppendError::Unavailable(format!("cannot remove group `{group}`: {reason}"))
        };
        let client: AdminClient<Connection> = client::config(&self.settings, Role::Admin)
            .map_err(|error| unavailable(with_causes(&error)))?
            .create_with_context(Connection::new(&self.settings))
            .map_err(|error| unavailable(with_causes(&error)))?;
        let options =
            AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
        let results = client.delete_groups(&[&group], &options).await;
        // It waits for its thread.
        tokio::task::spawn_blocking(move || drop(client));
        for result in results.map_err(|error| unavailable(with_causes(&error)))? {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => {}
                Err((_, RDKafkaErrorCode::NonEmptyGroup)) => {
                    return Err(unavailable("it has members still".to_owned()));
                }
                Err((_, code)) => return Err(unavailable(code.to_string())),
            }
        }
        Ok(())
    }
}

fn is_whole(changelog: &Changelog, partitions: &BTreeSet<Partition>) -> bool {
    (0..changelog.partitions).all(|partition| partitions.contains(&partition))
}

fn refused(error: CommitTaskError) -> AppendError {
    match error {
        CommitTaskError::Append(error) => error,
        error @ CommitTaskError::Fenced { .. } => AppendError::Unavailable(error.to_string()),
    }
}
