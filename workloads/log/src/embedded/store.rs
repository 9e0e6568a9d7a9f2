//! The fjall database below the log: which keyspaces there are and how they are tuned.

use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;

use fjall::AbstractTree;
use fjall::Database;
use fjall::Keyspace;
use fjall::KeyspaceCreateOptions;
use fjall::config::CompressionPolicy;
use fjall::config::FilterPolicy;
use millrace_core::Partition;
use millrace_core::StreamName;
use parking_lot::RwLock;
use tracing::warn;

use super::options::EmbeddedLogOptions;

const META: &str = "meta";
const STATE: &str = "state";

/// Memtables of the bookkeeping and of the states are sorted into tables at this size: they hold
/// the same few keys again and again.
const SMALL_MEMTABLE_BYTES: u64 = 4 << 20;

/// Journals beyond this make fjall sort the oldest memtables into tables.
const JOURNAL_BYTES: u64 = 128 << 20;

/// An open database.
pub(super) struct Store {
    pub(super) db: Database,
    pub(super) meta: Keyspace,
    pub(super) state: Keyspace,
    /// Entries of each partition, in the order of the partitions' slots.
    partitions: RwLock<Vec<Slot>>,
    memtable_bytes: u64,
}

/// Where a partition's entries are.
#[derive(Clone)]
enum Slot {
    /// Its stream was removed.
    Removed,
    /// In no keyspace yet, because there are none; in one of this name once there are. To make one
    /// costs some twenty calls of fsync, which streams of hundreds of partitions feel.
    Empty(String),
    /// In this keyspace.
    Open(Keyspace),
}

impl Slot {
    fn keyspace(&self) -> Option<&Keyspace> {
        match self {
            Self::Open(keyspace) => Some(keyspace),
            Self::Removed | Self::Empty(_) => None,
        }
    }
}

impl Store {
    /// Opens or makes the database. Partitions are added by [`Self::add_partitions`].
    pub(super) fn open(options: &EmbeddedLogOptions) -> fjall::Result<Self> {
        let db = Database::builder(database_folder(&options.folder))
            .cache_size(options.cache_bytes)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(2)
            // Every group says itself how durable it has to be.
            .manual_journal_persist(true)
            .open()?;
        let small = || {
            base_options()
                .max_memtable_size(SMALL_MEMTABLE_BYTES.min(options.write_buffer_bytes))
                .expect_point_read_hits(true)
        };
        let meta = db.keyspace(META, small)?;
        let state = db.keyspace(STATE, small)?;
        Ok(Self {
            db,
            meta,
            state,
            partitions: RwLock::default(),
            memtable_bytes: options.write_buffer_bytes.max(1 << 20) / 2,
        })
    }

    /// The slot that the next added partition gets. Slots of removed partitions are not used again.
    pub(super) fn next_slot(&self) -> usize {
        self.partitions.read().len()
    }

    /// Gives a stream's partitions the slots from `first_slot` on, where nothing was before, and
    /// opens the keyspaces of those that were written.
    pub(super) fn add_partitions(
        &self,
        first_slot: usize,
        stream: &StreamName,
        partitions: Partition,
    ) -> fjall::Result<()> {
        let added = (0..partitions)
            .map(|partition| {
                let name = keyspace_name(stream, partition);
                if self.db.keyspace_exists(&name) {
                    self.open_partition(&name).map(Slot::Open)
                } else {
                    Ok(Slot::Empty(name))
                }
            })
            .collect::<fjall::Result<Vec<_>>>()?;
        let mut slots = self.partitions.write();
        let end = slots.len().max(first_slot + added.len());
        slots.resize(end, Slot::Removed);
        for (slot, partition) in slots[first_slot..].iter_mut().zip(added) {
            *slot = partition;
        }
        Ok(())
    }

    fn open_partition(&self, name: &str) -> fjall::Result<Keyspace> {
        self.db.keyspace(name, || {
            // Entries are only ever read by ranges of offsets, so filters would be of no use.
            base_options()
                .max_memtable_size(self.memtable_bytes)
                .filter_policy(FilterPolicy::disabled())
        })
    }

