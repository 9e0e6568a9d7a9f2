//! Makes, adapts and removes topics.

use std::time::Duration;

use millrace_core::Partition;
use millrace_plan::model::Retention;
use rdkafka::admin::AdminClient;
use rdkafka::admin::AdminOptions;
use rdkafka::admin::AlterConfig;
use rdkafka::admin::ConfigResource;
use rdkafka::admin::ConfigSource;
use rdkafka::admin::NewTopic;
use rdkafka::admin::ResourceSpecifier;
use rdkafka::admin::TopicReplication;
use rdkafka::error::KafkaError;
use rdkafka::error::RDKafkaErrorCode;

use super::client;
use super::client::ConfigureKafkaError;
use super::client::Connection;
use super::client::MAX_MESSAGE_BYTES;
use super::client::Role;
use super::cluster::Unreachable;
use super::settings::KafkaSasl;
use super::settings::KafkaSettings;
use crate::AppendError;

const PATIENCE: Duration = Duration::from_secs(15);

/// What brokers add to a message in its batch, generously.
const BATCH_OVERHEAD: usize = 64 << 10;

/// A topic that could not be made as it is wanted.
#[derive(Debug, thiserror::Error)]
pub(super) enum EnsureTopicError {
    /// It exists with another number of partitions.
    #[error("the topic has {existing} partitions and cannot get {wanted}")]
    PartitionCount {
        /// What it has.
        existing: Partition,
        /// What was asked for.
        wanted: Partition,
    },
    /// The cluster did not answer.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The cluster refuses.
    #[error("cannot {action} topic `{topic}`: {}", advice(*code))]
    Refused {
        /// What was attempted.
        action: &'static str,
        /// The topic.
        topic: String,
        /// Why not.
        code: RDKafkaErrorCode,
    },
    /// The request did not come through.
    #[error("cannot {action} topic `{topic}`")]
    Request {
        /// What was attempted.
        action: &'static str,
        /// The topic.
        topic: String,
        /// Why not.
        #[source]
        source: KafkaError,
    },
    /// librdkafka's binding does not bring tokens to the client that makes topics.
    #[error("cannot {action} topic `{topic}` with OAUTHBEARER: {NO_TOKENS}")]
    NoTokens {
        /// What was attempted.
        action: &'static str,
        /// The topic.
        topic: String,
    },
    /// It was made, but cannot be used yet.
    #[error("topic `{0}` has partitions without a leader: are all brokers up?")]
    NoLeaders(String),
}

/// What to do where topics cannot be changed.
const NO_TOKENS: &str =
    "topics are made with mutual TLS or SCRAM: let `millrace provision` run with such a connection";

/// The broker's reason, and what to do where that is known.
fn advice(code: RDKafkaErrorCode) -> String {
    match code {
        RDKafkaErrorCode::InvalidReplicationFactor => {
            format!("{code}: lower `replicationFactor` to the number of brokers")
        }
        RDKafkaErrorCode::TopicAuthorizationFailed
        | RDKafkaErrorCode::ClusterAuthorizationFailed => {
            format!("{code}: this user needs the right to create and alter topics with the prefix")
        }
        code => code.to_string(),
    }
}

/// What a topic is for; it decides how the topic is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TopicKind {
    /// A stream, with what its partitions keep.
    Stream(Retention),
    /// The state of tasks: of each key the last value is kept.
    Changelog,
}

impl TopicKind {
    fn properties(self, replication_factor: i32) -> Vec<(&'static str, String)> {
        let in_sync = if replication_factor >= 3 { 2 } else { 1 };
        let mut properties = vec![
            ("min.insync.replicas", in_sync.to_string()),
            ("max.message.bytes", (MAX_MESSAGE_BYTES + BATCH_OVERHEAD).to_string()),
            ("message.timestamp.type", "CreateTime".to_owned()),
            // Arrival times are ours; an upstream clock that runs ahead is judged at ingest.
            ("message.timestamp.after.max.ms", i64::MAX.to_string()),
        ];
        match self {
            Self::Stream(retention) => {
                properties.push(("cleanup.policy", "delete".to_owned()));
                properties.extend(limits(retention));
            }
            Self::Changelog => properties.extend([
                ("cleanup.policy", "compact".to_owned()),
                // The last segment is never compacted: small ones keep restoring short.
                ("segment.bytes", (64 << 20).to_string()),
                ("segment.ms", (3600 * 1000).to_string()),
                ("min.cleanable.dirty.ratio", "0.3".to_owned()),
                // Whoever has read a key must still come to its removal: that takes as long as a
                // restore does, and a standby is not used that has not come to the end for an hour.
                ("delete.retention.ms", (24 * 3600 * 1000).to_string()),
            ]),
        }
        properties
    }
}

