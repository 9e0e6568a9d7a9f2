//! Reads a range of a stream's partitions into memory, within limits.

use std::sync::Arc;
use std::time::Duration;

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::ReadError;
use millrace_log::ReadLimit;
use tokio::time::Instant;

use crate::row::Row;

/// What is read of a partition before the next one's turn.
const TURN: ReadLimit = ReadLimit { entries: 4096, bytes: 4 << 20 };

/// Where a range ends before its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RangeLimit {
    pub(crate) events: usize,
    /// Bytes of memory; the read that passes it is the last.
    pub(crate) bytes: usize,
}

/// How long a range waits where the log has more than it gives at present, and how long in all.
const NOTHING_YET: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(30);

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Range {
    pub(crate) rows: Vec<Row>,
    /// Where it ends, for each partition.
    pub(crate) to: Vec<Offset>,
    /// Offsets that retention had removed before.
    pub(crate) lost: u64,
}

/// Reads from `from` to `to` of each partition, in turns, so that a limit cuts all partitions at
/// about the same time.
pub(crate) async fn read(
    log: &Arc<dyn Log>,
    stream: &StreamName,
    from: &[Offset],
    to: &[Offset],
    limit: RangeLimit,
) -> Result<Range, ReadError> {
    let mut range = Range { to: from.to_vec(), ..Range::default() };
    let (mut bytes, mut last_read) = (0, Instant::now());
    for (partition, next) in (0..).zip(&mut range.to) {
        let start = log.partition_info(stream, partition)?.start;
        if start > *next {
            range.lost += u64::try_from(start - *next).unwrap_or_default();
            *next = start;
        }
    }
    loop {
        let mut is_read = true;
        for (index, end) in to.iter().enumerate() {
            let Some(next) = range.to.get_mut(index).filter(|next| **next < *end) else { continue };
            let room = limit.events.saturating_sub(range.rows.len());
            if room == 0 || bytes >= limit.bytes {
                return Ok(range);
            }
            let turn = ReadLimit { entries: TURN.entries.min(room), ..TURN };
            let partition = Partition::try_from(index).unwrap_or(Partition::MAX);
            let batch = log.read(stream, partition, *next, turn).await?;
            if batch.next > *next {
                // Offsets need not be dense; the range ends where it was told to all the same.
                *next = batch.next.min(*end);
                last_read = Instant::now();
            } else if last_read.elapsed() > PATIENCE {
                let reason = format!("nothing comes from offset {next} on, before the end {end}");
                return Err(ReadError::Storage(reason.into()));
            } else {
                tokio::time::sleep(NOTHING_YET).await;
            }
            for (offset, entry) in batch.entries {
                let Entry::Record(record) = entry else { continue };
                if offset < *end {
                    let row = Row { partition, offset, record };
                    bytes += row.bytes();
                    range.rows.push(row);
                }
            }
            is_read &= *next >= *end;
        }
        if is_read {
            return Ok(range);
        }
    }
}
