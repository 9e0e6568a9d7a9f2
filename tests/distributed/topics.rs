//! What is in Kafka's topics, as Kafka's own tool reads it.

use crate::fleet::Fleet;
use crate::fleet::PREFIX;

/// A record of a topic.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// All headers in one text.
    pub(crate) headers: String,
    pub(crate) value: serde_json::Value,
}

/// All committed records of a stream's topic, those of a partition in their order. Marks are left out.
pub(crate) fn read(fleet: &Fleet, stream: &str) -> Vec<Found> {
    let topic = format!("{PREFIX}{stream}");
    let servers = fleet.kafka.bootstrap_servers();
    let output = fleet
        .kafka
        .tool(
            "org.apache.kafka.tools.consumer.ConsoleConsumer",
            &[
                "--bootstrap-server",
                &servers,
                "--topic",
                &topic,
                "--from-beginning",
                "--isolation-level",
                "read_committed",
                "--timeout-ms",
                "10000",
                "--property",
                "print.headers=true",
                // What is not text is printed so that lines stay lines.
                "--property",
                "headers.deserializer=org.apache.kafka.common.serialization.BytesDeserializer",
            ],
        )
        .unwrap();
    let records = output.lines().filter_map(|line| line.split_once('\t'));
    records
        // Version 1, kind 3: a mark.
        .filter(|(headers, _)| !headers.contains(r"millrace:\x01\x03"))
        .map(|(headers, value)| Found {
            headers: headers.to_owned(),
            value: serde_json::from_str(value).unwrap_or_else(|error| panic!("{error}: {value}")),
        })
        .collect()
}
