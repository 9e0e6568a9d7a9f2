//! Reads a partition and makes rows of its records.

use std::sync::Arc;

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::ReadError;
use millrace_log::ReadLimit;
use tokio_util::task::AbortOnDropHandle;

use super::RowOrder;
use super::SinkInput;
use super::TableSink;
use crate::Row;
use crate::now_micros;
use crate::periods::PartitionColumn;
use crate::periods::Periods;

/// Entries of a read while the reader keeps up, and while it is far behind.
const ENTRIES: usize = 1000;
const MAX_ENTRIES: usize = 8000;

/// Reads a partition.
pub(super) struct Reading {
    log: Arc<dyn Log>,
    sink: Arc<TableSink>,
    input: SinkInput,
    partition: Partition,
    /// Which rows have gone by retention; none if all are written.
    retention: Option<(PartitionColumn, Periods)>,
    /// Entries of the next read.
    entries: usize,
}

/// What was read at once.
#[derive(Default)]
pub(super) struct Batch {
    /// Rows, in the order of their offsets.
    pub(super) rows: Vec<Row>,
    /// The record of each row, and where it stood.
    pub(super) records: Vec<(Offset, Record)>,
    /// What is no row, and why not.
    pub(super) refused: Vec<(Offset, Record, String)>,
    /// Rows that are older than the table's retention.
    pub(super) expired: u64,
    /// Where to read on.
    pub(super) next: Offset,
}

/// A read beside other work, which gives the means for the next one back.
pub(super) type ReadingAhead = AbortOnDropHandle<(Reading, Option<Batch>)>;

impl Reading {
    /// A reader of a partition.
    pub(super) fn new(
        log: Arc<dyn Log>,
        sink: Arc<TableSink>,
        input: SinkInput,
        partition: Partition,
    ) -> Self {
        Self { log, sink, input, partition, retention: None, entries: ENTRIES }
    }

    /// The same reader, which leaves out what is older than the table's retention.
    pub(super) fn with_retention(self) -> Self {
        let table = &self.sink.table;
        let periods = table.partitions.as_ref().map(Periods::of);
        let retention = PartitionColumn::of(table).zip(periods);
        Self { retention, ..self }
    }

    /// Reads from an offset on.
    pub(super) async fn read(&mut self, from: Offset) -> Result<Batch, ReadError> {
        let limit = ReadLimit { entries: self.entries, ..ReadLimit::default() };
        let read = self.log.read(&self.input.stream, self.partition, from, limit).await?;
        let is_full = read.entries.len() >= self.entries;
        self.entries = if is_full { (self.entries * 2).min(MAX_ENTRIES) } else { ENTRIES };
        let mut batch = Batch { next: read.next.max(from), ..Batch::default() };
        batch.rows.reserve_exact(read.entries.len());
        batch.records.reserve_exact(read.entries.len());
        let kept_from = self.retention.and_then(|(column, periods)| {
            periods.kept_from(now_micros()).map(|kept_from| (column, kept_from))
        });
        let has_gone = |row: &Row| {
            kept_from.is_some_and(|(column, from)| column.time(row).is_some_and(|time| time < from))
        };
        for (offset, entry) in read.entries {
            let Entry::Record(record) = entry else { continue };
            let order = match self.input.order {
                RowOrder::EventTime => record.event_time,
                RowOrder::Offset => offset,
            };
            match Row::of(&record, order, &self.sink.table) {
                Ok(row) if has_gone(&row) => batch.expired += 1,
                Ok(row) => {
                    batch.rows.push(row);
                    batch.records.push((offset, record));
                }
                Err(error) => batch.refused.push((offset, record, error.to_string())),
            }
        }
        Ok(batch)
    }

    /// Reads from an offset on while something else is done. What fails is read again, and then
    /// told.
    pub(super) fn ahead(mut self, from: Offset) -> ReadingAhead {
        AbortOnDropHandle::new(tokio::spawn(async move {
            let batch = self.read(from).await.ok().filter(|batch| batch.next > from);
            (self, batch)
        }))
    }
}
