//! Sessions: windows of each group that end when nothing came for a while.
//!
//! A session begins with an event and ends `gap` after its last one, but no later than `longest`
//! after its first. An event at the very end of a session begins the next one. A group is
//! remembered while it has a session.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;
use std::time::Duration;

use millrace_core::Event;
use millrace_core::Headers;
use millrace_plan::model::WindowSettings;
use serde::Deserialize;
use serde::Serialize;

use super::RefuseEvent;
use super::groups::Groups;
use super::identity::Grouping;
use super::layout::Layout;
use super::number::Number;
use super::pane::Pane;
use super::report;
use crate::Cause;
use crate::Emitter;
use crate::Operator;
use crate::RestoreError;
use crate::StateChange;
use crate::state::decode_key;
use crate::state::decode_value;
use crate::state::encode_key;
use crate::state::encode_value;

/// The operator.
pub(crate) struct SessionWindow {
    layout: Layout,
    grouping: Grouping,
    /// In milliseconds.
    gap: i64,
    /// In milliseconds.
    longest: i64,
    groups: Groups<Session>,
    /// Each session once, by a time at or before its end. The first one's time is its end.
    ends: BinaryHeap<Reverse<(i64, usize)>>,
    headers: Arc<Headers>,
    identity: Vec<u8>,
    numbers: Vec<Option<Number>>,
}

/// A session that has not ended.
#[derive(Debug, Serialize, Deserialize)]
struct Session {
    start: i64,
    last: i64,
    pane: Pane,
}

/// Key of a state entry.
#[derive(Serialize, Deserialize)]
enum StateKey<'a> {
    Session(&'a [u8]),
}

impl SessionWindow {
    pub(super) fn new(settings: &WindowSettings, gap: Duration, longest: Duration) -> Self {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self {
            layout: Layout::of(&settings.compute),
            grouping: Grouping { by: settings.by.clone(), per_key: true },
            gap: millis(gap).max(1),
            longest: millis(longest).max(1),
            groups: Groups::new(settings.max_groups),
            ends: BinaryHeap::new(),
            headers: Arc::default(),
            identity: Vec::new(),
            numbers: Vec::new(),
        }
    }

    fn take(&mut self, event: &Event) -> Result<(), RefuseEvent> {
        self.grouping.write(event, &mut self.identity)?;
        self.layout.read(&event.value, &mut self.numbers)?;
        let place = self.groups.enter(&self.identity, || Session {
            start: event.time,
            last: event.time,
            pane: Pane::empty(&self.layout),
        })?;
        let session = self.groups.change(place);
        session.last = session.last.max(event.time);
        session.pane.add(&self.layout, &self.numbers, event.ingest_time);
        if session.pane.count == 1 {
            self.ends.push(Reverse((self.end(place), place)));
        }
        self.settle();
        Ok(())
    }

    /// When the session at a place ends, as far as is known.
    fn end(&self, place: usize) -> i64 {
        let Session { start, last, .. } = self.groups.get(place);
        last.saturating_add(self.gap).min(start.saturating_add(self.longest))
    }

    /// Makes the first time that of an end again. Ends only move on, so no other can be earlier.
    fn settle(&mut self) {
        while let Some(Reverse((time, place))) = self.ends.peek().copied() {
            let end = self.end(place);
            match self.ends.peek_mut() {
                Some(mut first) if time < end => *first = Reverse((end, place)),
                _ => return,
            }
        }
    }

    /// The place and the end of a session that ends by a time.
    fn pop(&mut self, time: i64) -> Option<(i64, usize)> {
        self.settle();
        let first = self.ends.peek_mut()?;
        (first.0.0 <= time).then(|| PeekMut::pop(first).0)
    }
}

impl Operator for SessionWindow {
    fn process(&mut self, event: &Event, out: &mut Emitter<'_>) {
        if let Err(reason) = self.take(event) {
            out.refuse(event, reason.to_string());
        }
    }

    fn next_timer(&self) -> Option<i64> {
        self.ends.peek().map(|Reverse((end, _))| *end)
    }

    fn on_timer(&mut self, time: i64, out: &mut Emitter<'_>) {
        let mut over: Vec<_> = std::iter::from_fn(|| self.pop(time)).collect();
        let groups = &self.groups;
        over.sort_unstable_by_key(|(end, place)| (*end, groups.identity(*place)));
        for (end, place) in &over {
            let identity = self.groups.identity(*place);
            let Some(group) = self.grouping.read(identity) else { continue };
            let Session { start, pane, .. } = self.groups.get(*place);
            let window = (*start, *end);
            let value = report::of_group(&self.layout, &self.grouping, &group.values, window, pane);
            let cause = Cause {
                id: report::cause(identity, *end),
                key: group.key,
                time,
                ingest_time: pane.ingest_time,
                headers: Arc::clone(&self.headers),
            };
            out.emit(&cause, value);
        }
        for (_, place) in over {
            self.groups.remove(place);
        }
        self.settle();
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        let StateKey::Session(identity) = decode_key(key)?;
        let session: Session = decode_value(value)?;
        if self.grouping.read(identity).is_none() {
            return Err(RestoreError::Inconsistent("a group is not one of these fields"));
        }
        if session.last < session.start || !session.pane.is_sound(&self.layout) {
            return Err(RestoreError::Inconsistent("a session is not one of these aggregates"));
        }
        if self.groups.contains(identity) {
            return Err(RestoreError::Inconsistent("a group has two sessions"));
        }
        let place = self.groups.restore(identity, || session);
        self.ends.push(Reverse((self.end(place), place)));
        Ok(())
    }

    fn take_changes(&mut self, change: &mut StateChange<'_>) {
        self.groups.take_changes(|identity, session| {
            change(&encode_key(&StateKey::Session(identity)), session.map(encode_value));
        });
    }

    fn state_entries(&self) -> usize {
        self.groups.len()
    }
}
