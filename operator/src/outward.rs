//! What the processes of a pipeline connect to beside its Kafka and Postgres, as far as a network
//! policy can say it: by port.

use std::collections::BTreeSet;

use axum::http::Uri;
use millrace_plan::Plan;
use millrace_plan::model::Access;
use millrace_plan::model::IngestSource;
use millrace_plan::model::KeySource;
use millrace_plan::model::SinkTarget;

/// Port of object stores, where no address is given.
const STORE: u16 = 443;

/// Ports of other systems, by the part that connects to them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outward {
    /// Of MQTT brokers whose messages come in, and of who publishes keys that sign tokens.
    pub ingest: BTreeSet<u16>,
    /// Of webhooks, MQTT brokers and object stores.
    pub workers: BTreeSet<u16>,
    /// Of who publishes keys that sign tokens.
    pub query: BTreeSet<u16>,
    /// Whether ingest subscribes at other MQTT brokers: then each of its pods has a session there,
    /// under a name that it keeps.
    pub subscribes: bool,
}

impl Outward {
    /// What the parts of a pipeline connect to.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let mut outward = Self::default();
        for rule in &plan.exposure.auth {
            if let Access::Bearer(bearer) = &rule.access
                && let KeySource::Url(url) = &bearer.keys
            {
                let port = port(url);
                outward.ingest.extend(port);
                outward.query.extend(port);
            }
        }
        for ingest in &plan.ingest {
            if let IngestSource::MqttConnect(connect) = &ingest.source {
                outward.subscribes = true;
                outward.ingest.extend(port(&connect.broker.url));
            }
        }
        for sink in &plan.sinks {
            outward.workers.extend(match &sink.target {
                SinkTarget::Webhook(webhook) => port(&webhook.url),
                SinkTarget::Mqtt(mqtt) => mqtt.broker.as_ref().and_then(|broker| port(&broker.url)),
                SinkTarget::Archive(archive) => {
                    store_port(&archive.store.url, archive.store.endpoint.as_deref())
                }
                SinkTarget::Table(_) => None,
            });
        }
        outward
    }
}

/// The port of an object store; none where the address is the path of a folder.
pub(crate) fn store_port(url: &str, endpoint: Option<&str>) -> Option<u16> {
    match endpoint {
        Some(endpoint) => port(endpoint),
        None => url.contains("://").then_some(STORE),
    }
}

/// The port of an address.
fn port(url: &str) -> Option<u16> {
    let uri: Uri = url.parse().ok()?;
    uri.port_u16().or_else(|| match uri.scheme_str()? {
        "http" => Some(80),
        "https" => Some(443),
        "mqtt" => Some(1883),
        "mqtts" => Some(8883),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_reached_by_its_endpoint_or_over_https() {
        assert_eq!(store_port("s3://b", None), Some(443));
        assert_eq!(store_port("s3://b", Some("http://minio:9000")), Some(9000));
        assert_eq!(store_port("/archive", None), None);
    }

    #[test]
    fn an_address_without_a_port_has_that_of_its_scheme() {
        assert_eq!(port("https://example.com/hook?a=b"), Some(443));
        assert_eq!(port("http://example.com"), Some(80));
        assert_eq!(port("http://example.com:9000/x"), Some(9000));
        assert_eq!(port("mqtt://broker"), Some(1883));
        assert_eq!(port("mqtts://[fd00::1]"), Some(8883));
        assert_eq!(port("mqtts://broker:8884"), Some(8884));
        assert_eq!(port("s3://bucket/prefix"), None);
    }
}
