//! Chunks: how entries lie in the log. A chunk holds consecutive entries of one partition that
//! were made durable together.
//!
//! Layout, integers little-endian: format byte (1), XXH3 of all that follows (8 bytes), number of
//! entries (4), bytes of entries in the partition before this chunk (8), highest arrival time of
//! the partition up to and with this chunk (8), then the entries. An entry is its length (4), its
//! kind (1) and its content. Where a chunk lies says the offset of its first entry.

use bytes::Bytes;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Mark;
use millrace_core::Record;
use xxhash_rust::xxh3::xxh3_64;

use crate::Entry;

/// The layout that this program writes.
const FORMAT: u8 = 1;
/// Bytes before the entries.
const HEADER: usize = 1 + 8 + 4 + 8 + 8;
/// Where the checksummed part begins.
const CHECKED: usize = 1 + 8;
/// A chunk with this many bytes takes no further entry.
const FULL: usize = 64 << 10;

const RECORD: u8 = 1;
const IDLE_MARK: u8 = 2;
const TASK_MARK: u8 = 3;

/// What a chunk says about itself and its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkHeader {
    /// Number of entries.
    pub(super) count: u32,
    /// Bytes of all entries of the partition before this chunk.
    pub(super) bytes_before: u64,
    /// Highest arrival time of all entries up to the end of this chunk.
    pub(super) highest_ingest_time: i64,
}

/// Writes one chunk.
#[derive(Debug)]
pub(super) struct ChunkWriter {
    buffer: Vec<u8>,
    count: u32,
}

impl ChunkWriter {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; HEADER], count: 0 }
    }

    /// Whether the next entry belongs into another chunk.
    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() >= FULL
    }

    /// Adds an entry.
    pub(super) fn push(&mut self, entry: &Entry) {
        let start = self.buffer.len();
        let buffer = &mut self.buffer;
        buffer.extend_from_slice(&[0; 4]);
        match entry {
            Entry::Record(record) => encode_record(buffer, record),
            Entry::Mark(Mark::Idle { watermark }) => {
                buffer.push(IDLE_MARK);
                buffer.extend_from_slice(&watermark.to_le_bytes());
            }
            Entry::Mark(Mark::Task { task, watermark }) => {
                buffer.push(TASK_MARK);
                buffer.extend_from_slice(&task.to_le_bytes());
                buffer.extend_from_slice(&watermark.to_le_bytes());
            }
        }
        let length = length32(buffer.len() - start - 4);
        buffer[start..start + 4].copy_from_slice(&length);
        self.count += 1;
    }

    /// Bytes of the entries so far.
    pub(super) fn entry_bytes(&self) -> u64 {
        (self.buffer.len() - HEADER) as u64
    }

    /// Completes the chunk.
    pub(super) fn finish(mut self, bytes_before: u64, highest_ingest_time: i64) -> Bytes {
        let buffer = &mut self.buffer;
        buffer[0] = FORMAT;
        buffer[9..13].copy_from_slice(&self.count.to_le_bytes());
        buffer[13..21].copy_from_slice(&bytes_before.to_le_bytes());
        buffer[21..29].copy_from_slice(&highest_ingest_time.to_le_bytes());
        let checksum = xxh3_64(&buffer[CHECKED..]);
        buffer[1..9].copy_from_slice(&checksum.to_le_bytes());
        Bytes::from(self.buffer)
    }
}

