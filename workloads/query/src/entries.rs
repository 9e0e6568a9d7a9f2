//! Records of the log as JSON, and where to start reading them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use millrace_core::Headers;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_log::Log;
use millrace_log::PartitionInfo;
use millrace_log::ReadLimit;
use millrace_plan::model::StreamOrigin;
use millrace_plan::model::StreamPlan;
use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::value::RawValue;

use crate::problem::IntoProblem;
use millrace_http::Problem;

/// Most bytes of keys and values in an answer; the record that passes it is the last.
pub(crate) const MAX_ANSWER_BYTES: usize = 4 << 20;

/// Most entries that one request looks at, marks included.
const MAX_SCANNED: Offset = 20_000;

/// Entries of one step back from the end.
const LOOK_BACK_WINDOW: Offset = 250;

/// Most bytes of keys and values that are looked at on the way back; the step that passes it is
/// the last.
const MAX_LOOK_BACK_BYTES: usize = 16 << 20;

/// Where to start in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Offset(Offset),
    /// So many records before the end.
    Last(usize),
}

impl Start {
    /// Reads `from` of a request.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "start" => Some(Self::Offset(0)),
            "end" => Some(Self::Last(0)),
            _ => match text.strip_prefix("end-") {
                Some(count) => count.parse().ok().map(Self::Last),
                None => text.parse().ok().filter(|offset| *offset >= 0).map(Self::Offset),
            },
        }
    }
}

/// Reads records and passes marks over; returns them with the offset to read on from.
///
/// Of the last N records, those are found that are among the last 20,000 entries and within about
/// 16 MiB.
pub(crate) async fn read_records(
    log: &dyn Log,
    stream: &StreamPlan,
    partition: Partition,
    start: Start,
    limit: usize,
    wanted: impl Fn(&Record) -> bool,
) -> Result<(Vec<(Offset, Record)>, Offset), Problem> {
    let info = log.partition_info(&stream.name, partition).map_err(IntoProblem::into_problem)?;
    match start {
        Start::Offset(from) => scan(log, stream, partition, (from, info.end), limit, &wanted).await,
        Start::Last(0) => Ok((Vec::new(), info.end)),
        Start::Last(count) => {
            let from = look_back(log, stream, partition, info, count, &wanted).await?;
            scan(log, stream, partition, (from, info.end), limit, &wanted).await
        }
    }
}

/// Reads from an offset until the limit, the end, or enough bytes.
async fn scan(
    log: &dyn Log,
    stream: &StreamPlan,
    partition: Partition,
    (mut next, end): (Offset, Offset),
    limit: usize,
    wanted: &impl Fn(&Record) -> bool,
) -> Result<(Vec<(Offset, Record)>, Offset), Problem> {
    let mut records = Vec::new();
    let mut scanned = 0;
    let mut bytes = 0;
    while next < end && scanned < MAX_SCANNED {
        let entries = (limit - records.len()).max(100);
        let read = ReadLimit { entries, bytes: MAX_ANSWER_BYTES };
        let batch = log
            .read(&stream.name, partition, next, read)
            .await
            .map_err(IntoProblem::into_problem)?;
        if batch.entries.is_empty() {
            break;
        }
        scanned += Offset::try_from(batch.entries.len()).unwrap_or(Offset::MAX);
        for (offset, entry) in batch.entries {
            if records.len() == limit || bytes >= MAX_ANSWER_BYTES {
                return Ok((records, offset));
            }
            if let millrace_log::Entry::Record(record) = entry
                && wanted(&record)
            {
                bytes += record.key.len() + record.value.len();
                records.push((offset, record));
            }
        }
        next = batch.next;
    }
    Ok((records, next))
}

/// The offset from which on there are so many records, found by looking back window by window.
///
/// A place is all that is kept of what was looked at; from there a client reads to the end without
/// a gap, in one answer or several.
async fn look_back(
    log: &dyn Log,
    stream: &StreamPlan,
    partition: Partition,
    info: PartitionInfo,
    count: usize,
    wanted: &impl Fn(&Record) -> bool,
) -> Result<Offset, Problem> {
    let furthest = (info.end - MAX_SCANNED).max(info.start);
    let mut before = info.end;
    let mut left = count;
    let mut bytes = 0;
    while before > furthest && bytes < MAX_LOOK_BACK_BYTES {
        let from = (before - LOOK_BACK_WINDOW).max(furthest);
        let mut found = Vec::new();
        let mut next = from;
        while next < before {
            let entries = usize::try_from(before - next).unwrap_or(usize::MAX);
            let read = ReadLimit { entries, bytes: MAX_ANSWER_BYTES };
            let batch = log
                .read(&stream.name, partition, next, read)
                .await
                .map_err(IntoProblem::into_problem)?;
            if batch.entries.is_empty() {
                break;
            }
            for (offset, entry) in batch.entries {
                if let millrace_log::Entry::Record(record) = entry
                    && offset < before
                {
                    bytes += record.key.len() + record.value.len();
                    if wanted(&record) {
                        found.push(offset);
                    }
                }
            }
            next = batch.next;
        }
        if let Some(first) = found.len().checked_sub(left) {
            return Ok(found[first]);
        }
        left -= found.len();
        before = from;
    }
    Ok(before)
}

/// A record as clients see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordView<'a> {
    /// The stream, where several are followed at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    partition: Partition,
    offset: Offset,
    /// The key as text; `null` where it is none.
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    event_time: i64,
    ingest_time: i64,
    id: millrace_core::EventId,
    headers: HeadersView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

impl<'a> RecordView<'a> {
    /// The view of a record; the bytes of dead letters, and what is not JSON, are in base64.
    pub(crate) fn of(
        stream: &StreamPlan,
        partition: Partition,
        offset: Offset,
        record: &'a Record,
    ) -> Self {
        let key = std::str::from_utf8(&record.key).ok();
        let value = match stream.origin {
            StreamOrigin::DeadLetters => None,
            _ => serde_json::from_slice(&record.value).ok(),
        };
        Self {
            stream: None,
            partition,
            offset,
            key,
            key_base64: key.is_none().then(|| BASE64_STANDARD.encode(&record.key)),
            event_time: record.event_time,
            ingest_time: record.ingest_time,
            id: record.id,
            headers: HeadersView(&record.headers),
            value,
            value_base64: value.is_none().then(|| BASE64_STANDARD.encode(&record.value)),
        }
    }

    /// The view that names its stream.
    pub(crate) fn of_stream(self, stream: &'a str) -> Self {
        Self { stream: Some(stream), ..self }
    }
}

/// Headers as an object of texts.
struct HeadersView<'a>(&'a Headers);

impl Serialize for HeadersView<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.0.len()))?;
        for (name, value) in &self.0.0 {
            map.serialize_entry(name, &String::from_utf8_lossy(value))?;
        }
        map.end()
    }
}
