//! Streams live: one or several, as server-sent events or over WebSocket.
//!
//! Records are read from the log only as fast as the client takes them, so that a client that
//! stops reading costs one batch and no more.

mod cursor;
mod reader;
mod sse;
mod websocket;

use axum::extract::Path;
use axum::extract::State;
use axum::extract::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::http::header::ORIGIN;
use axum::http::header::UPGRADE;
use axum::response::IntoResponse;
use axum::response::Response;
use millrace_core::Partition;
use millrace_http::Problem;
use millrace_plan::model::StreamPlan;

use self::cursor::Position;
use self::reader::Live;
use crate::params::Params;
use crate::params::short;
use crate::state::Shared;
use crate::state::SharedState;

/// Most streams that one client follows in one connection.
pub(crate) const MAX_STREAMS: usize = 16;

/// `GET /api/v1/streams/{stream}/events`
pub(crate) async fn stream(
    State(state): State<SharedState>,
    Path(name): Path<String>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    mut params: Params,
) -> Result<Response, Problem> {
    let plan = state.stream(&name)?.clone();
    let only: Option<Partition> = params.parsed("partition", "a partition's number")?;
    let from = params.text("from")?;
    params.finish("partition, from")?;
    let only = only.map(|partition| Shared::partition(&plan, partition)).transpose()?;
    let (parameter, text) = place(&headers, from);
    let position = Position::of_stream(parameter, &text)?;
    follow(state, vec![plan], only, &position, false, &headers, upgrade)
}

/// `GET /api/v1/events?streams=a,b,c`: several streams in one connection; each event names its
/// stream.
pub(crate) async fn streams(
    State(state): State<SharedState>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    mut params: Params,
) -> Result<Response, Problem> {
    let names = params.text("streams")?.unwrap_or_default();
    let from = params.text("from")?;
    params.finish("streams, from")?;
    let plans = named(&state, &names)?;
    let (parameter, text) = place(&headers, from);
    let position = Position::of_streams(parameter, &text)?;
    follow(state, plans, None, &position, true, &headers, upgrade)
}

fn named(state: &Shared, names: &str) -> Result<Vec<StreamPlan>, Problem> {
    let mut plans: Vec<StreamPlan> = Vec::new();
    for name in names.split(',').filter(|name| !name.is_empty()) {
        let plan = state.stream(name)?;
        if plans.iter().any(|other| other.name == plan.name) {
            return Err(Problem::parameter(
                "streams",
                format_args!("`{}` stands twice", short(name)),
            ));
        }
        plans.push(plan.clone());
    }
    if (1..=MAX_STREAMS).contains(&plans.len()) {
        Ok(plans)
    } else {
        Err(Problem::parameter(
            "streams",
            format_args!("write 1 to {MAX_STREAMS} streams with commas between them"),
        ))
    }
}

/// Where a client wants to begin, and the parameter that says so. A client that reconnects repeats
/// its address, so where it was comes first.
fn place(headers: &HeaderMap, from: Option<String>) -> (&'static str, String) {
    match headers.get("last-event-id") {
        Some(id) => ("Last-Event-ID", id.to_str().unwrap_or("?").to_owned()),
        None => ("from", from.unwrap_or_else(|| "now".to_owned())),
    }
}

fn follow(
    state: SharedState,
    plans: Vec<StreamPlan>,
    only: Option<Partition>,
    position: &Position,
    names_streams: bool,
    headers: &HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    if !headers.contains_key(UPGRADE) {
        let live = Live::open(state, plans, only, position, names_streams)?;
        return Ok(sse::answer(live));
    }
    let upgrade = upgrade.map_err(|rejection| {
        let status = rejection.into_response().status();
        Problem::new(status, "the request is no opening of a WebSocket as RFC 6455 describes it")
    })?;
    if !is_known_origin(headers, &state.plan.exposure.origins) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "pages of other origins may not follow streams: name theirs under `exposure.origins`",
        ));
    }
    let live = Live::open(state, plans, only, position, names_streams)?;
    Ok(websocket::answer(upgrade, live))
}

/// Whether the page that opens a WebSocket, if one does, came from here or may do so. Browsers
/// leave this check to the server.
fn is_known_origin(headers: &HeaderMap, origins: &[String]) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let own = origin.split_once("://").map(|(_, authority)| authority);
    origins.iter().any(|known| known == origin) || (own.is_some() && own == host)
}
