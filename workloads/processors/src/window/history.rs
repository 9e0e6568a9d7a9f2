//! The panes of a window that reaches over several, and what they come to together.
//!
//! The newest pane is added and the oldest taken away, so that a window costs the same however
//! many panes it has. What cannot be taken away, the lowest and the highest number, stands in
//! queues of the panes that may still have it.

use std::collections::VecDeque;

use super::layout::Layout;
use super::number::Number;
use super::pane::Pane;
use crate::RestoreError;
use crate::state::decode_value;
use crate::state::encode_value;

/// The panes of a group that are complete and still part of windows to come.
pub(super) struct History {
    /// By number, ascending, in the form in which state keeps them: there may be many.
    panes: VecDeque<(i64, Box<[u8]>)>,
    total: Pane,
    extremes: Box<[Extremes]>,
}

/// For one field, the panes that have the lowest and the highest number of all from there on.
#[derive(Default)]
struct Extremes {
    /// Ascending by pane and by number.
    lowest: VecDeque<(i64, Number)>,
    /// Ascending by pane, descending by number.
    highest: VecDeque<(i64, Number)>,
}

impl History {
    pub(super) fn new(layout: &Layout) -> Self {
        Self {
            panes: VecDeque::new(),
            total: Pane::empty(layout),
            extremes: layout.fields.iter().map(|_| Extremes::default()).collect(),
        }
    }

    /// Adds a pane later than all that are there.
    pub(super) fn push(&mut self, number: i64, pane: &Pane) {
        self.panes.push_back((number, encode_value(pane).into()));
        self.count_in(number, pane);
    }

    /// Adds a stored pane later than all that are there.
    pub(super) fn restore(
        &mut self,
        layout: &Layout,
        number: i64,
        stored: &[u8],
    ) -> Result<(), RestoreError> {
        let pane: Pane = decode_value(stored)?;
        if !pane.is_sound(layout) {
            return Err(RestoreError::Inconsistent("a pane is not one of these aggregates"));
        }
        self.panes.push_back((number, stored.into()));
        self.count_in(number, &pane);
        Ok(())
    }

    /// Takes away the panes of lower numbers, and tells which.
    pub(super) fn expire(&mut self, first: i64, mut expired: impl FnMut(i64)) {
        while let Some((number, stored)) = self.panes.pop_front_if(|(number, _)| *number < first) {
            let pane: Pane = decode_value(&stored).expect("it was encoded or read as a pane");
            self.total.subtract(&pane);
            expired(number);
        }
        for (extremes, kept) in self.extremes.iter_mut().zip(&mut self.total.fields) {
            for queue in [&mut extremes.lowest, &mut extremes.highest] {
                while queue.pop_front_if(|(number, _)| *number < first).is_some() {}
            }
            kept.lowest = extremes.lowest.front().map(|(_, number)| *number);
            kept.highest = extremes.highest.front().map(|(_, number)| *number);
        }
    }

    /// All panes together.
    pub(super) fn total(&self) -> &Pane {
        &self.total
    }

    pub(super) fn len(&self) -> usize {
        self.panes.len()
    }

    /// A pane as state keeps it.
    pub(super) fn stored(&self, number: i64) -> Option<&[u8]> {
        let place = self.panes.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.panes.get(place).map(|(_, stored)| &**stored)
    }

    fn count_in(&mut self, number: i64, pane: &Pane) {
        self.total.accumulate(pane);
        let added = self.extremes.iter_mut().zip(&pane.fields).zip(&mut self.total.fields);
        for ((extremes, pane), kept) in added {
            if let Some(lowest) = pane.lowest {
                while extremes.lowest.pop_back_if(|(_, other)| *other >= lowest).is_some() {}
                extremes.lowest.push_back((number, lowest));
            }
            if let Some(highest) = pane.highest {
                while extremes.highest.pop_back_if(|(_, other)| *other <= highest).is_some() {}
                extremes.highest.push_back((number, highest));
            }
            kept.lowest = extremes.lowest.front().map(|(_, number)| *number);
            kept.highest = extremes.highest.front().map(|(_, number)| *number);
        }
    }
}
