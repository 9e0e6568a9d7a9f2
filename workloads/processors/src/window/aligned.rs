//! Windows of each group by itself.

use std::ops::Range;

use millrace_core::Event;
use millrace_plan::model::WindowSettings;

use super::RefuseEvent;
use super::grid::Grid;
use super::identity::Grouping;
use super::layout::Layout;
use super::number::Number;
use super::pane::Pane;
use super::panes::Idle;
use super::panes::Panes;
use super::report;
use crate::Cause;
use crate::Counted;
use crate::Emitter;
use crate::Operator;
use crate::RestoreError;
use crate::StateChange;

/// The operator.
///
/// A group's windows are reported at their ends. Windows without events between two with some are
/// known as such when the group's next event comes, and are reported at its time. A group that was
/// forgotten in between has none.
pub(crate) struct AlignedWindow {
    panes: Panes,
    /// How many windows without events are reported in one gap.
    empty_windows: usize,
    empty: Pane,
    identity: Vec<u8>,
    numbers: Vec<Option<Number>>,
}

impl AlignedWindow {
    pub(super) fn new(settings: &WindowSettings, grid: Grid) -> Self {
        let layout = Layout::of(&settings.compute);
        let empty = Pane::empty(&layout);
        let grouping = Grouping { by: settings.by.clone(), per_key: true };
        // Where no windows without events are reported, nothing is to be known of what was.
        let idle = match i64::try_from(settings.empty_windows).unwrap_or(i64::MAX) {
            0 => Idle::Forgotten,
            windows => Idle::Remembered { windows },
        };
        Self {
            panes: Panes::new(layout, grouping, grid, idle, settings.max_groups),
            empty_windows: settings.empty_windows,
            empty,
            identity: Vec::new(),
            numbers: Vec::new(),
        }
    }

    /// Takes an event, and gives the windows without events before it.
    fn take(&mut self, event: &Event) -> Result<Range<i64>, RefuseEvent> {
        let Self { panes, identity, numbers, .. } = self;
        panes.grouping.write(event, identity)?;
        panes.layout.read(&event.value, numbers)?;
        let pane = panes.grid.pane(event.time);
        let place = panes.enter(pane, identity, event.id)?;
        panes.add(place, numbers, event.ingest_time);
        Ok(panes.take_gap(place, pane))
    }
}

impl Operator for AlignedWindow {
    fn process(&mut self, event: &Event, out: &mut Emitter<'_>) {
        match self.take(event) {
            Ok(gap) if gap.is_empty() => {}
            Ok(gap) => {
                let missing = gap.end.abs_diff(gap.start);
                let reported = missing.min(self.empty_windows as u64);
                let arrival = (event.time, event.ingest_time);
                for window in gap.take(self.empty_windows) {
                    emit(&self.panes, window, &self.identity, &self.empty, arrival, out);
                }
                out.count_many(Counted::SkippedWindow, missing - reported);
            }
            Err(reason) => out.refuse(event, reason.to_string()),
        }
        out.count_many(Counted::Forgotten, self.panes.take_forgotten());
    }

    fn next_timer(&self) -> Option<i64> {
        self.panes.end()
    }

    fn on_timer(&mut self, time: i64, out: &mut Emitter<'_>) {
        while self.panes.end().is_some_and(|end| end <= time) {
            self.panes.close(|panes, window, identity, pane| {
                emit(panes, window, identity, pane, (time, pane.ingest_time), out);
            });
        }
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        self.panes.restore(key, value)
    }

    fn finish_restore(&mut self) -> Result<(), RestoreError> {
        self.panes.finish_restore()
    }

    fn take_changes(&mut self, change: &mut StateChange<'_>) {
        self.panes.take_changes(change);
    }

    fn state_entries(&self) -> usize {
        self.panes.state_entries()
    }
}

/// Reports a window of a group, at an event time and with an arrival time.
fn emit(
    panes: &Panes,
    window: i64,
    identity: &[u8],
    pane: &Pane,
    (time, ingest_time): (i64, i64),
    out: &mut Emitter<'_>,
) {
    let Panes { layout, grouping, grid, .. } = panes;
    let Some(group) = grouping.read(identity) else { return };
    let (start, end) = (grid.start(window), grid.end(window));
    let value = report::of_group(layout, grouping, &group.values, (start, end), pane);
    let cause = Cause {
        id: report::cause(identity, end),
        key: group.key,
        time,
        ingest_time,
        headers: panes.headers(),
    };
    out.emit(&cause, value);
}
