//! Aligned windows over groups: takes what belongs to panes and tells at the end of each pane what
//! the windows of all groups come to.
//!
//! A group is active while windows that are not over have events of it. All active groups are told
//! about at the end of every pane, in an order that follows from who they are. One that is not
//! active keeps no room of a pane; where a new group finds no place, the one that has been without
//! windows for longest is forgotten. Both follow from the events alone, whatever restarts there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_core::EventId;
use millrace_core::Headers;
use serde::Deserialize;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::grid::Grid;
use super::groups::Groups;
use super::groups::TooManyGroups;
use super::history::History;
use super::identity::Grouping;
use super::idle::IdleGroups;
use super::layout::Layout;
use super::number::Number;
use super::pane::Pane;
use crate::RestoreError;
use crate::StateChange;
use crate::state::decode_key;
use crate::state::decode_value;
use crate::state::encode_key;
use crate::state::encode_value;

/// What becomes of a group when no window has events of it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idle {
    /// It is remembered with its last window. Once it has been without events for more than so
    /// many windows it makes room for a new one where there are too many.
    Remembered { windows: i64 },
    /// It is forgotten.
    Forgotten,
}

/// Windows of groups.
pub(super) struct Panes {
    pub(super) layout: Layout,
    pub(super) grouping: Grouping,
    pub(super) grid: Grid,
    headers: Arc<Headers>,
    idle: Idle,
    groups: Groups<Group>,
    /// Active groups, by a hash of who they are.
    active: Vec<(u64, usize)>,
    /// The others.
    inactive: IdleGroups,
    /// Groups that made room for new ones, until that is taken.
    forgotten: u64,
    /// Panes without events, as many at most as were needed last, to be used again.
    spare: Vec<Pane>,
    clock: Clock,
    clock_changed: bool,
    /// Complete panes that came or went, by place of their group.
    touched: Vec<(usize, i64)>,
    /// Complete panes that are being put back.
    restored: BTreeMap<Vec<u8>, BTreeMap<i64, Vec<u8>>>,
}

/// Where in time all groups are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Clock {
    /// The pane that takes events, while a group is active.
    pane: Option<i64>,
    /// The event that made it so, where no group was active before.
    first: Option<EventId>,
}

/// One group.
#[derive(Default)]
struct Group {
    /// Its last window that was reported, or the last one before its first event since.
    last: Option<i64>,
    /// The pane that takes events, once it has some.
    open: Option<Pane>,
    /// Complete panes, where windows have several.
    history: Option<Box<History>>,
    active: bool,
}

