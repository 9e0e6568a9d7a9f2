//! The rules of the log, held against a real Kafka that all tests share: each has a prefix of its
//! own.

use std::sync::Arc;

use async_trait::async_trait;

use super::KafkaLog;
use super::KafkaSettings;
use super::ReadAhead;
use crate::Log;
use crate::conformance::LogFactory;

/// Logs over the names of one prefix.
struct Prefix(KafkaSettings);

impl Prefix {
    fn new() -> Self {
        let servers = millrace_services::kafka().unwrap();
        let prefix = format!("log-{:016x}.", rand::random::<u64>());
        Self(KafkaSettings {
            bootstrap_servers: servers.split(',').map(str::to_owned).collect(),
            prefix: Some(prefix),
            replication_factor: 1,
            tls: None,
            sasl: None,
            read_ahead: ReadAhead::default(),
        })
    }
}

#[async_trait]
impl LogFactory for Prefix {
    async fn open(&self) -> Arc<dyn Log> {
        KafkaLog::connect(self.0.clone(), "test", "test-0").await.unwrap()
    }
}

crate::conformance_tests!(Prefix::new());
