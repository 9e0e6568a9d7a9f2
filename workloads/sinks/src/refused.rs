//! Dead letters of sinks: what could not be sent.

use millrace_core::DeadLetter;
use millrace_core::EventId;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_core::dead_letter::SourcePosition;
use millrace_log::Append;
use millrace_log::Entry;

/// The partition that takes all dead letters.
const DEAD_LETTERS_PARTITION: Partition = 0;

/// What to append for a record that a sink could not send. The same record refused again by the
/// same sink is the same dead letter.
pub(crate) fn dead_letter(
    sink: &str,
    (stream, partition, offset): (&StreamName, Partition, Offset),
    record: Record,
    reason: String,
) -> Append {
    let stage = format!("sink/{sink}");
    let letter = DeadLetter {
        reason,
        context: String::new(),
        source: Some(SourcePosition { stream: stream.as_str().to_owned(), partition, offset }),
        id: EventId::of_dead_letter(&stage, record.id.as_bytes(), &record.value),
        stage,
        key: record.key,
        event_time: record.event_time,
        ingest_time: record.ingest_time,
        original: record.value,
    };
    Append {
        stream: StreamName::dead_letters(),
        partition: DEAD_LETTERS_PARTITION,
        entry: Entry::Record(letter.into_record()),
    }
}
