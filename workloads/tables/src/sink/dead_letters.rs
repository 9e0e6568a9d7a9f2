//! What is no row of the table, as dead letters.

use millrace_core::DeadLetter;
use millrace_core::EventId;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_core::dead_letter::SourcePosition;
use millrace_core::key::partition_of;
use millrace_log::Append;
use millrace_log::Entry;

/// The dead letter of a record. Its id comes from the event's: the same event refused again by
/// the same sink is the same dead letter.
pub(super) fn dead_letter(
    sink: &str,
    source: SourcePosition,
    record: Record,
    reason: String,
) -> DeadLetter {
    let stage = format!("sink/{sink}");
    DeadLetter {
        id: EventId::of_dead_letter(&stage, record.id.as_bytes(), &record.value),
        stage,
        reason,
        context: String::new(),
        source: Some(source),
        key: record.key,
        event_time: record.event_time,
        ingest_time: record.ingest_time,
        original: record.value,
    }
}

/// What to append for dead letters, to a stream of so many partitions.
pub(super) fn appends(letters: Vec<DeadLetter>, partitions: Partition) -> Vec<Append> {
    letters
        .into_iter()
        .map(|letter| Append {
            stream: StreamName::dead_letters(),
            partition: partition_of(&letter.key, partitions),
            entry: Entry::Record(letter.into_record()),
        })
        .collect()
}