    /// The keyspace that takes what a copy has under this name.
    pub(super) fn restored(&self, name: &str) -> fjall::Result<Keyspace> {
        match name {
            META => Ok(self.meta.clone()),
            STATE => Ok(self.state.clone()),
            name => self.open_partition(name),
        }
    }

    /// Deletes what a stream's partitions hold; their files go once nobody reads them.
    pub(super) fn remove_partitions(
        &self,
        stream: &StreamName,
        partitions: Partition,
    ) -> fjall::Result<()> {
        let names: HashSet<_> =
            (0..partitions).map(|partition| keyspace_name(stream, partition)).collect();
        for name in &names {
            if self.db.keyspace_exists(name) {
                let keyspace = self.db.keyspace(name, base_options)?;
                self.db.delete_keyspace(keyspace)?;
            }
        }
        for slot in self.partitions.write().iter_mut() {
            let removed = match slot {
                Slot::Removed => false,
                Slot::Empty(name) => names.contains(name),
                Slot::Open(keyspace) => names.contains(&**keyspace.name()),
            };
            if removed {
                *slot = Slot::Removed;
            }
        }
        Ok(())
    }

    /// Deletes what is left of streams whose removal was interrupted.
    pub(super) fn remove_unknown(&self) -> fjall::Result<()> {
        let known: HashSet<_> = self.keyspaces().iter().map(Keyspace::id).collect();
        for name in self.db.list_keyspace_names() {
            let keyspace = self.db.keyspace(&name, base_options)?;
            if !known.contains(&keyspace.id()) {
                self.db.delete_keyspace(keyspace)?;
            }
        }
        Ok(())
    }

    /// The entries of a partition; none if nothing was ever written to it, or its stream was
    /// removed.
    pub(super) fn partition(&self, slot: usize) -> Option<Keyspace> {
        self.partitions.read().get(slot).and_then(Slot::keyspace).cloned()
    }

    /// The entries of a partition that is about to be written; none if its stream was removed. The
    /// writer alone calls it.
    pub(super) fn partition_to_write(&self, slot: usize) -> fjall::Result<Option<Keyspace>> {
        let name = match self.partitions.read().get(slot) {
            None | Some(Slot::Removed) => return Ok(None),
            Some(Slot::Open(keyspace)) => return Ok(Some(keyspace.clone())),
            Some(Slot::Empty(name)) => name.clone(),
        };
        // Readers of other partitions do not wait for this.
        let keyspace = self.open_partition(&name)?;
        if let Some(slot) = self.partitions.write().get_mut(slot) {
            *slot = Slot::Open(keyspace.clone());
        }
        Ok(Some(keyspace))
    }

    /// Has the largest memtable sorted into a table if all together have more bytes than this.
    pub(super) fn sort_memtables(&self, limit: u64) {
        let keyspaces = self.keyspaces();
        let sizes = keyspaces.iter().map(|keyspace| keyspace.tree.active_memtable().size());
        let total: u64 = sizes.clone().sum();
        let largest = sizes.zip(&keyspaces).max_by_key(|(size, _)| *size);
        if let Some((_, keyspace)) = largest.filter(|_| total > limit)
            && let Err(error) = keyspace.rotate_memtable()
        {
            // If it matters, the next write fails too and is answered for.
            warn!(message = "Failed to sort recent data into a table.", %error);
        }
    }

    /// All keyspaces that there are.
    pub(super) fn keyspaces(&self) -> Vec<Keyspace> {
        let mut all = vec![self.meta.clone(), self.state.clone()];
        all.extend(self.partitions.read().iter().filter_map(Slot::keyspace).cloned());
        all
    }
}

fn base_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .manual_journal_persist(true)
        .data_block_compression_policy(CompressionPolicy::disabled())
        .index_block_compression_policy(CompressionPolicy::disabled())
}

/// Stream names have no `/`, so two partitions never share a keyspace.
fn keyspace_name(stream: &StreamName, partition: Partition) -> String {
    format!("{stream}/{partition}")
}

/// Where fjall keeps its files.
pub(super) fn database_folder(folder: &Path) -> PathBuf {
    folder.join("database")
}
