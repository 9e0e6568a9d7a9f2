//! Where events enter, as planned.

use millrace_core::StreamName;

use crate::model::CredentialsSource;
use crate::model::HttpIngest;
use crate::model::SecretSource;
use crate::model::WebSocketIngest;
use crate::program::Program;

/// One way in.
#[derive(Debug, Clone)]
pub struct IngestPlan {
    /// Its name in the resource.
    pub name: String,
    /// The stream it writes.
    pub to: StreamName,
    /// Turns what came in into an event; none: the body is the event.
    pub map: Option<Program>,
    /// Largest body, in bytes after decompression; a larger one is refused, and over MQTT and from
    /// Kafka becomes a dead letter.
    pub max_body_bytes: usize,
    /// The protocol.
    pub source: IngestSource,
}

/// The protocol of a way in.
#[derive(Debug, Clone)]
pub enum IngestSource {
    /// Clients send requests to our own HTTP port.
    Http(HttpIngest),
    /// Clients connect to our own HTTP port by WebSocket.
    WebSocket(WebSocketIngest),
    /// Clients publish to our own MQTT endpoint.
    MqttListen(MqttListen),
    /// We subscribe at an external MQTT broker.
    MqttConnect(MqttConnect),
    /// We read a topic of the pipeline's Kafka that others write.
    Kafka(KafkaIngest),
}

/// Topics of our own MQTT endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttListen {
    /// Topic filters; a message goes to the first way in that one matches.
    pub topics: Vec<String>,
}

/// A subscription at an external MQTT broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttConnect {
    /// The broker.
    pub broker: MqttBroker,
    /// Topic filters.
    pub topics: Vec<String>,
    /// Name of the shared subscription that replicas split, if any.
    pub shared_group: Option<String>,
    /// Quality of service of the subscription: 0, 1 or 2.
    pub qos: u8,
}

/// A topic of the pipeline's Kafka that others write. It is never altered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaIngest {
    /// The topic's whole name.
    pub topic: String,
    /// What the log calls it: `ingest.<name>`, which no declared stream is called.
    pub source: StreamName,
    /// Where to begin if it was never read.
    pub from: KafkaStart,
}

/// Where to begin in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaStart {
    /// At the oldest record that is kept.
    Earliest,
    /// Behind the newest record.
    Latest,
}

/// An external MQTT broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttBroker {
    /// `mqtt://host:1883` or `mqtts://host:8883`.
    pub url: String,
    /// Client id; made from the pipeline's and the part's names where the resource names none.
    pub client_id: String,
    /// User name and password, if the broker wants them.
    pub credentials: Option<CredentialsSource>,
    /// Certificates to trust instead of the system's.
    pub certificate_authority: Option<SecretSource>,
}
