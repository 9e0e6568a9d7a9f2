//! Feeds in again what came in before: dead letters, and recorded requests.

use bytes::Bytes;
use millrace_core::DeadLetter;
use millrace_core::Headers;

use crate::acceptor::accept::Accepted;
use crate::acceptor::accept::Acceptor;
use crate::acceptor::accept::Outcome;
use crate::acceptor::accept::Prepared;
use crate::acceptor::accept::Refused;
use crate::acceptor::accept::UNROUTED_STAGE;
use crate::acceptor::event::Given;
use crate::acceptor::event::Judged;
use crate::acceptor::event::Judgement;
use crate::acceptor::letter::WrittenHead;
use crate::acceptor::refusal::Refusal;
use crate::acceptor::refusal::RefusalKind;
use crate::acceptor::request::RequestHead;
use crate::acceptor::route::Incoming;
use crate::acceptor::route::Route;
use crate::acceptor::topic::TopicRecord;
use crate::http::form;

/// A dead letter that could not be fed in again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It was not refused at ingest.
    #[error("dead letters of `{0}` cannot be fed in again: they were no incoming messages")]
    Stage(String),
    /// Its way in is not part of the pipeline any more.
    #[error("the pipeline has no way in `{0}` any more")]
    UnknownRoute(String),
    /// What it keeps of its request cannot be read.
    #[error("what the dead letter was cannot be made again: {0}")]
    Context(String),
    /// It was refused again, or the log does not accept.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl Acceptor {
    /// Feeds the original bytes of a dead letter through its way in again, as of now.
    ///
    /// # Errors
    /// When it was not refused at ingest, its way in is gone, or it is refused again (which
    /// makes another dead letter, if its way in still keeps them).
    pub async fn replay(&self, letter: &DeadLetter, now: i64) -> Result<Accepted, ReplayError> {
        let incoming = Incoming {
            topic: &letter.context,
            client_id: None,
            user: None,
            body: letter.original.clone(),
            arrival: now,
        };
        if letter.stage == UNROUTED_STAGE {
            return Ok(self.accept(&incoming).await?);
        }
        let name = letter
            .stage
            .strip_prefix("ingest/")
            .ok_or_else(|| ReplayError::Stage(letter.stage.clone()))?;
        let route = self.route(name).ok_or_else(|| ReplayError::UnknownRoute(name.to_owned()))?;
        if route.reads_topic() {
            return Ok(self.store(Self::prepare_again(route, letter, now)?).await?);
        }
        if !route.takes_requests() {
            return Ok(self.accept_on(route, &incoming).await?);
        }
        let head: WrittenHead = serde_json::from_str(&letter.context)
            .map_err(|error| ReplayError::Context(error.to_string()))?;
        let prepared = prepare_request(route, head, letter.original.clone(), now)
            .await
            .map_err(ReplayError::Context)?;
        Ok(self.store(prepared).await?)
    }
}

impl Acceptor {
    /// What a record of a topic becomes by now. Its headers were not kept.
    fn prepare_again<'a>(
        route: &'a Route,
        letter: &DeadLetter,
        now: i64,
    ) -> Result<Prepared<'a>, ReplayError> {
        let source = letter.source.as_ref();
        let source = source
            .ok_or_else(|| ReplayError::Context("its place in the topic is not known".into()))?;
        if letter.original.is_empty() {
            return Err(ReplayError::Context(format!(
                "its bytes are only in the topic `{}`, partition {}, offset {}",
                source.stream, source.partition, source.offset
            )));
        }
        let record = TopicRecord {
            topic: &source.stream,
            partition: source.partition,
            offset: source.offset,
            key: letter.key.clone(),
            headers: &Headers::default(),
            body: letter.original.clone(),
            timestamp: now,
        };
        Ok(Self::prepare_record(route, &record))
    }
}

/// What a message becomes that comes in by a way for requests, as JSON, with no header.
pub(super) fn prepare_incoming<'a>(route: &'a Route, incoming: &Incoming<'_>) -> Prepared<'a> {
    let head = WrittenHead {
        path: Some(incoming.topic.to_owned()).filter(|topic| topic.starts_with('/')),
        user: incoming.user.map(str::to_owned),
        ..WrittenHead::default()
    };
    let body = Some(incoming.body.clone()).filter(|body| !body.is_empty());
    match prepare_event(route, head, body, incoming.arrival) {
        Ok(prepared) => prepared,
        Err(reason) => {
            Prepared::without_entry(route, Outcome::Invalid(RefusalKind::Request, reason))
        }
    }
}

/// What a recorded request becomes; what is wrong with the record of it.
pub(crate) fn prepare_event(
    route: &Route,
    head: WrittenHead,
    body: Option<Bytes>,
    arrival: i64,
) -> Result<Prepared<'_>, String> {
    let given = match &body {
        Some(body) => route.check_size(body.len()).and_then(|()| Given::read(body, None)),
        None => Ok(Given::nothing()),
    };
    judge(route, head, given, body.unwrap_or_default(), arrival)
}

/// What a request becomes that is made again; what is wrong with the record of it.
async fn prepare_request(
    route: &Route,
    head: WrittenHead,
    original: Bytes,
    arrival: i64,
) -> Result<Prepared<'_>, String> {
    let named = head.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let given = match named.and_then(|(_, kind)| form::FormKind::of(kind)) {
        Some(kind) => form::read(&kind, &original).await,
        None if original.is_empty() => Ok(Given::nothing()),
        None => Given::read(&original, None),
    };
    judge(route, head, given, original, arrival)
}

fn judge(
    route: &Route,
    head: WrittenHead,
    given: Result<Given, Refusal>,
    original: Bytes,
    arrival: i64,
) -> Result<Prepared<'_>, String> {
    let read = head.read(route)?;
    let head = RequestHead {
        uri: &read.uri,
        headers: &read.headers,
        user: read.user.as_deref(),
        arrival,
        trace: None,
    };
    let (refusals, id) = match route.admit(head) {
        Err(error) => (vec![Refusal::Request(error.to_string())], None),
        Ok(mut request) => {
            request.known = read.id;
            match given {
                Err(refusal) => (vec![refusal], read.id),
                Ok(given) => match route.judge(&request, given, None) {
                    Judgement::Event(Judged { partition, record, .. }) => {
                        return Ok(Prepared::stored(route, partition, record));
                    }
                    Judgement::Dropped => {
                        return Ok(Prepared::without_entry(route, Outcome::Dropped));
                    }
                    Judgement::Refused(refusals, id) => (refusals, id),
                },
            }
        }
    };
    let kind = refusals.first().map_or(RefusalKind::Request, Refusal::kind);
    let reason = reasons(&refusals);
    if !route.keeps_dead_letters() {
        return Ok(Prepared::without_entry(route, Outcome::Invalid(kind, reason)));
    }
    Ok(Prepared::dead_letter(route, kind, route.letter(head, original, false, id, reason)))
}

/// All reasons in one line, as a dead letter keeps them.
pub(crate) fn reasons(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