/// The retention as properties of a topic.
fn limits(retention: Retention) -> [(&'static str, String); 2] {
    let time = retention.time.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    let bytes = retention.bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    [
        ("retention.ms", time.unwrap_or(-1).to_string()),
        ("retention.bytes", bytes.unwrap_or(-1).to_string()),
    ]
}

/// Makes, adapts and removes topics.
pub(super) struct Admin {
    /// None with OAUTHBEARER: the binding's client for this never asks for a token, see
    /// <https://github.com/fede1024/rust-rdkafka/issues/757>.
    client: Option<AdminClient<Connection>>,
    replication_factor: i32,
}

impl Admin {
    /// A client for this; it connects by itself.
    pub(super) fn new(settings: &KafkaSettings) -> Result<Self, ConfigureKafkaError> {
        let client = match settings.sasl {
            Some(KafkaSasl::OAuthBearer { .. }) => None,
            _ => Some(
                client::config(settings, Role::Admin)?
                    .create_with_context(Connection::new(settings))
                    .map_err(ConfigureKafkaError::Create)?,
            ),
        };
        Ok(Self { client, replication_factor: settings.replication_factor })
    }

    fn client(
        &self,
        action: &'static str,
        topic: &str,
    ) -> Result<&AdminClient<Connection>, EnsureTopicError> {
        let none = || EnsureTopicError::NoTokens { action, topic: topic.to_owned() };
        self.client.as_ref().ok_or_else(none)
    }

    /// Makes a topic; it is fine if someone else has made it meanwhile.
    pub(super) async fn create(
        &self,
        name: &str,
        partitions: Partition,
        kind: &TopicKind,
    ) -> Result<(), EnsureTopicError> {
        let client = self.client("create", name)?;
        let properties = kind.properties(self.replication_factor);
        let replication = TopicReplication::Fixed(self.replication_factor);
        let mut topic = NewTopic::new(name, partitions, replication);
        for (property, value) in &properties {
            topic = topic.set(property, value);
        }
        let results = client.create_topics([&topic], &options()).await;
        match first(results, "create", name)? {
            Ok(_) => {
                tracing::info!(message = "Created a topic.", topic = name, partitions);
                Ok(())
            }
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
            Err((_, code)) => Err(refused("create", name, code)),
        }
    }

    /// Takes over a changed retention of a stream's topic. What else differs is left as it is,
    /// since somebody may have wanted it so, and logged.
    pub(super) async fn adapt(&self, name: &str, kind: &TopicKind) -> Result<(), EnsureTopicError> {
        let Ok(client) = self.client("describe", name) else {
            tracing::info!(message = "Cannot see how a topic is configured.", topic = name);
            return Ok(());
        };
        let resource = ResourceSpecifier::Topic(name);
        let results = client.describe_configs([&resource], &options()).await;
        let found = match first(results, "describe", name)? {
            Ok(found) => found,
            Err(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                tracing::info!(message = "May not see how a topic is configured.", topic = name);
                return Ok(());
            }
            Err(code) => return Err(refused("describe", name, code)),
        };
        let differing: Vec<_> = kind
            .properties(self.replication_factor)
            .into_iter()
            .filter(|(property, value)| current(&found, property) != Some(value.as_str()))
            .collect();
        let (limits, others): (Vec<_>, Vec<_>) =
            differing.into_iter().partition(|(property, _)| property.starts_with("retention."));
        for (property, wanted) in others {
            let found = current(&found, property);
            tracing::warn!(
                message = "A topic is configured otherwise than by us; it is left so.",
                topic = name,
                property,
                found,
                wanted,
            );
        }
        if limits.is_empty() { Ok(()) } else { self.alter(name, &found, &limits).await }
    }

    /// Sets properties of a topic. The request replaces all that were set, so they are repeated.
    async fn alter(
        &self,
        name: &str,
        found: &ConfigResource,
        changed: &[(&'static str, String)],
    ) -> Result<(), EnsureTopicError> {
        let mut config = AlterConfig::new(ResourceSpecifier::Topic(name));
        for entry in &found.entries {
            let is_changed = changed.iter().any(|(property, _)| *property == entry.name);
            if let (ConfigSource::DynamicTopic, false, Some(value)) =
                (&entry.source, is_changed, &entry.value)
            {
                config = config.set(&entry.name, value);
            }
        }
        for (property, value) in changed {
            config = config.set(property, value);
        }
        let results = self.client("alter", name)?.alter_configs([&config], &options()).await;
        match first(results, "alter", name)? {
            Ok(_) => {
                tracing::info!(message = "Changed a topic.", topic = name, ?changed);
                Ok(())
            }
            Err((_, code)) => Err(refused("alter", name, code)),
        }
    }

    /// Removes topics; those that are not there are passed over.
    pub(super) async fn delete(&self, names: &[String]) -> Result<(), AppendError> {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let client = self
            .client("remove", &names.join(", "))
            .map_err(|error| AppendError::Unavailable(error.to_string()))?;
        let results = client.delete_topics(&names, &options()).await;
        let results = results.map_err(|error| {
            AppendError::Unavailable(format!("cannot remove {}: {error}", names.join(", ")))
        })?;
        for result in results {
            match result {
                Ok(topic) => tracing::info!(message = "Removed a topic.", topic),
                Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
                Err((topic, code)) => {
                    let error = refused("remove", &topic, code);
                    return Err(AppendError::Unavailable(error.to_string()));
                }
            }
        }
        Ok(())
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

fn first<T>(
    results: Result<Vec<T>, KafkaError>,
    action: &'static str,
    topic: &str,
) -> Result<T, EnsureTopicError> {
    let failed = |source| EnsureTopicError::Request { action, topic: topic.to_owned(), source };
    results.map_err(failed)?.into_iter().next().ok_or_else(|| failed(KafkaError::Canceled))
}

fn refused(action: &'static str, topic: &str, code: RDKafkaErrorCode) -> EnsureTopicError {
    EnsureTopicError::Refused { action, topic: topic.to_owned(), code }
}

fn current<'a>(found: &'a ConfigResource, property: &str) -> Option<&'a str> {
    found.get(property).and_then(|entry| entry.value.as_deref())
}
