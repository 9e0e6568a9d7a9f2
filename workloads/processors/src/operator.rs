//! The interface between the engine and what is computed.

use millrace_core::Event;

use crate::Emitter;

/// Takes a key of state with its new value, or with none where it was removed.
pub type StateChange<'a> = dyn FnMut(&[u8], Option<Vec<u8>>) + 'a;

/// A processor at work in one task.
///
/// The engine calls [`process`](Self::process) for each event in release order, then
/// [`end_of_time`](Self::end_of_time) once for each distinct event time in the task, after all
/// events of that time. Commits happen only between two event times.
pub trait Operator: Send {
    /// Takes one event.
    fn process(&mut self, event: &Event, out: &mut Emitter<'_>);

    /// All events of this time (and of all earlier ones) have been processed.
    fn end_of_time(&mut self, time: i64, out: &mut Emitter<'_>) {
        let _ = (time, out);
    }

    /// Puts back an entry of its committed state, before the first event. After the last one
    /// [`finish_restore`](Self::finish_restore) is called.
    ///
    /// # Errors
    /// When the entry cannot be read.
    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        let _ = (key, value);
        Err(RestoreError::Stateless)
    }

    /// All entries have been put back: makes sure that they fit together.
    ///
    /// # Errors
    /// When they contradict each other. The operator must not be used then.
    fn finish_restore(&mut self) -> Result<(), RestoreError> {
        Ok(())
    }

    /// Hands over what has changed since the last call: a key with its new value, or with none
    /// where it was removed. A key comes once.
    fn take_changes(&mut self, change: &mut StateChange<'_>) {
        let _ = change;
    }

    /// Number of entries of its state, for metrics.
    fn state_entries(&self) -> usize {
        0
    }
}

/// State that cannot be put back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The operator keeps no state.
    #[error("the operator keeps no state")]
    Stateless,
    /// The entry was written by a later program.
    #[error("the state has format {found}, this program reads up to {supported}")]
    Version {
        /// Format of the entry.
        found: u8,
        /// The latest format that this program reads.
        supported: u8,
    },
    /// The entry is damaged.
    #[error("the state cannot be decoded")]
    Decode(#[source] postcard::Error),
    /// The entry can be read and yet cannot be true, by itself or beside the others.
    #[error("the state contradicts itself: {0}")]
    Inconsistent(&'static str),
}
