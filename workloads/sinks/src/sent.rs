//! How far this process has sent to the clients of its own endpoint, where others have one, too.
//!
//! No group has these positions, since each process has its own. They live as long as the process:
//! a sink that is started again, for another generation say, goes on where it was.

use std::collections::HashMap;
use std::sync::Arc;

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_log::ReadError;
use parking_lot::Mutex;

use crate::position::GroupPartition;

/// The positions of a process. Cloning is cheap.
#[derive(Clone, Default)]
pub(crate) struct Sent(Arc<Mutex<HashMap<String, Positions>>>);

/// The positions of a sink, by its group, which every generation has of its own.
type Positions = HashMap<(String, StreamName, Partition), Offset>;

impl Sent {
    /// Notes where a sink goes on.
    pub(crate) fn note(&self, sink: &str, reads: &GroupPartition, next: Offset) {
        let mut all = self.0.lock();
        let positions = all.entry(sink.to_owned()).or_default();
        // What other generations had sent is not asked for again.
        positions.retain(|(group, ..), _| *group == reads.group);
        positions.insert((reads.group.clone(), reads.stream.clone(), reads.partition), next);
    }

    /// Where a sink begins: where it was; in a new generation's stream where the switch has put
    /// its group; and at the end in a process that has just started, which had no clients before.
    pub(crate) async fn begin(
        &self,
        sink: &str,
        reads: &GroupPartition,
    ) -> Result<Offset, ReadError> {
        let GroupPartition { log, group, stream, partition } = reads;
        let info = log.partition_info(stream, *partition)?;
        let key = (group.clone(), stream.clone(), *partition);
        let (known, has_sent) = {
            let all = self.0.lock();
            let positions = all.get(sink);
            (positions.and_then(|positions| positions.get(&key)).copied(), positions.is_some())
        };
        let handed = match known {
            None if has_sent => log.group_offset(group, stream, *partition).await?,
            known => known,
        };
        Ok(handed.map_or(info.end, |next| next.max(info.start)))
    }
}

#[cfg(test)]
mod tests {
    use millrace_core::Mark;
    use millrace_log::Append;
    use millrace_log::EmbeddedLog;
    use millrace_log::EmbeddedLogOptions;
    use millrace_log::Entry;
    use millrace_log::Log;
    use millrace_log::StreamConfig;
    use millrace_plan::model::Retention;

    use super::*;

    async fn three_entries(folder: &std::path::Path) -> GroupPartition {
        let log = EmbeddedLog::open(EmbeddedLogOptions::new(folder)).unwrap();
        let name: StreamName = "status".parse().unwrap();
        let retention = Retention::default();
        let config = StreamConfig { name: name.clone(), partitions: 1, retention };
        log.ensure_streams(&[config]).await.unwrap();
        let append = |_| Append {
            stream: name.clone(),
            partition: 0,
            entry: Entry::Mark(Mark::Idle { watermark: 1 }),
        };
        log.append((0..3).map(append).collect()).await.unwrap();
        GroupPartition { log, group: "sink/out".into(), stream: name, partition: 0 }
    }

    #[tokio::test]
    async fn a_new_process_begins_at_the_end_and_a_sink_that_starts_again_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let reads = three_entries(folder.path()).await;
        reads.log.commit_group_offset("sink/out", &reads.stream, 0, 1).await.unwrap();
        let sent = Sent::default();
        assert_eq!(sent.begin("out", &reads).await.unwrap(), 3);
        sent.note("out", &reads, 2);
        assert_eq!(sent.begin("out", &reads).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn in_a_new_generation_a_sink_goes_on_where_the_switch_has_put_it() {
        let folder = tempfile::tempdir().unwrap();
        let reads = three_entries(folder.path()).await;
        let sent = Sent::default();
        sent.note("out", &reads, 3);
        let next = GroupPartition { group: "sink/out/1".into(), ..reads.clone() };
        assert_eq!(sent.begin("out", &next).await.unwrap(), 3);
        next.log.commit_group_offset("sink/out/1", &next.stream, 0, 1).await.unwrap();
        assert_eq!(sent.begin("out", &next).await.unwrap(), 1);
    }
}
