//! Keys of the bookkeeping and of task states. Texts inside of keys are escaped so that keys sort
//! as their parts do.

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;

use crate::TaskName;

/// The number of the last group that was written. The first item of every group, so that a group
/// can be recognised in the journal.
pub(super) const GROUP: &[u8] = b"group";

/// Prefix of the streams' settings.
pub(super) const STREAMS: &[u8] = b"stream:";
/// Prefix of the partitions' progress.
const PARTITIONS: &[u8] = b"partition:";
/// Prefix of the offsets of consumer groups.
pub(super) const GROUP_OFFSETS: &[u8] = b"offset:";
const EPOCHS: &[u8] = b"epoch:";
const POSITIONS: &[u8] = b"position:";

/// Where a chunk lies in its partition: big-endian, so that chunks sort by offset.
pub(super) fn chunk(first: Offset) -> [u8; 8] {
    first.cast_unsigned().to_be_bytes()
}

/// The offset of a chunk's first entry.
pub(super) fn chunk_offset(key: &[u8]) -> Option<Offset> {
    Some(u64::from_be_bytes(key.try_into().ok()?).cast_signed())
}

pub(super) fn stream(stream: &StreamName) -> Vec<u8> {
    [STREAMS, stream.as_str().as_bytes()].concat()
}

/// Prefix of the progress of a stream's partitions.
pub(super) fn partitions(stream: &StreamName) -> Vec<u8> {
    let mut key = PARTITIONS.to_vec();
    push_text(&mut key, stream.as_str().as_bytes());
    key
}

/// Whether the key of a group's offset is of an offset in this stream. The texts in front of the
/// partition end in the same way, and none is the end of another.
pub(super) fn is_offset_in(key: &[u8], stream: &StreamName) -> bool {
    let mut end = vec![0, 1];
    push_text(&mut end, stream.as_str().as_bytes());
    key.len().checked_sub(4).is_some_and(|length| key[..length].ends_with(&end))
}

pub(super) fn partition(stream: &StreamName, partition: Partition) -> Vec<u8> {
    let mut key = partitions(stream);
    key.extend_from_slice(&partition.to_be_bytes());
    key
}

pub(super) fn group_offset(group: &str, stream: &StreamName, partition: Partition) -> Vec<u8> {
    let mut key = GROUP_OFFSETS.to_vec();
    push_text(&mut key, group.as_bytes());
    push_text(&mut key, stream.as_str().as_bytes());
    key.extend_from_slice(&partition.to_be_bytes());
    key
}

pub(super) fn epoch(task: &TaskName) -> Vec<u8> {
    let mut key = EPOCHS.to_vec();
    push_task(&mut key, task);
    key
}

pub(super) fn positions(task: &TaskName) -> Vec<u8> {
    let mut key = POSITIONS.to_vec();
    push_task(&mut key, task);
    key
}

pub(super) fn position(task: &TaskName, stream: &StreamName, partition: Partition) -> Vec<u8> {
    let mut key = positions(task);
    push_text(&mut key, stream.as_str().as_bytes());
    key.extend_from_slice(&partition.to_be_bytes());
    key
}

/// Prefix of a task's state.
pub(super) fn states(task: &TaskName) -> Vec<u8> {
    let mut key = Vec::new();
    push_task(&mut key, task);
    key
}

pub(super) fn state(task: &TaskName, store: &str, key_in_store: &[u8]) -> Vec<u8> {
    let mut key = states(task);
    push_text(&mut key, store.as_bytes());
    key.extend_from_slice(key_in_store);
    key
}

/// Takes the store off what follows the task in a state's key; the rest is the key in the store.
pub(super) fn split_store(rest: &[u8]) -> Option<(String, &[u8])> {
    let mut store = Vec::new();
    let mut at = 0;
    loop {
        match (rest.get(at)?, rest.get(at + 1)) {
            (0, Some(0xff)) => {
                store.push(0);
                at += 2;
            }
            (0, Some(1)) => return Some((String::from_utf8(store).ok()?, &rest[at + 2..])),
            (0, _) => return None,
            (byte, _) => {
                store.push(*byte);
                at += 1;
            }
        }
    }
}

fn push_task(key: &mut Vec<u8>, task: &TaskName) {
    push_text(key, task.stage.as_bytes());
    key.extend_from_slice(&task.partition.to_be_bytes());
}

/// Appends a text so that no text is the beginning of another and the order is that of the bytes.
fn push_text(key: &mut Vec<u8>, text: &[u8]) {
    for byte in text {
        key.push(*byte);
        if *byte == 0 {
            key.push(0xff);
        }
    }
    key.extend_from_slice(&[0, 1]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn task(stage: &str) -> TaskName {
        TaskName { stage: stage.to_owned(), partition: 3 }
    }

    proptest! {
        #[test]
        fn a_states_key_gives_its_parts_back_and_sorts_as_they_do(
            a in ("[\\x00-\\x02a]{0,4}", proptest::collection::vec(any::<u8>(), 0..4)),
            b in ("[\\x00-\\x02a]{0,4}", proptest::collection::vec(any::<u8>(), 0..4)),
        ) {
            let (x, y) = (state(&task("s"), &a.0, &a.1), state(&task("s"), &b.0, &b.1));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            let prefix = states(&task("s")).len();
            prop_assert_eq!(split_store(&x[prefix..]), Some((a.0.clone(), a.1.as_slice())));
        }
    }

    #[test]
    fn the_states_of_one_task_are_not_among_those_of_another() {
        assert!(!state(&task("ab"), "x", b"y").starts_with(&states(&task("a"))));
        assert!(state(&task("a"), "x", b"y").starts_with(&states(&task("a"))));
    }

    #[test]
    fn chunks_sort_by_offset() {
        assert!(chunk(255) < chunk(256));
        assert_eq!(chunk_offset(&chunk(1 << 40)), Some(1 << 40));
        assert_eq!(chunk_offset(b"short"), None);
    }
}
