//! A standing that is put back from its entries, which come one by one and in any order.
//!
//! The entries are looked at together once all of them are there: each may be readable and yet
//! contradict the others.

use std::collections::BTreeMap;

use super::Competitor;
use super::Order;
use super::Standing;
use crate::RestoreError;

/// The entries of one group, as far as they have come.
#[derive(Default)]
pub(in crate::rank) struct Parts {
    order: Order,
    competitors: BTreeMap<u32, Competitor>,
}

impl Parts {
    /// Takes the group's order.
    pub(in crate::rank) fn order(&mut self, order: Order) {
        self.order = order;
    }

    /// Takes a competitor.
    pub(in crate::rank) fn competitor(&mut self, number: u32, competitor: Competitor) {
        self.competitors.insert(number, competitor);
    }

    /// The standing that the entries make.
    pub(in crate::rank) fn finish(self) -> Result<Standing, RestoreError> {
        let Self { order, competitors } = self;
        let mut standing = Standing::default();
        for (expected, (competitor, state)) in (0..).zip(competitors) {
            if competitor != expected {
                return Err(RestoreError::Inconsistent("a competitor is missing"));
            }
            if state.value.is_nan() {
                return Err(RestoreError::Inconsistent("a competitor has no value"));
            }
            if standing.index.find(state.entity.borrow()).is_some() {
                return Err(RestoreError::Inconsistent("an entity is two competitors"));
            }
            standing.index.insert(&state.entity, standing.competitors.len());
            standing.competitors.push(state);
        }
        standing.positions = positions(&order.confirmed, standing.len())?;
        let positions = &standing.positions;
        let reversed = |ahead: u32, behind: u32| {
            let position = |competitor: u32| positions.get(competitor as usize);
            position(ahead).zip(position(behind)).is_some_and(|(ahead, behind)| ahead < behind)
        };
        if !order.reversals.is_sound(reversed) {
            return Err(RestoreError::Inconsistent("the pairs that are reversed are not in order"));
        }
        standing.order = order;
        Ok(standing)
    }
}

/// The position of each competitor, from 1, in an order that names every one of them once.
fn positions(confirmed: &[u32], competitors: usize) -> Result<Vec<i64>, RestoreError> {
    let mut positions = vec![0; competitors];
    for (competitor, position) in confirmed.iter().zip(1..) {
        match positions.get_mut(*competitor as usize) {
            Some(held @ 0) => *held = position,
            Some(_) => return Err(RestoreError::Inconsistent("the order names one twice")),
            None => return Err(RestoreError::Inconsistent("the order names a missing competitor")),
        }
    }
    if confirmed.len() == competitors {
        Ok(positions)
    } else {
        Err(RestoreError::Inconsistent("the order leaves a competitor out"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Entity;
    use crate::rank::reversals::Reversals;

    /// Competitors with these numbers, in this order, of which these pairs are reversed.
    fn restored(
        competitors: &[(u32, i64)],
        confirmed: &[u32],
        reversed: &[(u32, u32)],
    ) -> Result<Standing, RestoreError> {
        let mut parts = Parts::default();
        let mut reversals = Reversals::default();
        reversals.update(0, reversed);
        parts.order(Order { confirmed: confirmed.to_vec(), reversals });
        for (number, entity) in competitors {
            let entity = Entity::Integer(*entity);
            parts.competitor(*number, Competitor { entity, value: 1.0, changed: false });
        }
        parts.finish()
    }

    #[test]
    fn entries_that_fit_make_the_standing_again() {
        let standing = restored(&[(1, 20), (0, 10)], &[1, 0], &[(1, 0)]).unwrap();
        assert_eq!(standing.positions, [2, 1]);
        assert_eq!(standing.find(Entity::Integer(20).borrow()), Some(1));
        assert_eq!(standing.order.reversals.since(1, 0), Some(0));
    }

    #[test]
    fn entries_that_contradict_each_other_are_refused() {
        type Case = (&'static [(u32, i64)], &'static [u32], &'static [(u32, u32)], &'static str);
        let cases: [Case; 8] = [
            (&[(0, 10)], &[0, 1], &[], "the order names a missing competitor"),
            (&[(0, 10)], &[u32::MAX], &[], "the order names a missing competitor"),
            (&[(0, 10), (1, 20)], &[0, 0], &[], "the order names one twice"),
            (&[(0, 10), (1, 20)], &[0], &[], "the order leaves a competitor out"),
            (&[(0, 10), (2, 20)], &[0, 1], &[], "a competitor is missing"),
            (&[(u32::MAX, 10)], &[0], &[], "a competitor is missing"),
            (&[(0, 10), (1, 10)], &[0, 1], &[], "an entity is two competitors"),
            (
                &[(0, 10), (1, 20)],
                &[0, 1],
                &[(1, 0)],
                "the pairs that are reversed are not in order",
            ),
        ];
        for (competitors, confirmed, reversed, expected) in cases {
            match restored(competitors, confirmed, reversed).err() {
                Some(RestoreError::Inconsistent(found)) => assert_eq!(found, expected),
                other => unreachable!("{expected}: {other:?}"),
            }
        }
    }
}
