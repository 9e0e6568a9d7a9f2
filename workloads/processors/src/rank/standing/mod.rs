//! The confirmed order of a group and how a frame changes it.
//!
//! A newcomer goes directly ahead of the first one in the confirmed order that it beats by value
//! in its first frame, after that frame's exchanges, and to the end if it beats none; several
//! newcomers go in by their own order. Those that it displaces change position without having
//! been overtaken; what the confirmed order then contradicts starts to count from this frame.

mod restore;

use std::cmp::Ordering;

use serde::Deserialize;
use serde::Serialize;

use super::reversals::Reversals;
use crate::entity::Entity;
use crate::entity::EntityRef;
use crate::state::EntityIndex;
pub(super) use restore::Parts;

/// The standing of one group. Competitors are numbered as they were first seen.
#[derive(Default)]
pub(super) struct Standing {
    competitors: Vec<Competitor>,
    index: EntityIndex,
    /// Confirmed position of each ranked competitor, from 1.
    positions: Vec<i64>,
    order: Order,
    order_changed: bool,
    changed: Vec<u32>,
    moved: Vec<Moved>,
    overtakes: Vec<Overtake>,
    sorted: Vec<u32>,
    reversed: Vec<(u32, u32)>,
}

/// The part of the state that concerns the group as a whole.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Order {
    /// Numbers of the competitors, first position first.
    confirmed: Vec<u32>,
    reversals: Reversals,
}

/// One entity of the group.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Competitor {
    entity: Entity,
    value: f64,
    #[serde(skip)]
    changed: bool,
}

/// A part of the state that changed.
pub(super) enum Changed<'a> {
    Order(&'a Order),
    Competitor(u32, &'a Competitor),
}

/// A competitor whose position changed, or that has its first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) competitor: u32,
    pub(super) position: i64,
    pub(super) previous: Option<i64>,
}

/// A pair that changed order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overtake {
    pub(super) passer: u32,
    pub(super) passed: u32,
    /// The passer's new position.
    pub(super) position: i64,
}

impl Standing {
    /// The number of an entity.
    pub(super) fn find(&self, entity: EntityRef<'_>) -> Option<usize> {
        self.index.find(entity)
    }

    /// How many competitors there are.
    pub(super) fn len(&self) -> usize {
        self.competitors.len()
    }

    /// The entity of a competitor.
    pub(super) fn entity(&self, competitor: u32) -> &Entity {
        &self.competitors[competitor as usize].entity
    }

    /// Positions that the last evaluation changed, ascending.
    pub(super) fn moved(&self) -> &[Moved] {
        &self.moved
    }

    /// Pairs that the last evaluation exchanged, by new positions of passer and passed.
    pub(super) fn overtakes(&self) -> &[Overtake] {
        &self.overtakes
    }

    /// Sets the value of a competitor.
    pub(super) fn set_value(&mut self, competitor: usize, value: f64) {
        let state = &mut self.competitors[competitor];
        // Compared by bits, so that what is stored is always what is there.
        if state.value.to_bits() != value.to_bits() {
            state.value = value;
            if !std::mem::replace(&mut state.changed, true) {
                self.changed.push(number(competitor));
            }
        }
    }

    /// Adds a competitor; the next evaluation gives it a position.
    pub(super) fn join(&mut self, entity: Entity, value: f64) {
        let competitor = self.competitors.len();
        self.index.insert(&entity, competitor);
        self.competitors.push(Competitor { entity, value, changed: true });
        self.changed.push(number(competitor));
    }

    /// Ends a frame at this time: exchanges what has been reversed for `hold` milliseconds, and
    /// ranks newcomers.
    pub(super) fn evaluate(&mut self, time: i64, hold: i64) {
        self.moved.clear();
        self.overtakes.clear();
        let newcomers = self.order.confirmed.len() < self.competitors.len();
        self.time_reversals(time);
        if !self.order.reversals.is_empty() {
            self.exchange(time.saturating_sub(hold));
        }
        if newcomers {
            self.rank_newcomers();
        }
        if newcomers || !self.overtakes.is_empty() {
            self.order_changed = true;
            self.time_reversals(time);
            self.number_positions();
        }
    }

