//! A page of a stream's records.

use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;

use crate::entries::RecordView;
use crate::entries::Start;
use crate::entries::read_records;
use crate::params::Params;
use crate::state::Shared;
use crate::state::SharedState;
use millrace_http::Problem;

/// Most records of an answer.
const MAX_RECORDS: usize = 1000;

#[derive(Serialize)]
struct Answer<'a> {
    records: Vec<RecordView<'a>>,
    next: i64,
}

/// `GET /api/v1/streams/{stream}/records`
pub(crate) async fn records(
    State(state): State<SharedState>,
    Path(stream): Path<String>,
    mut params: Params,
) -> Result<impl IntoResponse, Problem> {
    let stream = state.stream(&stream)?;
    let partition = params.parsed("partition", "a partition's number")?.unwrap_or(0);
    let partition = Shared::partition(stream, partition)?;
    let start = start(&mut params)?;
    let limit = params.limit(100, MAX_RECORDS)?;
    params.finish("partition, from, limit")?;
    let (records, next) =
        read_records(&*state.log, stream, partition, start, limit, |_| true).await?;
    let records = records
        .iter()
        .map(|(offset, record)| RecordView::of(stream, partition, *offset, record))
        .collect();
    Ok(Json(Answer { records, next }).into_response())
}

/// Takes `from`.
pub(crate) fn start(params: &mut Params) -> Result<Start, Problem> {
    let Some(text) = params.text("from")? else { return Ok(Start::Offset(0)) };
    Start::parse(&text).ok_or_else(|| {
        Problem::parameter(
            "from",
            format_args!(
                "`{}` is not an offset, `start`, `end` or `end-N`",
                crate::params::short(&text)
            ),
        )
    })
}
