//! The interface between the engine and what is computed.

use millrace_core::Event;

use crate::Emitter;

/// Takes a key of state with its new value, or with none where it was removed.
pub type StateChange<'a> = dyn FnMut(&[u8], Option<Vec<u8>>) + 'a;

/// A processor at work in one task.
///
/// The engine calls [`process`](Self::process) for each event in release order, then
/// [`end_of_time`](Self::end_of_time) once for each distinct event time in the task, after all
/// events of that time. An operator that has something to say at a time without events asks for it
/// by [`next_timer`](Self::next_timer): that time then is an event time of the task like any other,
/// and [`on_timer`](Self::on_timer) is called before the events of that time. Commits happen only
/// between two event times.
pub trait Operator: Send {
    /// Takes one event.
    fn process(&mut self, event: &Event, out: &mut Emitter<'_>);

    /// All events of this time (and of all earlier ones) have been processed.
    fn end_of_time(&mut self, time: i64, out: &mut Emitter<'_>) {
        let _ = (time, out);
    }

    /// The earliest event time at which the operator wants to be called, if there is one. It is
    /// asked after each event time, may lie at or before the last one (then it is called before
    /// the next events), and follows from the operator's state alone.
    fn next_timer(&self) -> Option<i64> {
        None
    }

    /// The time that [`next_timer`](Self::next_timer) asked for has come: all events of earlier
    /// times have been processed, and none of this time or of later ones. Outputs have this time.
    /// Afterwards `next_timer` must be later than it, or none.
    fn on_timer(&mut self, time: i64, out: &mut Emitter<'_>) {
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
