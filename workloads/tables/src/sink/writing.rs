//! Writes what was read: rows with the position into the table, and what is no row as dead letters.

use std::time::SystemTime;

use millrace_core::DeadLetter;
use millrace_core::Offset;
use millrace_core::Record;
use millrace_core::dead_letter::SourcePosition;
use millrace_core::with_causes;
use millrace_log::CommitTaskError;
use millrace_log::InputPosition;
use millrace_log::TaskCommit;

use super::RunSinkError;
use super::committed::note_latency;
use super::dead_letters::appends;
use super::dead_letters::dead_letter;
use super::partition::Claims;
use super::partition::PartitionReader;
use super::partition::Stop;
use super::reading::Batch;
use crate::CommitError;

/// Offsets that a reader passes without a row before it commits its position all the same.
const MAX_UNCOMMITTED: Offset = 1000;

impl PartitionReader {
    /// Writes what was read: first dead letters, then rows and the position.
    pub(super) async fn write(&mut self, claims: &Claims, mut batch: Batch) -> Result<(), Stop> {
        let letters: Vec<_> = std::mem::take(&mut batch.refused)
            .into_iter()
            .filter(|(offset, ..)| *offset >= self.dead_lettered)
            .map(|(offset, record, reason)| self.dead_letter(offset, record, reason))
            .collect();
        if !letters.is_empty() {
            self.dead_lettered = batch.next;
            self.store_dead_letters(claims, letters).await?;
        }
        let watermark = batch.records.iter().map(|(_, record)| record.event_time).max();
        let quiet = batch.rows.is_empty() && batch.next - self.committed < MAX_UNCOMMITTED;
        if !quiet {
            self.commit(claims, &batch, batch.next).await?;
        }
        if batch.expired > 0 {
            self.context.metrics.expired.get_or_create(&self.labels).inc_by(batch.expired);
        }
        self.position = batch.next;
        if let Some(watermark) = watermark.max(self.component.watermark()) {
            self.component.set_watermark(watermark);
        }
        Ok(())
    }

    /// Commits rows and the position after them. A batch with a row that the database refuses is
    /// halved until that row stands alone and becomes a dead letter.
    pub(super) async fn commit(
        &mut self,
        claims: &Claims,
        batch: &Batch,
        next: Offset,
    ) -> Result<(), Stop> {
        let (mut rows, mut records) = (&batch.rows[..], &batch.records[..]);
        let mut size = rows.len();
        while self.committed < next {
            let (part, rest) = records.split_at(size.min(records.len()));
            let (part_rows, rest_rows) = rows.split_at(part.len());
            let part_next = rest.first().map_or(next, |(offset, _)| *offset);
            let traced = self.context.observer.tracer().map(|tracer| (tracer, SystemTime::now()));
            let committing = self.context.tables.commit(
                &claims.table,
                &self.sink.table.name,
                part_rows,
                self.committed,
                part_next,
            );
            match committing.await {
                Ok(written) => {
                    if let Some((tracer, start)) = traced {
                        let records = part.iter().map(|(offset, record)| (*offset, record));
                        self.trace(tracer, start, records);
                    }
                    self.resume();
                    note_latency(&self.latency, part.iter().map(|(_, record)| record));
                    let bytes = part.iter().map(|(_, record)| record.value.len() as u64).sum();
                    self.context.metrics.bytes.get_or_create(&self.labels).inc_by(bytes);
                    self.context.metrics.rows.get_or_create(&self.labels).inc_by(written);
                    self.context.metrics.commits.get_or_create(&self.labels).inc();
                    self.committed = part_next;
                    (rows, records) = (rest_rows, rest);
                    size = records.len();
                }
                // A commit whose confirmation was lost.
                Err(CommitError::Position { found, .. }) if found == part_next => {
                    self.committed = part_next;
                    (rows, records) = (rest_rows, rest);
                    size = records.len();
                }
                Err(CommitError::Refused(reason)) => match part {
                    [] => self.wait(reason).await?,
                    [(offset, record)] => {
                        if *offset >= self.refused {
                            let letter = self.dead_letter(*offset, record.clone(), reason);
                            self.refused = offset + 1;
                            self.store_dead_letters(claims, vec![letter]).await?;
                        }
                        (rows, records) = (rest_rows, rest);
                        size = records.len();
                    }
                    several => size = several.len() / 2,
                },
                Err(CommitError::Unavailable(reason)) => self.wait(reason).await?,
                Err(source) => {
                    let is_fenced = matches!(source, CommitError::Fenced { .. });
                    let failure = RunSinkError::Commit { sink: self.sink.name.clone(), source };
                    let stop = if is_fenced { Stop::Fenced } else { Stop::Failed };
                    return Err(stop(failure));
                }
            }
        }
        Ok(())
    }

    fn dead_letter(&self, offset: Offset, record: Record, reason: String) -> DeadLetter {
        let source = SourcePosition {
            stream: self.input.stream.as_str().to_owned(),
            partition: self.partition,
            offset,
        };
        dead_letter(&self.sink.name, source, record, reason)
    }

    /// Appends dead letters, together with how far they reach.
    async fn store_dead_letters(
        &mut self,
        claims: &Claims,
        letters: Vec<DeadLetter>,
    ) -> Result<(), Stop> {
        let count = letters.len() as u64;
        let outputs = appends(letters, self.sink.dead_letter_partitions);
        let position = InputPosition {
            stream: self.input.stream.clone(),
            partition: self.partition,
            next: self.dead_lettered,
            metadata: bytes::Bytes::copy_from_slice(&self.refused.to_be_bytes()),
        };
        let commit = TaskCommit { outputs, state: Vec::new(), positions: vec![position] };
        loop {
            match self.context.log.commit_task(&claims.log, commit.clone()).await {
                Ok(_) => {
                    self.resume();
                    let stage = format!("sink/{}", self.sink.name);
                    self.context.metrics.dead_letters.of(&stage).inc_by(count);
                    return Ok(());
                }
                Err(source @ CommitTaskError::Fenced { .. }) => {
                    let sink = self.sink.name.clone();
                    return Err(Stop::Fenced(RunSinkError::DeadLetter { sink, source }));
                }
                Err(error) => self.wait(with_causes(&error)).await?,
            }
        }
    }
}
