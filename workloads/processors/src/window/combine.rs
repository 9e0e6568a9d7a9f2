//! The second step of a window over all keys: one report of all groups, made of what each task has.
//!
//! All that tasks have of a pane comes at the time of its end, so a window is reported at the end
//! of that time. Its id follows from the window alone. Where there are more groups than may be
//! remembered, those that are known stay and of the new ones the first by identity get the places
//! that are left: whichever tasks they come from.

use std::collections::BTreeSet;

use millrace_core::Event;
use millrace_core::Value;
use millrace_plan::model::WindowSettings;
use serde::Deserialize;
use serde::Serialize;

use super::grid::Grid;
use super::groups::TooManyGroups;
use super::identity::Grouping;
use super::layout::Layout;
use super::panes::EnterPane;
use super::panes::Idle;
use super::panes::Panes;
use super::parcel;
use super::parcel::Group;
use super::parcel::Parcel;
use super::parcel::ReadParcel;
use super::report;
use crate::Cause;
use crate::Counted;
use crate::Emitter;
use crate::Operator;
use crate::RestoreError;
use crate::StateChange;
use crate::entity::Entity;
use crate::state::decode_key;
use crate::state::decode_value;
use crate::state::encode_key;
use crate::state::encode_value;

/// The operator.
pub(crate) struct CombineWindows {
    panes: Panes,
    /// The field that lists the groups.
    field: String,
    /// How many windows without events are reported in one gap.
    empty_windows: usize,
    max_groups: usize,
    /// The last window that was reported.
    last: Option<i64>,
    last_changed: bool,
    /// A timer has come, and the end of its time has not: that is when the report is made.
    waiting: bool,
    /// The parcels of the current time.
    parcels: Vec<Event>,
    /// They have more groups than there are places.
    full: bool,
}

/// Key of the state entry that is not one of the panes'.
#[derive(Serialize, Deserialize)]
enum StateKey<'a> {
    Panes(&'a [u8]),
    Last,
}

