//! Dead letters: listed, and shown with their original bytes.

use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::response::IntoResponse;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use millrace_core::DeadLetter;
use millrace_core::EventId;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_core::dead_letter::SourcePosition;
use millrace_log::Entry;
use millrace_log::ReadLimit;
use serde::Serialize;

use crate::entries::read_records;
use crate::params::Params;
use crate::problem::IntoProblem;
use crate::records::start;
use crate::state::Shared;
use crate::state::SharedState;
use millrace_http::Problem;

/// Most dead letters of an answer.
const MAX_LETTERS: usize = 1000;

/// Most characters of a preview.
const PREVIEW_CHARS: usize = 200;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    dead_letters: Vec<Summary>,
    next: Offset,
}

/// A dead letter without its bytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    partition: Partition,
    offset: Offset,
    stage: String,
    reason: String,
    context: String,
    source: Option<SourcePosition>,
    key: String,
    event_time: i64,
    ingest_time: i64,
    id: EventId,
    bytes: usize,
    preview: String,
}

/// A dead letter whole.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Whole {
    #[serde(flatten)]
    summary: Summary,
    original_base64: String,
    original_text: Option<String>,
}

/// `GET /api/v1/dead-letters`
pub(crate) async fn list(
    State(state): State<SharedState>,
    mut params: Params,
) -> Result<impl IntoResponse, Problem> {
    let stream = state.stream(StreamName::dead_letters().as_str())?;
    let partition = params.parsed("partition", "a partition's number")?.unwrap_or(0);
    let partition = Shared::partition(stream, partition)?;
    let start = start(&mut params)?;
    let limit = params.limit(100, MAX_LETTERS)?;
    let refused_by = params.text("stage")?;
    params.finish("partition, from, limit, stage")?;
    let wanted = |record: &Record| {
        refused_by.as_ref().is_none_or(|stage| {
            DeadLetter::from_record(Record { value: bytes::Bytes::new(), ..record.clone() }).stage
                == *stage
        })
    };
    let (records, next) =
        read_records(&*state.log, stream, partition, start, limit, wanted).await?;
    let dead_letters = records
        .into_iter()
        .map(|(offset, record)| summary(partition, offset, DeadLetter::from_record(record)))
        .collect();
    Ok(Json(List { dead_letters, next }))
}

/// `GET /api/v1/dead-letters/{offset}`
pub(crate) async fn show(
    State(state): State<SharedState>,
    Path(offset): Path<String>,
    mut params: Params,
) -> Result<impl IntoResponse, Problem> {
    let partition: Option<Partition> = params.parsed("partition", "a partition's number")?;
    params.finish("partition")?;
    let record = find(&state, partition, &offset).await?;
    let letter = DeadLetter::from_record(record);
    let original = letter.original.clone();
    Ok(Json(Whole {
        summary: summary(partition.unwrap_or(0), offset.parse().unwrap_or(0), letter),
        original_base64: BASE64_STANDARD.encode(&original),
        original_text: std::str::from_utf8(&original).ok().map(str::to_owned),
    }))
}

/// The record of a dead letter.
pub(crate) async fn find(
    state: &SharedState,
    partition: Option<Partition>,
    offset: &str,
) -> Result<Record, Problem> {
    let stream = state.stream(StreamName::dead_letters().as_str())?;
    let partition = Shared::partition(stream, partition.unwrap_or(0))?;
    let offset: Offset = offset.parse().map_err(|_| {
        Problem::parameter(
            "offset",
            format_args!("`{}` is not an offset", crate::params::short(offset)),
        )
    })?;
    let limit = ReadLimit { entries: 1, ..ReadLimit::default() };
    let batch = state
        .log
        .read(&stream.name, partition, offset, limit)
        .await
        .map_err(IntoProblem::into_problem)?;
    match batch.entries.into_iter().next() {
        Some((found, Entry::Record(record))) if found == offset => Ok(record),
        _ => Err(Problem::not_found(format!("there is no dead letter at offset {offset}"))),
    }
}

fn summary(partition: Partition, offset: Offset, letter: DeadLetter) -> Summary {
    // Four bytes are the most that a character has.
    let head = &letter.original[..letter.original.len().min(PREVIEW_CHARS * 4)];
    let preview = String::from_utf8_lossy(head)
        .chars()
        .take(PREVIEW_CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    Summary {
        partition,
        offset,
        stage: letter.stage,
        reason: letter.reason,
        context: letter.context,
        source: letter.source,
        key: String::from_utf8_lossy(&letter.key).into_owned(),
        event_time: letter.event_time,
        ingest_time: letter.ingest_time,
        id: letter.id,
        bytes: letter.original.len(),
        preview,
    }
}
