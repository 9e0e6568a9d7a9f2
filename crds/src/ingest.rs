//! `ingest`: where events enter.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::broker::Broker;
use crate::broker::Qos;
use crate::broker::default_qos;
use crate::http::HttpIngestSpec;
use crate::http::WebSocketIngestSpec;
use crate::text::KafkaTopic;
use crate::text::Name;
use crate::text::TopicFilter;
use crate::text::Vrl;

/// One way in: exactly one of `http`, `websocket`, `mqtt` and `kafka`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.http), has(self.websocket), has(self.mqtt), has(self.kafka)].filter(x, x).size() == 1",
    "write exactly one of http, websocket, mqtt and kafka"
))]
pub struct IngestSpec {
    /// Name of this way in, unique among them. 1 to 63 letters, digits and `-`.
    pub name: Name,
    /// Requests over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpIngestSpec>,
    /// Messages over WebSocket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websocket: Option<WebSocketIngestSpec>,
    /// Messages over MQTT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<IngestMqtt>,
    /// Records of a topic that others write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaIngestSpec>,
    /// Program that makes the event from what came in: `.` is the body. Beside it are known
    /// `%user` and `%ingestTime`; over MQTT `%topic` and `%clientId`; over HTTP and WebSocket
    /// `%method`, `%path`, `%query` and `%headers` (objects of texts, header names in lower case)
    /// and `%id` (the id that the event will have); from Kafka, without `%user`, `%topic`, `%key`
    /// (a text, or null where there is none or it is no UTF-8) and `%headers` (an object of those
    /// that are texts). Default: the body is the event. `abort` drops it, counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<Vrl>,
    /// The stream that takes the events.
    pub to: Name,
    /// Largest body in bytes, 1 to 16777216. Default 1048576. A larger one is refused (HTTP:
    /// 413), and over MQTT and from Kafka becomes a dead letter. It counts after decompression.
    #[serde(default = "default_max_body_bytes")]
    #[schemars(range(min = 1, max = 16_777_216))]
    pub max_body_bytes: i32,
}

/// Messages over MQTT: exactly one of `listen` and `connect`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.listen), has(self.connect)].filter(x, x).size() == 1",
    "write exactly one of listen (clients connect to us) and connect (we connect to a broker)"
))]
pub struct IngestMqtt {
    /// Clients connect to our own endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<ListenSpec>,
    /// We connect to an external broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<ConnectSpec>,
}

/// Topics of our own endpoint. A publisher's message is confirmed when it is stored durably.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenSpec {
    /// Topic filters, 1 to 32. A message goes to the first way in with a filter that matches.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub topics: Vec<TopicFilter>,
}

/// A subscription at an external broker. A message is confirmed when it is stored durably.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectSpec {
    /// The broker.
    pub broker: Broker,
    /// Topic filters, 1 to 32.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub topics: Vec<TopicFilter>,
    /// Name of a shared subscription: the broker splits the messages among all who use it.
    /// Default: none, every subscriber gets every message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_group: Option<Name>,
    /// Quality of service of the subscription, 0 to 2. Default 1. With 0 the broker may lose
    /// messages before they reach us.
    #[serde(default = "default_qos")]
    #[schemars(range(min = 0, max = 2))]
    pub qos: Qos,
}

/// Records of a topic in the pipeline's Kafka that others write. It is read and never altered:
/// neither made nor configured nor written. Each record becomes an event or a dead letter exactly
/// once; one without a value is dropped, counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaIngestSpec {
    /// The topic's whole name: the pipeline's prefix is not put in front.
    pub topic: KafkaTopic,
    /// Where to begin if the topic was never read: `earliest` (default; the oldest record that is
    /// kept) or `latest` (what is written from then on). Partitions that it gets later are read
    /// from their start.
    #[serde(default)]
    pub from: KafkaStartSpec,
}

/// Where to begin in a topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum KafkaStartSpec {
    /// At the oldest record that is kept.
    #[default]
    Earliest,
    /// Behind the newest record.
    Latest,
}

const fn default_max_body_bytes() -> i32 {
    1_048_576
}
