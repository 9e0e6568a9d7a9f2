//! The confirmed order of a group and how a frame changes it.
//!
//! A newcomer goes directly ahead of the first one in the confirmed order that it beats by value
//! in its first frame, after that frame's exchanges, and to the end if it beats none; several
//! newcomers go in by their own order. Those that it displaces change position without having
//! been overtaken; what the confirmed order then contradicts starts to count from this frame.

use std::cmp::Ordering;

use serde::Deserialize;
use serde::Serialize;

use super::reversals::Reversals;
use crate::entity::Entity;
use crate::entity::EntityRef;
use crate::state::EntityIndex;

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

    /// Puts back the group's order.
    pub(super) fn restore_order(&mut self, order: Order) {
        self.positions.clear();
        self.positions.resize(order.confirmed.len(), 0);
        for (competitor, position) in order.confirmed.iter().zip(1..) {
            // Entries come in any order: a number without its competitor yet is no mistake.
            if let Some(held) = self.positions.get_mut(*competitor as usize) {
                *held = position;
            }
        }
        self.order = order;
    }

    /// Puts back a competitor.
    pub(super) fn restore_competitor(&mut self, competitor: u32, state: Competitor) {
        let competitor = competitor as usize;
        let missing = || Competitor { entity: Entity::Integer(0), value: 0.0, changed: false };
        if self.competitors.len() <= competitor {
            self.competitors.resize_with(competitor + 1, missing);
        }
        self.index.insert(&state.entity, competitor);
        self.competitors[competitor] = state;
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A standing whose competitors 0, 1, 2 … have been ranked with these values at time 0.
    fn standing(values: &[f64]) -> Standing {
        let mut standing = Standing::default();
        for (entity, value) in (0..).zip(values) {
            standing.join(Entity::Integer(entity), *value);
        }
        standing.evaluate(0, 0);
        standing
    }

    fn frame(standing: &mut Standing, time: i64, hold: i64, values: &[f64]) {
        for (competitor, value) in values.iter().enumerate() {
            standing.set_value(competitor, *value);
        }
        standing.evaluate(time, hold);
    }

    fn overtakes(standing: &Standing) -> Vec<(u32, u32, i64)> {
        standing.overtakes().iter().map(|o| (o.passer, o.passed, o.position)).collect()
    }

    const A: u32 = 0;
    const B: u32 = 1;
    const C: u32 = 2;

    #[test]
    fn from_abc_to_cab_c_passes_both_and_nobody_else_passes() {
        let mut standing = standing(&[3.0, 2.0, 1.0]);
        frame(&mut standing, 1, 0, &[3.0, 2.0, 4.0]);
        assert_eq!(standing.order.confirmed, [C, A, B]);
        assert_eq!(overtakes(&standing), [(C, A, 1), (C, B, 1)]);
    }

    #[test]
    fn from_abc_to_cba_there_are_three_overtakes() {
        let mut standing = standing(&[3.0, 2.0, 1.0]);
        frame(&mut standing, 1, 0, &[3.0, 4.0, 5.0]);
        assert_eq!(standing.order.confirmed, [C, B, A]);
        assert_eq!(overtakes(&standing), [(C, B, 1), (C, A, 1), (B, A, 2)]);
        let moved: Vec<_> =
            standing.moved().iter().map(|m| (m.competitor, m.position, m.previous)).collect();
        assert_eq!(moved, [(C, 1, Some(3)), (A, 3, Some(1))]);
    }

    #[test]
    fn an_order_that_flips_back_within_hold_changes_nothing() {
        let mut standing = standing(&[2.0, 1.0]);
        for (time, second) in [(100, 3.0), (1099, 3.0), (1100, 1.0), (1200, 3.0), (2199, 3.0)] {
            frame(&mut standing, time, 1000, &[2.0, second]);
            assert!(standing.moved().is_empty() && standing.overtakes().is_empty(), "{time}");
        }
        frame(&mut standing, 2200, 1000, &[2.0, 3.0]);
        assert_eq!(overtakes(&standing), [(B, A, 1)]);
    }

    #[test]
    fn a_pair_that_becomes_neighbours_has_been_reversed_for_as_long_as_it_was() {
        let mut standing = standing(&[3.0, 2.0, 1.0]);
        frame(&mut standing, 100, 1000, &[3.0, 2.0, 4.0]);
        frame(&mut standing, 1100, 1000, &[3.0, 2.0, 4.0]);
        assert_eq!(overtakes(&standing), [(C, A, 1), (C, B, 1)]);
    }

    #[test]
    fn who_is_not_a_neighbour_waits_for_the_one_between() {
        let mut standing = standing(&[3.0, 2.0, 1.0]);
        // C has beaten B for a second, but A only since now.
        frame(&mut standing, 0, 1000, &[3.0, 2.0, 2.5]);
        frame(&mut standing, 1000, 1000, &[3.0, 2.0, 4.0]);
        assert_eq!(overtakes(&standing), [(C, B, 2)]);
        frame(&mut standing, 2000, 1000, &[3.0, 2.0, 4.0]);
        assert_eq!(overtakes(&standing), [(C, A, 1)]);
    }

    #[test]
    fn a_newcomer_takes_its_place_and_others_move_without_being_overtaken() {
        let mut standing = standing(&[3.0, 1.0]);
        standing.join(Entity::Integer(2), 2.0);
        standing.evaluate(1, 1000);
        assert_eq!(standing.order.confirmed, [A, C, B]);
        assert!(standing.overtakes().is_empty());
        let moved: Vec<_> =
            standing.moved().iter().map(|m| (m.competitor, m.position, m.previous)).collect();
        assert_eq!(moved, [(C, 2, None), (B, 3, Some(2))]);
    }

    #[test]
    fn a_newcomer_goes_ahead_of_the_first_that_it_beats_in_the_confirmed_order() {
        let mut standing = standing(&[3.0, 2.0]);
        // B leads by value but not yet for long enough; the newcomer is between both.
        frame(&mut standing, 100, 1000, &[3.0, 5.0]);
        standing.join(Entity::Integer(2), 4.0);
        standing.evaluate(200, 1000);
        assert_eq!(standing.order.confirmed, [C, A, B]);
        frame(&mut standing, 1100, 1000, &[3.0, 5.0, 4.0]);
        assert_eq!(overtakes(&standing), [(B, A, 2)]);
        frame(&mut standing, 1200, 1000, &[3.0, 5.0, 4.0]);
        assert_eq!(overtakes(&standing), [(B, C, 1)]);
    }

    #[test]
    fn ties_are_ranked_as_first_seen() {
        let mut standing = standing(&[1.0, 1.0]);
        frame(&mut standing, 1, 0, &[1.0, 1.0]);
        assert_eq!(standing.order.confirmed, [A, B]);
        standing.join(Entity::Integer(-1), 1.0);
        standing.evaluate(2, 0);
        assert_eq!(standing.order.confirmed, [A, B, C]);
    }

    /// Applies overtakes to an order as exchanges of neighbours, in any order that works.
    fn replay(mut order: Vec<u32>, mut overtakes: Vec<(u32, u32, i64)>) -> Vec<u32> {
        while let Some(next) = overtakes
            .iter()
            .position(|&(passer, loser, _)| order.windows(2).any(|pair| *pair == [loser, passer]))
        {
            let (passer, loser, _) = overtakes.swap_remove(next);
            let place = order.windows(2).position(|pair| *pair == [loser, passer]).unwrap();
            order.swap(place, place + 1);
        }
        assert!(overtakes.is_empty(), "an overtake is no inversion");
        order
    }

    fn frames() -> impl Strategy<Value = Vec<Vec<f64>>> {
        let values = prop::collection::vec((0..8_i32).prop_map(f64::from), 7);
        prop::collection::vec(values, 1..40)
    }

    proptest! {
        #[test]
        fn the_overtakes_of_a_frame_turn_the_old_order_into_the_new_one(
            frames in frames(),
            hold in 0_i64..5,
        ) {
            let mut standing = standing(&[0.0; 7]);
            for (time, values) in (1..).zip(&frames) {
                let old = standing.order.confirmed.clone();
                frame(&mut standing, time, hold, values);
                let found = overtakes(&standing);
                let mut pairs: Vec<_> =
                    found.iter().map(|(a, b, _)| (*a.min(b), *a.max(b))).collect();
                pairs.sort_unstable();
                pairs.dedup();
                prop_assert_eq!(pairs.len(), found.len());
                prop_assert_eq!(replay(old, found), standing.order.confirmed.clone());
            }
        }

        #[test]
        fn without_hold_every_frame_confirms_the_order_by_value(frames in frames()) {
            let mut standing = standing(&[0.0; 7]);
            for (time, values) in (1..).zip(&frames) {
                frame(&mut standing, time, 0, values);
                let mut expected: Vec<u32> = (0..7).collect();
                expected.sort_by(|a, b| {
                    values[*b as usize].total_cmp(&values[*a as usize]).then(a.cmp(b))
                });
                prop_assert_eq!(standing.order.confirmed.clone(), expected);
            }
        }

        #[test]
        fn exchanging_neighbours_in_any_order_gives_the_same_result(
            frames in frames(),
            hold in 0_i64..5,
            choices in prop::collection::vec(any::<prop::sample::Index>(), 64),
        ) {
            let mut standing = standing(&[0.0; 7]);
            let mut choices = choices.iter().cycle();
            for (time, values) in (1..).zip(&frames) {
                let mut order = standing.order.confirmed.clone();
                for (competitor, value) in values.iter().enumerate() {
                    standing.set_value(competitor, *value);
                }
                standing.time_reversals(time);
                let reversals = standing.order.reversals.clone();
                let ripe = |pair: &[u32]| {
                    reversals.since(pair[0], pair[1]).is_some_and(|since| since <= time - hold)
                };
                loop {
                    let places: Vec<usize> =
                        (1..order.len()).filter(|i| ripe(&order[i - 1..=*i])).collect();
                    if places.is_empty() {
                        break;
                    }
                    let place = places[choices.next().unwrap().index(places.len())];
                    order.swap(place - 1, place);
                }
                standing.evaluate(time, hold);
                prop_assert_eq!(standing.order.confirmed.clone(), order);
            }
        }
    }
}
