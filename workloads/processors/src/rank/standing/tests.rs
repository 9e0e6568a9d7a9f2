//! Frames and what they change in the confirmed order.

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