/// Key of a state entry.
#[derive(Serialize, Deserialize)]
enum StateKey<'a> {
    Clock,
    Group(&'a [u8]),
    Pane(&'a [u8], i64),
}

/// Why something does not belong to a pane.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum EnterPane {
    #[error("the window that ends at {end} ms has been reported already")]
    Reported { end: i64 },
    #[error(transparent)]
    TooMany(#[from] TooManyGroups),
}

impl Panes {
    pub(super) fn new(
        layout: Layout,
        grouping: Grouping,
        grid: Grid,
        idle: Idle,
        max_groups: usize,
    ) -> Self {
        Self {
            layout,
            grouping,
            grid,
            headers: Arc::default(),
            idle,
            groups: Groups::new(max_groups),
            active: Vec::new(),
            inactive: IdleGroups::default(),
            forgotten: 0,
            spare: Vec::new(),
            clock: Clock::default(),
            clock_changed: false,
            touched: Vec::new(),
            restored: BTreeMap::new(),
        }
    }

    /// The place of a group that gets something in a pane. Panes end in order: this one is that of
    /// [`end`](Self::end), unless no group is active.
    pub(super) fn enter(
        &mut self,
        pane: i64,
        identity: &[u8],
        cause: EventId,
    ) -> Result<usize, EnterPane> {
        if self.clock.pane.is_some_and(|open| pane < open) {
            return Err(EnterPane::Reported { end: self.grid.end(pane) });
        }
        self.make_room(pane, identity);
        let place = self.groups.enter(identity, Group::default)?;
        if self.clock.pane.is_none() {
            self.clock = Clock { pane: Some(pane), first: Some(cause) };
            self.clock_changed = true;
        }
        let group = self.groups.get_mut(place);
        if !std::mem::replace(&mut group.active, true) {
            self.active.push((xxh3_64(identity), place));
        }
        Ok(place)
    }

    /// Forgets groups that have been without windows for longest, so that one more finds a place.
    fn make_room(&mut self, pane: i64, identity: &[u8]) {
        let Idle::Remembered { windows } = self.idle else { return };
        if !self.groups.is_full() || self.groups.contains(identity) {
            return;
        }
        let horizon = pane.saturating_sub(1).saturating_sub(windows);
        while self.groups.is_full() {
            let groups = &self.groups;
            let holds = |last, place| groups.get(place).is_idle_since(last);
            let Some(place) = self.inactive.pop_before(horizon, holds) else { return };
            self.groups.remove(place);
            self.forgotten += 1;
        }
    }

    /// How many groups made room for new ones since this was asked.
    pub(super) fn take_forgotten(&mut self) -> u64 {
        std::mem::take(&mut self.forgotten)
    }

    /// Adds an event's numbers to the pane that is open.
    pub(super) fn add(&mut self, place: usize, numbers: &[Option<Number>], ingest_time: i64) {
        let Self { groups, layout, spare, .. } = self;
        groups.change(place).open(layout, spare).add(layout, numbers, ingest_time);
    }

    /// Adds what others have of the pane that is open.
    pub(super) fn merge(&mut self, place: usize, pane: &Pane) {
        let Self { groups, layout, spare, .. } = self;
        groups.change(place).open(layout, spare).merge(pane);
    }

    /// Forgets the groups that have nothing but what was added to the open pane.
    pub(super) fn forget_new(&mut self) {
        let Self { groups, active, .. } = self;
        active.retain(|(_, place)| {
            let known = groups.get(*place).history.is_some();
            if !known {
                groups.remove(*place);
            }
            known
        });
    }

    /// The windows without events between the group's last one and this pane, which is told once.
    pub(super) fn take_gap(&mut self, place: usize, pane: i64) -> std::ops::Range<i64> {
        let before = pane.saturating_sub(1);
        match self.groups.get(place).last {
            Some(last) if last < before => {
                self.groups.change(place).last = Some(before);
                last.saturating_add(1)..pane
            }
            _ => pane..pane,
        }
    }

    /// When the open pane ends, while a group is active.
    pub(super) fn end(&self) -> Option<i64> {
        self.clock.pane.map(|pane| self.grid.end(pane))
    }

    /// The headers of what windows come to: none.
    pub(super) fn headers(&self) -> Arc<Headers> {
        Arc::clone(&self.headers)
    }

    /// The event that was the first one since no group was active.
    pub(super) fn first(&self) -> Option<EventId> {
        self.clock.first
    }

    /// Number of groups.
    pub(super) fn groups(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn contains(&self, identity: &[u8]) -> bool {
        self.groups.contains(identity)
    }

    /// Ends the open pane and gives its number: what each active group has in the window that
    /// ends with it is reported.
    pub(super) fn close(
        &mut self,
        mut report: impl FnMut(&Self, i64, &[u8], &Pane),
    ) -> Option<i64> {
        let pane = self.clock.pane?;
        let mut active = std::mem::take(&mut self.active);
        let groups = &self.groups;
        active.sort_unstable_by(|(a, first), (b, second)| {
            a.cmp(b).then_with(|| groups.identity(*first).cmp(groups.identity(*second)))
        });
        for (_, place) in &active {
            self.complete(*place, pane);
        }
        for (_, place) in &active {
            if let Some(window) = self.groups.get(*place).window() {
                report(self, pane, self.groups.identity(*place), window);
            }
        }
        let needed = active.len();
        active.retain(|(_, place)| self.advance(*place, pane));
        self.active = active;
        self.spare.truncate(needed);
        let groups = &self.groups;
        self.inactive.tidy(groups.len(), |last, place| groups.get(place).is_idle_since(last));
        let next = (!self.active.is_empty()).then(|| pane.saturating_add(1));
        self.clock = Clock { pane: next, first: None };
        self.clock_changed = true;
        Some(pane)
    }

    /// Puts what the open pane has to the group's other panes.
    fn complete(&mut self, place: usize, pane: i64) {
        if self.grid.panes() > 1 && self.groups.get(place).open.is_some() {
            let Group { open, history, .. } = self.groups.change(place);
            if let Some(open) = open.take() {
                let history = history.get_or_insert_with(|| Box::new(History::new(&self.layout)));
                history.push(pane, &open);
                keep_spare(&mut self.spare, open);
            }
            self.touched.push((place, pane));
        }
    }

    /// Takes away what is in no window after this one, and tells whether anything is left.
    fn advance(&mut self, place: usize, pane: i64) -> bool {
        if let Some(history) = &mut self.groups.get_mut(place).history {
            // The next window ends one pane later and begins with this one.
            let first = pane.saturating_add(2).saturating_sub(self.grid.panes());
            history.expire(first, |number| self.touched.push((place, number)));
            if history.len() > 0 {
                self.groups.get_mut(place).last = Some(pane);
                return true;
            }
        }
        let group = self.groups.change(place);
        group.last = Some(pane);
        group.active = false;
        group.history = None;
        if let Some(open) = group.open.take() {
            keep_spare(&mut self.spare, open);
        }
        match self.idle {
            Idle::Remembered { .. } => self.inactive.push(pane, place),
            Idle::Forgotten => self.groups.remove(place),
        }
        false
    }

    pub(super) fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        match decode_key::<StateKey<'_>>(key)? {
            StateKey::Clock => self.clock = decode_value(value)?,
            StateKey::Group(identity) => {
                let (last, open): (Option<i64>, Option<Pane>) = decode_value(value)?;
                let layout = &self.layout;
                if open.as_ref().is_some_and(|open| !open.is_sound(layout)) {
                    let reason = "a pane is not one of these aggregates";
                    return Err(RestoreError::Inconsistent(reason));
                }
                let place = self.groups.restore(identity, Group::default);
                *self.groups.get_mut(place) = Group { last, open, ..Group::default() };
            }
            StateKey::Pane(identity, number) => {
                let panes = self.restored.entry(identity.to_vec()).or_default();
                panes.insert(number, value.to_vec());
            }
        }
        Ok(())
    }

    pub(super) fn finish_restore(&mut self) -> Result<(), RestoreError> {
        let pane = self.clock.pane;
        for (identity, panes) in std::mem::take(&mut self.restored) {
            if !self.groups.contains(&identity) {
                return Err(RestoreError::Inconsistent("a pane has no group"));
            }
            let layout = &self.layout;
            let place = self.groups.restore(&identity, Group::default);
            let mut history = Box::new(History::new(layout));
            for (number, stored) in panes {
                let open = pane.ok_or(RestoreError::Inconsistent("a pane has no window"))?;
                let first = open.saturating_add(1).saturating_sub(self.grid.panes());
                if !(first..open).contains(&number) {
                    return Err(RestoreError::Inconsistent("a pane is in no window to come"));
                }
                history.restore(layout, number, &stored)?;
            }
            let group = self.groups.get_mut(place);
            group.history = Some(history);
            group.last = pane.map(|pane| pane.saturating_sub(1));
        }
        let places: Vec<usize> = self.groups.places().collect();
        let mut inactive = Vec::new();
        for place in places {
            let identity = self.groups.identity(place);
            if self.grouping.read(identity).is_none() {
                return Err(RestoreError::Inconsistent("a group is not one of these fields"));
            }
            let hash = xxh3_64(identity);
            let group = self.groups.get_mut(place);
            group.active = group.open.is_some() || group.history.is_some();
            match group.last {
                _ if group.active => self.active.push((hash, place)),
                Some(last) => inactive.push((last, hash, place)),
                None => return Err(RestoreError::Inconsistent("a group has no window")),
            }
        }
        let groups = &self.groups;
        inactive.sort_unstable_by(|(a, hash, first), (b, other, second)| {
            let identities = || groups.identity(*first).cmp(groups.identity(*second));
            (a, hash).cmp(&(b, other)).then_with(identities)
        });
        for (last, _, place) in inactive {
            self.inactive.push(last, place);
        }
        if pane.is_some() == self.active.is_empty() {
            return Err(RestoreError::Inconsistent("a window is open without events or shut with"));
        }
        Ok(())
    }

    pub(super) fn take_changes(&mut self, change: &mut StateChange<'_>) {
        if std::mem::take(&mut self.clock_changed) {
            change(&encode_key(&StateKey::Clock), Some(encode_value(&self.clock)));
        }
        self.touched.sort_unstable();
        self.touched.dedup();
        for (place, number) in self.touched.drain(..) {
            let history = self.groups.get(place).history.as_ref();
            let stored = history.and_then(|history| history.stored(number));
            let key = StateKey::Pane(self.groups.identity(place), number);
            change(&encode_key(&key), stored.map(<[u8]>::to_vec));
        }
        self.groups.take_changes(|identity, group| {
            let value = group.map(|group| encode_value(&(group.last, &group.open)));
            change(&encode_key(&StateKey::Group(identity)), value);
        });
    }

    /// Groups and complete panes.
    pub(super) fn state_entries(&self) -> usize {
        let panes = |(_, place): &(u64, usize)| {
            self.groups.get(*place).history.as_ref().map_or(0, |history| history.len())
        };
        self.groups.len() + self.active.iter().map(panes).sum::<usize>()
    }
}

impl Group {
    /// The pane that takes events.
    fn open(&mut self, layout: &Layout, spare: &mut Vec<Pane>) -> &mut Pane {
        self.open.get_or_insert_with(|| spare.pop().unwrap_or_else(|| Pane::empty(layout)))
    }

    /// What is in the window that ends with the open pane.
    fn window(&self) -> Option<&Pane> {
        self.history.as_ref().map(|history| history.total()).or(self.open.as_ref())
    }

    /// Whether it has been without windows since this one.
    fn is_idle_since(&self, last: i64) -> bool {
        !self.active && self.last == Some(last)
    }
}

/// Keeps a pane's room to be used again.
fn keep_spare(spare: &mut Vec<Pane>, mut pane: Pane) {
    pane.clear();
    spare.push(pane);
}
