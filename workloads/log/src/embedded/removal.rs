//! What has to be forgotten of a stream or a task that is removed.

use fjall::Keyspace;
use millrace_core::StreamName;

use super::group::Group;
use super::keys;
use super::saved;
use super::store::Store;
use crate::TaskName;

/// Keys that are removed with one fsync: the state of a task may have any number of them.
const GROUP_KEYS: usize = 10_000;

/// Groups that remove a task's positions and state and raise its epoch, which fences whoever
/// still holds a claim of it.
pub(super) fn forget_task(store: &Store, task: &TaskName, epoch: i64) -> fjall::Result<Vec<Group>> {
    let mut first = Group::default();
    first.put(keys::epoch(task), saved::encode(&epoch));
    for key in keys_of(&store.meta, &keys::positions(task))? {
        first.remove(key);
    }
    let mut groups = vec![first];
    for keys in keys_of(&store.state, &keys::states(task))?.chunks(GROUP_KEYS) {
        let mut group = Group::default();
        for key in keys {
            group.remove_state(key.clone());
        }
        groups.push(group);
    }
    Ok(groups)
}

/// A group that removes a stream's settings, the extents of its partitions and the offsets that
/// consumer groups have in it.
pub(super) fn forget_stream(store: &Store, stream: &StreamName) -> fjall::Result<Group> {
    let mut group = Group::default();
    group.remove(keys::stream(stream));
    for key in keys_of(&store.meta, &keys::partitions(stream))? {
        group.remove(key);
    }
    for key in keys_of(&store.meta, keys::GROUP_OFFSETS)? {
        if keys::is_offset_in(&key, stream) {
            group.remove(key);
        }
    }
    Ok(group)
}

fn keys_of(keyspace: &Keyspace, prefix: &[u8]) -> fjall::Result<Vec<Vec<u8>>> {
    keyspace.prefix(prefix).map(|item| item.key().map(|key| key.to_vec())).collect()
}
