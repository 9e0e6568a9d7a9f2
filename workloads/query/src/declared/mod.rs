//! Routes that the resource declares to be answered from tables.
//!
//! They stand before the server's own routes, so that a pipeline may have `/` for itself; what the
//! server answers for every pipeline is not declared over by a path of parameters.

mod answer;
mod matching;
mod respond;
mod values;

use std::sync::Arc;

use axum::body::HttpBody as _;
use axum::extract::FromRequestParts;
use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::header::ALLOW;
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;
use millrace_http::Problem;
use millrace_plan::OWN_PATHS;
use millrace_plan::Plan;
use millrace_plan::model::IngestSource;

use self::matching::PathTable;
use crate::metrics::RouteLabel;
use crate::params::Params;
use crate::state::Shared;
use crate::state::SharedState;

/// What a path leads to.
#[derive(Debug)]
enum Target {
    /// A query route: its index in the plan.
    Query(usize),
    /// A way in over HTTP: its method.
    Ingest(&'static str),
    /// A way in over WebSocket.
    WebSocket,
    /// A route that every pipeline has.
    Own,
}

/// The declared routes, ready to be found.
pub(crate) struct Declared(PathTable<Target>);

impl Declared {
    /// The routes of a plan.
    pub(crate) fn new(plan: &Plan) -> Self {
        let queries = plan.query.routes.iter().enumerate();
        let queries =
            queries.map(|(index, route)| (route.path.text.as_str(), Target::Query(index)));
        let ways = plan.ingest.iter().filter_map(|way| match &way.source {
            IngestSource::Http(http) => {
                Some((http.path.text.as_str(), Target::Ingest(http.method.name())))
            }
            IngestSource::WebSocket(socket) => Some((socket.path.text.as_str(), Target::WebSocket)),
            IngestSource::MqttListen(_) | IngestSource::MqttConnect(_) | IngestSource::Kafka(_) => {
                None
            }
        });
        let own = OWN_PATHS.iter().map(|(path, _)| (*path, Target::Own));
        Self(PathTable::new(queries.chain(ways).chain(own)))
    }
}

/// Answers requests of declared routes, and hands all others on. Where a declared path does not
/// take a method, the answer (405) names those that it takes.
pub(crate) async fn answer(
    State(state): State<SharedState>,
    request: Request,
    next: Next,
) -> Response {
    let reads = request.method() == Method::GET || request.method() == Method::HEAD;
    let path = request.uri().path();
    let matches: Vec<_> = state.declared.0.find(path).collect();
    let first = matches
        .iter()
        .find(|found| matches!(found.target, Target::Query(_) | Target::Own | Target::WebSocket));
    let route = match first {
        Some(found) => match found.target {
            Target::Query(index) if found.parameters.is_empty() || !is_page_file(path) => {
                Some((*index, &found.parameters))
            }
            _ => None,
        },
        None => None,
    };
    if let Some((index, parameters)) = route
        && reads
    {
        let path =
            parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let state = Arc::clone(&state);
        return query(&state, index, path, request).await;
    }
    let is_own = first.is_some_and(|found| matches!(found.target, Target::Own));
    let allowed = allowed(matches.iter().map(|found| found.target));
    let method = request.method().clone();
    let response = next.run(request).await;
    let takes = allowed.split(", ").any(|allowed| allowed == method.as_str());
    if is_own || allowed.is_empty() || takes || method == Method::OPTIONS {
        return response;
    }
    match response.status() {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => not_allowed(&allowed),
        _ => response,
    }
}

fn is_page_file(path: &str) -> bool {
    millrace_dashboard::file(path.trim_start_matches('/')).is_some()
}

fn allowed<'a>(targets: impl Iterator<Item = &'a Target>) -> String {
    let mut methods: Vec<&str> = Vec::new();
    for target in targets {
        let further: &[&str] = match target {
            Target::Query(_) => &["GET", "HEAD"],
            Target::Ingest(method) => &[method],
            Target::WebSocket => &["GET"],
            Target::Own => &[],
        };
        for method in further {
            if !methods.contains(method) {
                methods.push(method);
            }
        }
    }
    methods.sort_unstable();
    methods.join(", ")
}

fn not_allowed(allowed: &str) -> Response {
    let problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("this address takes {}", allowed.replace(", ", " and ")),
    );
    match HeaderValue::from_str(allowed) {
        Ok(value) => problem.header(ALLOW, value).into_response(),
        Err(_) => problem.into_response(),
    }
}

async fn query(
    state: &Shared,
    index: usize,
    path: Vec<(String, String)>,
    request: Request,
) -> Response {
    let Some(route) = state.plan.query.routes.get(index) else {
        return Problem::not_found("there is no such route").into_response();
    };
    let (mut parts, _) = request.into_parts();
    let answer = match Params::from_request_parts(&mut parts, &()).await {
        Ok(params) => answer::answer(state, route, path, params, &parts.uri).await,
        Err(problem) => Err(problem),
    };
    let mut response = answer.unwrap_or_else(IntoResponse::into_response);
    if parts.method == Method::HEAD {
        let length = response.body().size_hint().exact().unwrap_or(0);
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        *response.body_mut() = axum::body::Body::empty();
    }
    response.extensions_mut().insert(RouteLabel(route.path.text.clone()));
    response
}
