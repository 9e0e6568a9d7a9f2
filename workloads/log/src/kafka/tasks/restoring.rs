//! Brings a task's state back: from its changelog, or the rest of it where a standby has the state.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use millrace_core::Offset;
use millrace_core::Partition;

use super::Tasks;
use super::changelog::Changelog;
use super::readers::ReadChangelogError;
use super::readers::Readers;
use super::restored::Restored;
use crate::ReadError;
use crate::TaskName;
use crate::TaskSnapshot;

impl Tasks {
    /// What a task's changelog says, and up to where it was read.
    pub(super) async fn restore(
        &self,
        task: &TaskName,
        changelog: &Changelog,
    ) -> Result<(TaskSnapshot, Offset), ReadError> {
        let began = Instant::now();
        let (standbys, of) = (Arc::clone(&self.standbys), task.clone());
        let (topic, partition) = (Arc::clone(&changelog.topic), task.partition);
        let (snapshot, end, bytes, records, was_kept) = self
            .wait(move |readers| {
                let kept = standbys.take(&of);
                let was_kept = kept.is_some();
                let (restored, records) = read(readers, &topic, partition, kept)?;
                // To put much state in order takes its time, too.
                let (end, bytes) = (restored.end, restored.bytes());
                Ok((restored.into_snapshot(), end, bytes, records, was_kept))
            })
            .await?;
        let snapshot = snapshot.map_err(|error| ReadError::Storage(Box::new(error)))?;
        self.restored.fetch_add(records, Ordering::Relaxed);
        tracing::info!(
            message = "Restored a task.",
            %task,
            bytes,
            records,
            was_kept,
            seconds = began.elapsed().as_secs_f64()
        );
        Ok((snapshot, end))
    }
}

/// Reads what is missing, and says how many records that was.
fn read(
    readers: &Readers,
    topic: &str,
    partition: Partition,
    kept: Option<Restored>,
) -> Result<(Restored, u64), ReadChangelogError> {
    let mut records = 0;
    let mut read_on = |restored: &mut Restored, from: Offset| {
        readers.read(topic, partition, from, |key, value| {
            records += 1;
            restored.apply(key, value)
        })
    };
    let mut restored = kept.unwrap_or_default();
    let from = restored.end;
    restored.end = match read_on(&mut restored, from) {
        Ok(end) if end >= from => end,
        // The topic was removed and made anew since the state was kept.
        Ok(_) | Err(ReadChangelogError::Rewound { .. }) => {
            restored = Restored::default();
            read_on(&mut restored, 0)?
        }
        Err(error) => return Err(error),
    };
    Ok((restored, records))
}
