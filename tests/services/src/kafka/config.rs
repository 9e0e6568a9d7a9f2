//! The configuration of a node.

use std::fs;
use std::path::Path;

use super::KafkaOptions;
use super::Ports;
use super::certificates::Security;
use crate::RunServiceError;
use crate::error::file;

/// The file of a node's properties, in its folder.
pub(super) const FILE: &str = "server.properties";
/// The file that says what nodes print, in the cluster's folder.
pub(super) const LOGGING: &str = "log4j2.xml";
/// The same for tools.
pub(super) const TOOL_LOGGING: &str = "tools.log4j2.xml";

/// What every node has. Waits that are seconds in production are short, so that tests are; small
/// internal topics start faster.
const COMMON: &str = "\
process.roles=broker,controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.num.partitions=1
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=5000
log.cleaner.dedupe.buffer.size=16777216
log.initial.task.delay.ms=1000
num.network.threads=2
num.io.threads=4
background.threads=2
";

const LOGGING_TEXT: &str = r#"<Configuration status="WARN">
  <Appenders>
    <Console name="out" target="SYSTEM_ERR"><PatternLayout pattern="%d{ISO8601} %p %m (%c{1})%n"/></Console>
  </Appenders>
  <Loggers><Root level="INFO"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"#;

/// Writes the files that say what is printed.
pub(super) fn write_logging(folder: &Path) -> Result<(), RunServiceError> {
    let path = folder.join(LOGGING);
    fs::write(&path, LOGGING_TEXT).map_err(file(&path))?;
    let path = folder.join(TOOL_LOGGING);
    fs::write(&path, LOGGING_TEXT.replace("INFO", "ERROR")).map_err(file(&path))
}

/// Writes a node's properties.
pub(super) fn write(
    folder: &Path,
    id: usize,
    all: &[Ports],
    options: &KafkaOptions,
    security: Option<&Security>,
) -> Result<(), RunServiceError> {
    let path = folder.join(FILE);
    fs::write(&path, properties(folder, id, all, options, security)).map_err(file(&path))
}

fn properties(
    folder: &Path,
    id: usize,
    all: &[Ports],
    options: &KafkaOptions,
    security: Option<&Security>,
) -> String {
    let own = all[id];
    let voters: Vec<_> = all
        .iter()
        .enumerate()
        .map(|(id, ports)| format!("{id}@127.0.0.1:{}", ports.controller))
        .collect();
    let replicas = all.len();
    let in_sync = replicas.div_ceil(2);
    let mut listeners =
        format!("PLAIN://127.0.0.1:{},CONTROLLER://127.0.0.1:{}", own.plain, own.controller);
    let mut protocols = "PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned();
    if security.is_some() {
        let more = format!(",MUTUAL://127.0.0.1:{},SASL://127.0.0.1:{}", own.mutual, own.sasl);
        listeners.push_str(&more);
        protocols.push_str(",MUTUAL:SSL,SASL:SASL_SSL");
    }
    let mut text = format!(
        "{COMMON}\
         node.id={id}\n\
         controller.quorum.voters={}\n\
         listeners={listeners}\n\
         listener.security.protocol.map={protocols}\n\
         log.dirs={}\n\
         default.replication.factor={replicas}\n\
         min.insync.replicas={in_sync}\n\
         offsets.topic.replication.factor={replicas}\n\
         transaction.state.log.replication.factor={replicas}\n\
         transaction.state.log.min.isr={in_sync}\n\
         share.coordinator.state.topic.replication.factor={replicas}\n\
         share.coordinator.state.topic.min.isr={in_sync}\n",
        voters.join(","),
        folder.join("data").display(),
    );
    if options.synced {
        text.push_str("log.flush.interval.messages=1\n");
    }
    if let Some(security) = security {
        text.push_str(&security.properties());
    }
    text
}