/// Why a partial window is refused.
#[derive(Debug, thiserror::Error)]
enum RefusePartial {
    #[error(transparent)]
    Read(#[from] ReadParcel),
    #[error("the partial window has the time {time} ms and the end {end} ms")]
    Time { time: i64, end: i64 },
    #[error(transparent)]
    Enter(#[from] EnterPane),
}

impl CombineWindows {
    pub(super) fn new(settings: &WindowSettings, grid: Grid, field: &str) -> Self {
        let layout = Layout::of(&settings.compute);
        let grouping = Grouping { by: settings.by.clone(), per_key: false };
        Self {
            panes: Panes::new(layout, grouping, grid, Idle::Forgotten, settings.max_groups),
            field: field.to_owned(),
            empty_windows: settings.empty_windows,
            max_groups: settings.max_groups,
            last: None,
            last_changed: false,
            waiting: false,
            parcels: Vec::new(),
            full: false,
        }
    }

    /// Reads a parcel: its pane and its groups.
    fn read(&self, event: &Event) -> Result<(i64, Vec<Group>), RefusePartial> {
        let panes = &self.panes;
        let (end, groups) = parcel::read(&event.value, &panes.layout, &panes.grouping)?;
        let pane = panes.grid.pane(end.saturating_sub(1));
        if end != event.time || panes.grid.end(pane) != end {
            return Err(RefusePartial::Time { time: event.time, end });
        }
        Ok((pane, groups))
    }

    /// Takes the groups that are known and those that find a place.
    fn take(&mut self, event: &Event) -> Result<(), RefusePartial> {
        let (pane, groups) = self.read(event)?;
        for (identity, part) in &groups {
            match self.panes.enter(pane, identity, event.id) {
                Ok(place) => self.panes.merge(place, part),
                Err(EnterPane::TooMany(_)) => self.full = true,
                Err(reason) => return Err(reason.into()),
            }
        }
        self.parcels.push(event.clone());
        Ok(())
    }

    /// Gives places to the new groups of all parcels in the order of their identities, and refuses
    /// what the others have.
    fn share_places(&mut self, parcels: &[Event], out: &mut Emitter<'_>) {
        self.panes.forget_new();
        let places = self.max_groups.saturating_sub(self.panes.groups());
        let mut new = BTreeSet::new();
        for event in parcels {
            let Ok((_, groups)) = self.read(event) else { continue };
            for (identity, _) in groups {
                if !self.panes.contains(&identity) {
                    new.insert(identity);
                }
                if new.len() > places {
                    new.pop_last();
                }
            }
        }
        for event in parcels {
            let Ok((pane, groups)) = self.read(event) else { continue };
            let mut refused = Parcel::default();
            for (identity, part) in &groups {
                if new.contains(identity) {
                    if let Ok(place) = self.panes.enter(pane, identity, event.id) {
                        self.panes.merge(place, part);
                    }
                } else if !self.panes.contains(identity) {
                    refused.add(identity, part);
                }
            }
            if !refused.is_empty() {
                let span = (self.panes.grid.of_panes().start(pane), self.panes.grid.end(pane));
                let rest = Event { value: refused.take(span), ..event.clone() };
                out.refuse(&rest, TooManyGroups(self.max_groups).to_string());
            }
        }
    }

    /// Reports the window that ends now, and those without events before it.
    fn report(&mut self, time: i64, out: &mut Emitter<'_>) {
        let mut entries: Vec<(Vec<Entity>, Value)> = Vec::new();
        let mut ingest_time = i64::MIN;
        let closed = self.panes.close(|panes, _, identity, pane| {
            if let Some(group) = panes.grouping.read(identity) {
                let entry = report::entry(&panes.layout, &panes.grouping, &group.values, pane);
                entries.push((group.values, entry));
            }
            ingest_time = ingest_time.max(pane.ingest_time);
        });
        let Some(window) = closed else { return };
        entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        if let Some(last) = self.last {
            let gap = last.saturating_add(1)..window;
            let missing = if gap.is_empty() { 0 } else { gap.end.abs_diff(gap.start) };
            for empty in gap.take(self.empty_windows) {
                self.emit(empty, Vec::new(), (time, ingest_time), out);
            }
            let reported = missing.min(self.empty_windows as u64);
            out.count_many(Counted::SkippedWindow, missing - reported);
        }
        let entries = entries.into_iter().map(|(_, entry)| entry).collect();
        self.emit(window, entries, (time, ingest_time), out);
        self.last = Some(window);
        self.last_changed = true;
    }

    fn emit(
        &self,
        window: i64,
        entries: Vec<Value>,
        (time, ingest_time): (i64, i64),
        out: &mut Emitter<'_>,
    ) {
        let (start, end) = (self.panes.grid.start(window), self.panes.grid.end(window));
        let cause = Cause {
            id: report::cause(parcel::KEY.as_bytes(), end),
            key: parcel::KEY.into(),
            time,
            ingest_time,
            headers: self.panes.headers(),
        };
        out.emit(&cause, report::of_all(&self.field, (start, end), entries));
    }
}

impl Operator for CombineWindows {
    fn process(&mut self, event: &Event, out: &mut Emitter<'_>) {
        if let Err(reason) = self.take(event) {
            out.refuse(event, reason.to_string());
        }
    }

    fn end_of_time(&mut self, time: i64, out: &mut Emitter<'_>) {
        self.waiting = false;
        let parcels = std::mem::take(&mut self.parcels);
        if std::mem::take(&mut self.full) {
            self.share_places(&parcels, out);
        }
        while self.panes.end().is_some_and(|end| end <= time) {
            self.report(time, out);
        }
    }

    fn next_timer(&self) -> Option<i64> {
        if self.waiting { None } else { self.panes.end() }
    }

    fn on_timer(&mut self, _time: i64, _out: &mut Emitter<'_>) {
        self.waiting = true;
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        match decode_key(key)? {
            StateKey::Panes(key) => self.panes.restore(key, value)?,
            StateKey::Last => self.last = Some(decode_value(value)?),
        }
        Ok(())
    }

    fn finish_restore(&mut self) -> Result<(), RestoreError> {
        self.panes.finish_restore()
    }

    fn take_changes(&mut self, change: &mut StateChange<'_>) {
        if std::mem::take(&mut self.last_changed) {
            change(&encode_key(&StateKey::Last), self.last.as_ref().map(encode_value));
        }
        self.panes.take_changes(&mut |key, value| {
            change(&encode_key(&StateKey::Panes(key)), value);
        });
    }

    fn state_entries(&self) -> usize {
        self.panes.state_entries() + usize::from(self.last.is_some())
    }
}