    /// Whether one competitor has the better value; at equal values the one that was seen first.
    fn beats(&self, one: u32, other: u32) -> bool {
        let value = |competitor: u32| self.competitors[competitor as usize].value;
        match value(one).partial_cmp(&value(other)) {
            Some(Ordering::Greater) => true,
            Some(Ordering::Less) => false,
            Some(Ordering::Equal) | None => one < other,
        }
    }

    /// Brings the clocks up to this frame.
    fn time_reversals(&mut self, time: i64) {
        let confirmed = &self.order.confirmed;
        let in_order = confirmed.is_sorted_by(|ahead, behind| !self.beats(*behind, *ahead));
        if in_order && self.order.reversals.is_empty() {
            return;
        }
        let mut sorted = std::mem::take(&mut self.sorted);
        let mut reversed = std::mem::take(&mut self.reversed);
        sorted.clear();
        reversed.clear();
        for &behind in &self.order.confirmed {
            let beaten = sorted.iter().rev().take_while(|ahead| self.beats(behind, **ahead));
            let before = reversed.len();
            reversed.extend(beaten.map(|ahead| (*ahead, behind)));
            sorted.insert(sorted.len() - (reversed.len() - before), behind);
        }
        self.order_changed |= self.order.reversals.update(time, &reversed);
        self.sorted = sorted;
        self.reversed = reversed;
    }

    /// Exchanges neighbours that have been reversed since `latest` or longer, until none is left.
    /// Each competitor moves ahead as far as it may; those before it are settled already.
    fn exchange(&mut self, latest: i64) {
        let Order { confirmed, reversals } = &mut self.order;
        for start in 1..confirmed.len() {
            let passer = confirmed[start];
            let mut place = start;
            while place > 0
                && reversals
                    .since(confirmed[place - 1], passer)
                    .is_some_and(|since| since <= latest)
            {
                let overtaken = confirmed[place - 1];
                self.overtakes.push(Overtake { passer, passed: overtaken, position: 0 });
                confirmed.swap(place - 1, place);
                place -= 1;
            }
        }
    }

    fn rank_newcomers(&mut self) {
        let known = self.order.confirmed.len();
        let mut newcomers: Vec<u32> = (number(known)..number(self.competitors.len())).collect();
        newcomers.sort_by(
            |a, b| {
                if self.beats(*a, *b) { Ordering::Less } else { Ordering::Greater }
            },
        );
        // Whom a newcomer beats, those before it beat too: the search goes on where it ended.
        let mut place = 0;
        for newcomer in newcomers {
            let rest = &self.order.confirmed[place..];
            place += rest.iter().take_while(|other| !self.beats(newcomer, **other)).count();
            self.order.confirmed.insert(place, newcomer);
            place += 1;
        }
    }

    /// Finds out who moved and numbers the overtakes.
    fn number_positions(&mut self) {
        self.positions.resize(self.competitors.len(), 0);
        for (competitor, position) in self.order.confirmed.iter().copied().zip(1..) {
            let held = &mut self.positions[competitor as usize];
            if *held != position {
                let previous = (*held > 0).then_some(*held);
                self.moved.push(Moved { competitor, position, previous });
                *held = position;
            }
        }
        let positions = &self.positions;
        for overtake in &mut self.overtakes {
            overtake.position = positions[overtake.passer as usize];
        }
        self.overtakes.sort_by_key(|o| (o.position, positions[o.passed as usize]));
    }

    /// Hands over what changed since the last call.
    pub(super) fn take_changes(&mut self, mut change: impl FnMut(Changed<'_>)) {
        for competitor in self.changed.drain(..) {
            let state = &mut self.competitors[competitor as usize];
            state.changed = false;
            change(Changed::Competitor(competitor, state));
        }
        if std::mem::take(&mut self.order_changed) {
            change(Changed::Order(&self.order));
        }
    }
}

/// Competitors are at most `maxEntities`, far below the limit of the type.
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