/// Lengths are checked against the log's limits before an entry comes here.
fn length32(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

fn encode_record(buffer: &mut Vec<u8>, record: &Record) {
    buffer.reserve(64 + record.key.len() + record.value.len());
    buffer.push(RECORD);
    buffer.extend_from_slice(&record.event_time.to_le_bytes());
    buffer.extend_from_slice(&record.ingest_time.to_le_bytes());
    buffer.extend_from_slice(record.id.as_bytes());
    buffer.extend_from_slice(&length32(record.key.len()));
    buffer.extend_from_slice(&record.key);
    buffer.extend_from_slice(&length32(record.headers.0.len()));
    for (name, value) in &record.headers.0 {
        buffer.extend_from_slice(&length32(name.len()));
        buffer.extend_from_slice(name.as_bytes());
        buffer.extend_from_slice(&length32(value.len()));
        buffer.extend_from_slice(value);
    }
    buffer.extend_from_slice(&record.value);
}

/// Why bytes are not a chunk.
pub(super) type Damage = &'static str;

/// Reads a chunk's header and verifies its checksum.
pub(super) fn open(chunk: &[u8]) -> Result<ChunkHeader, Damage> {
    let header = chunk.get(..HEADER).ok_or("it is shorter than a header")?;
    if header[0] != FORMAT {
        return Err("its format is unknown");
    }
    let mut cursor = Cursor { bytes: header, at: 1 };
    let checksum = u64::from_le_bytes(cursor.array()?);
    if checksum != xxh3_64(&chunk[CHECKED..]) {
        return Err("its checksum is wrong");
    }
    Ok(ChunkHeader {
        count: u32::from_le_bytes(cursor.array()?),
        bytes_before: u64::from_le_bytes(cursor.array()?),
        highest_ingest_time: i64::from_le_bytes(cursor.array()?),
    })
}

/// Bytes of the entries of a chunk that [`open`] found whole.
pub(super) fn entry_bytes(chunk: &[u8]) -> u64 {
    chunk.len().saturating_sub(HEADER) as u64
}

/// Walks over the entries of a chunk that [`open`] found whole.
///
/// Values are slices of the chunk and keep it in memory; keys and headers are copies, since those
/// may be kept long after.
pub(super) struct Entries<'a> {
    chunk: &'a Bytes,
    at: usize,
}

impl<'a> Entries<'a> {
    pub(super) fn new(chunk: &'a Bytes) -> Self {
        Self { chunk, at: HEADER }
    }

    /// Passes over entries without decoding them.
    pub(super) fn skip(&mut self, count: usize) -> Result<(), Damage> {
        for _ in 0..count {
            self.body()?;
        }
        Ok(())
    }

    /// Decodes the next entry.
    pub(super) fn next(&mut self) -> Result<Entry, Damage> {
        let (start, end) = self.body()?;
        let mut cursor = Cursor { bytes: &self.chunk[..end], at: start };
        let [kind] = cursor.array()?;
        let entry = match kind {
            RECORD => {
                let event_time = i64::from_le_bytes(cursor.array()?);
                let ingest_time = i64::from_le_bytes(cursor.array()?);
                let id = EventId::from(cursor.array::<16>()?);
                let key = Bytes::copy_from_slice(cursor.sized()?);
                let headers = headers(&mut cursor)?;
                let value = self.chunk.slice(cursor.at..end);
                return Ok(Entry::Record(Record {
                    key,
                    event_time,
                    ingest_time,
                    id,
                    headers,
                    value,
                }));
            }
            IDLE_MARK => Mark::Idle { watermark: i64::from_le_bytes(cursor.array()?) },
            TASK_MARK => Mark::Task {
                task: i32::from_le_bytes(cursor.array()?),
                watermark: i64::from_le_bytes(cursor.array()?),
            },
            _ => return Err("an entry is of an unknown kind"),
        };
        if cursor.at == end { Ok(Entry::Mark(entry)) } else { Err("a mark is too long") }
    }

    /// The bounds of the next entry's bytes.
    fn body(&mut self) -> Result<(usize, usize), Damage> {
        let mut cursor = Cursor { bytes: self.chunk, at: self.at };
        let length = u32::from_le_bytes(cursor.array()?) as usize;
        let start = cursor.at;
        cursor.take(length)?;
        self.at = cursor.at;
        Ok((start, cursor.at))
    }
}

