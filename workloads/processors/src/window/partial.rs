//! The first step of a window over all keys: what this task has of each pane.
//!
//! Windows that reach over several panes are put together in the second step, so that each event
//! is sent once.

use millrace_core::Event;
use millrace_core::EventId;
use millrace_plan::model::WindowSettings;

use super::RefuseEvent;
use super::grid::Grid;
use super::identity::Grouping;
use super::layout::Layout;
use super::number::Number;
use super::panes::Idle;
use super::panes::Panes;
use super::parcel;
use super::parcel::Parcel;
use crate::Cause;
use crate::Emitter;
use crate::Operator;
use crate::RestoreError;
use crate::StateChange;

/// The operator. Its outputs are due to the first event of their pane in this task: those of
/// different tasks differ in it.
pub(crate) struct PartialWindow {
    panes: Panes,
    identity: Vec<u8>,
    numbers: Vec<Option<Number>>,
}

impl PartialWindow {
    pub(super) fn new(settings: &WindowSettings, grid: Grid) -> Self {
        let layout = Layout::of(&settings.compute);
        let grouping = Grouping { by: settings.by.clone(), per_key: false };
        let panes =
            Panes::new(layout, grouping, grid.of_panes(), Idle::Forgotten, settings.max_groups);
        Self { panes, identity: Vec::new(), numbers: Vec::new() }
    }

    fn take(&mut self, event: &Event) -> Result<(), RefuseEvent> {
        let Self { panes, identity, numbers, .. } = self;
        panes.grouping.write(event, identity)?;
        panes.layout.read(&event.value, numbers)?;
        let place = panes.enter(panes.grid.pane(event.time), identity, event.id)?;
        panes.add(place, numbers, event.ingest_time);
        Ok(())
    }

    /// Sends what this task has of the open pane.
    fn send(&mut self, first: EventId, time: i64, out: &mut Emitter<'_>) {
        let mut parcel = Parcel::default();
        let mut window = (time, time);
        let mut ingest_time = i64::MIN;
        let headers = self.panes.headers();
        let mut send = |parcel: &mut Parcel, window, ingest_time| {
            let cause = Cause {
                id: first,
                key: parcel::KEY.into(),
                time,
                ingest_time,
                headers: headers.clone(),
            };
            out.emit(&cause, parcel.take(window));
        };
        self.panes.close(|panes, number, identity, pane| {
            window = (panes.grid.start(number), panes.grid.end(number));
            ingest_time = ingest_time.max(pane.ingest_time);
            parcel.add(identity, pane);
            if parcel.is_full() {
                send(&mut parcel, window, ingest_time);
            }
        });
        if !parcel.is_empty() {
            send(&mut parcel, window, ingest_time);
        }
    }
}

impl Operator for PartialWindow {
    fn process(&mut self, event: &Event, out: &mut Emitter<'_>) {
        if let Err(reason) = self.take(event) {
            out.refuse(event, reason.to_string());
        }
    }

    fn next_timer(&self) -> Option<i64> {
        self.panes.end()
    }

    fn on_timer(&mut self, time: i64, out: &mut Emitter<'_>) {
        if self.panes.end().is_some_and(|end| end <= time)
            && let Some(first) = self.panes.first()
        {
            self.send(first, time, out);
        }
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        self.panes.restore(key, value)
    }

    fn finish_restore(&mut self) -> Result<(), RestoreError> {
        self.panes.finish_restore()?;
        if self.panes.end().is_some() && self.panes.first().is_none() {
            return Err(RestoreError::Inconsistent("a window is open without its first event"));
        }
        Ok(())
    }

    fn take_changes(&mut self, change: &mut StateChange<'_>) {
        self.panes.take_changes(change);
    }

    fn state_entries(&self) -> usize {
        self.panes.state_entries()
    }
}
