//! Examines the journals before fjall replays them.
//!
//! fjall takes whatever does not look like a journal entry for the end of the journal and
//! forgets what follows. That is right for the torn tail of a crash and wrong for damage in
//! front of acknowledged data. Since every batch begins with the number of its group, the two can
//! be told apart: a tail is torn only if everything acknowledged comes before it.

use std::fs::File;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use xxhash_rust::xxh3::Xxh3;

use super::keys;
use super::saved;
use super::store::database_folder;

/// What ends a batch in a journal of fjall's format 3.
const TRAILER: [u8; 4] = *b"FJL\x03";
const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;

/// fjall numbers batches and some of its own doings; more than this many of those between two
/// batches are damage.
const LARGEST_STEP: u64 = 1 << 20;

/// A journal that is damaged, or could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum JournalError {
    /// Data is damaged.
    #[error("{0}")]
    Damaged(String),
    /// It could not be read or cut.
    #[error("cannot read the journals")]
    Io(#[from] io::Error),
}

/// Verifies all journals and cuts off a torn tail. Returns the number of the last group in them.
pub(super) fn verify(folder: &Path, acknowledged: u64) -> Result<Option<u64>, JournalError> {
    let journals = journals(folder)?;
    let mut last: Option<Batch> = None;
    for (index, path) in journals.iter().enumerate() {
        let is_active = index + 1 == journals.len();
        let mut reader = BatchReader::open(path)?;
        loop {
            let at = reader.at;
            match reader.next()? {
                Next::Batch(batch) => {
                    let in_order = last.as_ref().is_none_or(|last| {
                        batch.group == last.group + 1
                            && batch.seqno > last.seqno
                            && batch.seqno - last.seqno < LARGEST_STEP
                    });
                    if !in_order {
                        return Err(damaged(path, at));
                    }
                    last = Some(batch);
                }
                Next::End => break,
                Next::Broken { group } => {
                    let is_acknowledged = match (&last, group) {
                        (Some(last), _) => last.group < acknowledged,
                        (None, Some(group)) => group <= acknowledged,
                        (None, None) => true,
                    };
                    if is_acknowledged || !is_active {
                        return Err(damaged(path, at));
                    }
                    cut(path, at)?;
                    break;
                }
            }
        }
    }
    Ok(last.map(|batch| batch.group))
}

/// Cuts off what was written after a group. The journals hold nothing of it if they were begun
/// later.
pub(super) fn cut_after(folder: &Path, group: u64) -> Result<(), JournalError> {
    for path in journals(folder)? {
        let mut reader = BatchReader::open(&path)?;
        loop {
            let at = reader.at;
            match reader.next()? {
                Next::Batch(batch) if batch.group <= group => {}
                Next::End => break,
                Next::Batch(_) | Next::Broken { .. } => {
                    cut(&path, at)?;
                    break;
                }
            }
        }
    }
    Ok(())
}

fn damaged(path: &Path, at: u64) -> JournalError {
    JournalError::Damaged(format!("{} is damaged at byte {at}", path.display()))
}

fn cut(path: &Path, length: u64) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_len(length)?;
    file.sync_all()
}

/// The journals, the oldest first; the last one is written to.
fn journals(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(database_folder(folder)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(found.into_iter().map(|(_, path)| path).collect());
        }
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if let Some(number) = number
            && path.extension().is_some_and(|extension| extension == "jnl")
        {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// A whole batch.
struct Batch {
    group: u64,
    seqno: u64,
}

enum Next {
    /// A whole batch.
    Batch(Batch),
    /// Nothing follows but zeros.
    End,
    /// What follows is not a whole batch; its group, if that can be read.
    Broken { group: Option<u64> },
}

/// Reads the batches of one journal.
struct BatchReader {
    reader: BufReader<File>,
    /// Where the next batch begins.
    at: u64,
    left: u64,
}

/// Why a batch could not be read.
enum Stop {
    Broken,
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Broken } else { Self::Io(error) }
    }
}

impl BatchReader {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let left = file.metadata()?.len();
        Ok(Self { reader: BufReader::with_capacity(256 << 10, file), at: 0, left })
    }

    fn next(&mut self) -> io::Result<Next> {
        if self.left == 0 {
            return Ok(Next::End);
        }
        let before = self.left;
        let mut group = None;
        match self.batch(&mut group) {
            Ok(Some(batch)) => {
                self.at += before - self.left;
                Ok(Next::Batch(batch))
            }
            Ok(None) => Ok(Next::End),
            Err(Stop::Broken) => Ok(Next::Broken { group }),
            Err(Stop::Io(error)) => Err(error),
        }
    }

    /// Reads a batch; none if only zeros follow.
    fn batch(&mut self, group: &mut Option<u64>) -> Result<Option<Batch>, Stop> {
        let [tag] = self.array()?;
        if tag == 0 {
            return if self.rest_is_zero()? { Ok(None) } else { Err(Stop::Broken) };
        }
        if tag != START {
            return Err(Stop::Broken);
        }
        let items = u32::from_le_bytes(self.array()?);
        let seqno = u64::from_le_bytes(self.array()?);
        let mut hasher = Xxh3::new();
        let mut buffer = Vec::new();
        for index in 0..items {
            self.item(&mut buffer, &mut hasher)?;
            if index == 0 {
                *group = group_number(&buffer);
            }
        }
        let [tag] = self.array()?;
        let checksum = u64::from_le_bytes(self.array()?);
        let trailer: [u8; 4] = self.array()?;
        match *group {
            Some(group) if tag == END && checksum == hasher.digest() && trailer == TRAILER => {
                Ok(Some(Batch { group, seqno }))
            }
            _ => Err(Stop::Broken),
        }
    }

    /// Reads an item into the buffer: tag, kind, compression, keyspace (8), lengths of the key
    /// (2), of the value (4) and of the value as stored (4), key, value.
    fn item(&mut self, buffer: &mut Vec<u8>, hasher: &mut Xxh3) -> Result<(), Stop> {
        let header: [u8; ITEM_HEADER] = self.array()?;
        let key = usize::from(u16::from_le_bytes([header[11], header[12]]));
        let value = u32::from_le_bytes([header[17], header[18], header[19], header[20]]) as usize;
        let length = key + value;
        if header[0] != ITEM || length as u64 > self.left {
            return Err(Stop::Broken);
        }
        buffer.clear();
        buffer.extend_from_slice(&header);
        buffer.resize(ITEM_HEADER + length, 0);
        self.reader.read_exact(&mut buffer[ITEM_HEADER..])?;
        self.left -= length as u64;
        hasher.update(buffer);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.left -= N as u64;
        Ok(bytes)
    }

    fn rest_is_zero(&mut self) -> io::Result<bool> {
        let mut buffer = vec![0; 256 << 10];
        loop {
            let length = self.reader.read(&mut buffer)?;
            if length == 0 {
                return Ok(true);
            }
            if buffer[..length].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
        }
    }
}

const ITEM_HEADER: usize = 1 + 1 + 1 + 8 + 2 + 4 + 4;

/// The number in an item that names its group.
fn group_number(item: &[u8]) -> Option<u64> {
    let value = item.get(ITEM_HEADER..)?.strip_prefix(keys::GROUP)?;
    saved::decode(value).ok()
}