fn headers(cursor: &mut Cursor<'_>) -> Result<Headers, Damage> {
    let count = u32::from_le_bytes(cursor.array()?);
    let mut headers = Headers::default();
    for _ in 0..count {
        let name = std::str::from_utf8(cursor.sized()?).map_err(|_| "a header is not text")?;
        headers.push(name, Bytes::copy_from_slice(cursor.sized()?));
    }
    Ok(headers)
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Damage> {
        let end = self.at.checked_add(length).ok_or("a length is too large")?;
        let bytes = self.bytes.get(self.at..end).ok_or("an entry is cut short")?;
        self.at = end;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        self.take(N)?.try_into().map_err(|_| "an entry is cut short")
    }

    fn sized(&mut self) -> Result<&'a [u8], Damage> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(chunk: &Bytes) -> Result<Vec<Entry>, Damage> {
        let header = open(chunk)?;
        let mut entries = Entries::new(chunk);
        (0..header.count).map(|_| entries.next()).collect()
    }

    fn encode(entries: &[Entry]) -> Bytes {
        let mut writer = ChunkWriter::new();
        for entry in entries {
            writer.push(entry);
        }
        writer.finish(77, 99)
    }

    prop_compose! {
        fn any_record()(
            key in proptest::collection::vec(any::<u8>(), 0..40),
            event_time in any::<i64>(),
            ingest_time in any::<i64>(),
            id in any::<[u8; 16]>(),
            headers in proptest::collection::vec((".{0,12}", proptest::collection::vec(any::<u8>(), 0..9)), 0..3),
            value in proptest::collection::vec(any::<u8>(), 0..300),
        ) -> Entry {
            Entry::Record(Record {
                key: key.into(),
                event_time,
                ingest_time,
                id: id.into(),
                headers: Headers(headers.into_iter().map(|(n, v)| (n, v.into())).collect()),
                value: value.into(),
            })
        }
    }

    fn any_entry() -> impl Strategy<Value = Entry> {
        prop_oneof![
            4 => any_record(),
            1 => any::<i64>().prop_map(|watermark| Entry::Mark(Mark::Idle { watermark })),
            1 => any::<(i32, i64)>()
                .prop_map(|(task, watermark)| Entry::Mark(Mark::Task { task, watermark })),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(entries in proptest::collection::vec(any_entry(), 0..20)) {
            let chunk = encode(&entries);
            prop_assert_eq!(decode(&chunk), Ok(entries));
        }

        #[test]
        fn any_changed_byte_is_noticed(
            entries in proptest::collection::vec(any_entry(), 1..5),
            at in any::<prop::sample::Index>(),
            change in 1..=255_u8,
        ) {
            let mut bytes = encode(&entries).to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            prop_assert!(decode(&Bytes::from(bytes)).is_err());
        }

        #[test]
        fn a_chunk_cut_short_is_noticed(
            entries in proptest::collection::vec(any_entry(), 1..5),
            at in any::<prop::sample::Index>(),
        ) {
            let chunk = encode(&entries);
            prop_assert!(decode(&chunk.slice(..at.index(chunk.len()))).is_err());
        }

        #[test]
        fn arbitrary_bytes_behind_a_right_checksum_never_panic(
            content in proptest::collection::vec(any::<u8>(), 20..200),
        ) {
            let mut bytes = vec![FORMAT];
            bytes.extend_from_slice(&xxh3_64(&content).to_le_bytes());
            bytes.extend_from_slice(&content);
            bytes[9..13].copy_from_slice(&3_u32.to_le_bytes());
            let checksum = xxh3_64(&bytes[CHECKED..]);
            bytes[1..9].copy_from_slice(&checksum.to_le_bytes());
            let _ = decode(&Bytes::from(bytes));
        }
    }

    #[test]
    fn the_header_carries_what_the_partition_had_before() {
        let chunk = encode(&[Entry::Mark(Mark::Idle { watermark: 5 })]);
        let header = open(&chunk).unwrap();
        assert_eq!(header, ChunkHeader { count: 1, bytes_before: 77, highest_ingest_time: 99 });
        assert_eq!(chunk.len(), 29 + 4 + 1 + 8);
    }
}
