//! What was read of changelogs without a claim, kept for a while: who asks again gets what has
//! changed since, and where nothing has, nothing is read.

use std::collections::HashMap;
use std::time::Duration;
use std::time::Instant;

use millrace_core::Partition;
use parking_lot::Mutex;

use super::readers::ReadChangelogError;
use super::readers::Readers;
use super::restored::Restored;

/// What was not asked for in this time is forgotten.
const KEEP: Duration = Duration::from_secs(30);
/// Larger state is not kept.
const MAX_BYTES: usize = 4 << 20;

/// A partition of a changelog, with state or only with positions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Subject {
    pub(super) topic: String,
    pub(super) partition: Partition,
    pub(super) with_state: bool,
}

impl Subject {
    fn nothing(&self) -> Restored {
        if self.with_state { Restored::default() } else { Restored::of_positions() }
    }
}

/// What was read of changelogs.
#[derive(Default)]
pub(super) struct Followed {
    known: Mutex<HashMap<Subject, (Restored, Instant)>>,
}

impl Followed {
    /// What the partition says now. It waits.
    pub(super) fn look<T>(
        &self,
        readers: &Readers,
        subject: Subject,
        view: impl FnOnce(&Restored) -> T,
    ) -> Result<T, ReadChangelogError> {
        let known = {
            let mut known = self.known.lock();
            known.retain(|_, (_, asked)| asked.elapsed() < KEEP);
            known.remove(&subject)
        };
        let mut restored = known.map_or_else(|| subject.nothing(), |(restored, _)| restored);
        let Subject { topic, partition, .. } = &subject;
        let from = restored.end;
        let mut end =
            readers.read(topic, *partition, from, |key, value| restored.apply(key, value))?;
        if end < from {
            // It was removed and made anew.
            restored = subject.nothing();
            end = readers.read(topic, *partition, 0, |key, value| restored.apply(key, value))?;
        }
        restored.end = end;
        let seen = view(&restored);
        if restored.bytes() <= MAX_BYTES {
            self.known.lock().insert(subject, (restored, Instant::now()));
        }
        Ok(seen)
    }
}
