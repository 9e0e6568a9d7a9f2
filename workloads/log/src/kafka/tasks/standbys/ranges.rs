//! Which partitions may fall to a member of a group next: foreseen from how the `range` assignor
//! shares them out, which every member knows.

use std::collections::BTreeSet;
use std::ops::Range;

use millrace_core::Partition;

/// The partitions that the member at a place among all, in their order, is given.
pub(super) fn range(partitions: Partition, members: usize, place: usize) -> Range<Partition> {
    let count = usize::try_from(partitions).unwrap_or_default();
    let (each, extra) = (count / members.max(1), count % members.max(1));
    let start = each * place + place.min(extra);
    let end = start + each + usize::from(place < extra);
    let partition = |number| Partition::try_from(number).unwrap_or(partitions);
    partition(start)..partition(end)
}

/// The partitions that the member is given, at present or after a change: when up to `leaving`
/// members go, whichever they are, or when one more comes.
pub(super) fn foreseen(
    partitions: Partition,
    members: usize,
    place: usize,
    leaving: usize,
) -> BTreeSet<Partition> {
    let after = members.saturating_sub(place + 1);
    let one_more =
        [range(partitions, members + 1, place), range(partitions, members + 1, place + 1)];
    let fewer = (0..=leaving.min(members.saturating_sub(1))).flat_map(|gone| {
        // So many of them stood before this member.
        let before = gone.saturating_sub(after)..=gone.min(place);
        before.map(move |before| range(partitions, members - gone, place - before))
    });
    one_more.into_iter().chain(fewer).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(partitions: impl IntoIterator<Item = Partition>) -> BTreeSet<Partition> {
        partitions.into_iter().collect()
    }

    #[test]
    fn the_first_members_are_given_one_more_where_it_does_not_come_out_even() {
        let all: Vec<_> = (0..3).map(|place| range(8, 3, place)).collect();
        assert_eq!(all, [0..3, 3..6, 6..8]);
        let few: Vec<_> = (0..3).map(|place| range(2, 3, place)).collect();
        assert_eq!(few, [0..1, 1..2, 2..2]);
    }

    #[test]
    fn what_may_fall_to_a_member_is_a_part_of_all_where_there_are_many() {
        // At present 8 to 11; of four members 10 to 14 or 5 to 9, of six 8 to 10 or 11 to 13.
        assert_eq!(foreseen(20, 5, 2, 1), set(5..15));
        assert_eq!(foreseen(20, 5, 0, 1), set(0..8));
        assert_eq!(foreseen(20, 5, 4, 1), set(14..20));
        assert_eq!(foreseen(4, 2, 1, 1), set(0..4));
        assert_eq!(foreseen(4, 1, 0, 3), set(0..4));
    }

    #[test]
    fn whoever_goes_and_wherever_one_comes_everything_was_foreseen() {
        for partitions in 0..14 {
            for members in 1..7_u32 {
                for gone in 0..(1_u32 << members) {
                    let left = members - gone.count_ones();
                    for place in (0..members).filter(|place| gone & (1 << place) == 0) {
                        let before = (gone & ((1 << place) - 1)).count_ones();
                        let now = (place as usize, members as usize);
                        let then = range(partitions, left as usize, (place - before) as usize);
                        let known = foreseen(partitions, now.1, now.0, gone.count_ones() as usize);
                        assert!(
                            set(then).is_subset(&known),
                            "{partitions} {members} {gone:b} {place}"
                        );
                    }
                }
                for place in 0..members as usize {
                    let known = foreseen(partitions, members as usize, place, 1);
                    for then in [place, place + 1] {
                        let then = range(partitions, members as usize + 1, then);
                        assert!(set(then).is_subset(&known), "{partitions} {members} {place}");
                    }
                }
            }
        }
    }
}
