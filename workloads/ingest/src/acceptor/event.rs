//! What an event of a request becomes: a record, nothing, or a refusal with all that is wrong.

use std::ops::Range;

use bytes::Bytes;
use millrace_core::Borrowed;
use millrace_core::EventId;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::Value;

use crate::acceptor::check::Checked;
use crate::acceptor::refusal::Refusal;
use crate::acceptor::request::Admitted;
use crate::acceptor::route::Route;
use crate::acceptor::route::run;
use crate::acceptor::route::written;

/// What came in as one event.
#[derive(Debug)]
pub(crate) struct Given {
    /// The event, or what it is mapped from.
    pub(crate) body: Body,
    /// The same as it came, if that was JSON: what is stored where nothing maps it.
    pub(crate) json: Option<Bytes>,
}

/// An event, or what it is mapped from.
#[derive(Debug)]
pub(crate) enum Body {
    /// As it was read.
    Read(Value),
    /// Found valid in place: nothing but its record is made of it.
    Checked(Checked),
}

/// Checks events in place, where nothing else is to be made of them than their records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InPlace<'a> {
    pub(crate) route: &'a Route,
    /// When they arrived, in milliseconds since 1970.
    pub(crate) arrival: i64,
}

/// What an event became.
#[derive(Debug)]
pub(crate) enum Judgement {
    /// A record.
    Event(Judged),
    /// Nothing: the mapping said `abort`.
    Dropped,
    /// It is refused, for all of these reasons; with the id that it would have had, where that is
    /// known.
    Refused(Vec<Refusal>, Option<EventId>),
}

/// An event that can be stored.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) partition: Partition,
    pub(crate) record: Record,
    /// The event itself; none where it was checked in place.
    pub(crate) event: Option<Value>,
}

impl Given {
    /// Reads the JSON text of one event; what stands around it is cut off.
    ///
    /// `serde_json` refuses NaN, infinities, numbers out of a double's range, and more than 128
    /// levels.
    pub(crate) fn read(text: &Bytes, in_place: Option<InPlace<'_>>) -> Result<Self, Refusal> {
        Self::read_part(text, 0..text.len(), 1, in_place)
    }

    /// Reads the JSON text of one event within a body, which begins with line `line`, from 1.
    /// Positions of errors are those in the body; what stands before is not read for them.
    pub(crate) fn read_part(
        body: &Bytes,
        part: Range<usize>,
        line: usize,
        in_place: Option<InPlace<'_>>,
    ) -> Result<Self, Refusal> {
        let text = &body[part.clone()];
        let start = part.start + (text.len() - text.trim_ascii_start().len());
        let text = text.trim_ascii();
        let below = |refusal: Refusal| refusal.below(line - 1);
        let whole = str::from_utf8(text)
            .map_err(|error| below(not_utf8(&body[part.start..start + error.valid_up_to()])))?;
        let json = Some(body.slice(start..start + text.len()));
        if let Some(checked) = in_place.and_then(|in_place| in_place.check(whole)) {
            return Ok(Self { body: Body::Checked(checked), json });
        }
        let value = serde_json::from_str(whole)
            .map_err(|error| below(malformed(&body[part.start..start], &error)))?;
        Ok(Self { body: Body::Read(value), json })
    }

    /// An event without a body.
    pub(crate) fn nothing() -> Self {
        Self { body: Body::Read(Value::Object([].into())), json: None }
    }
}

impl InPlace<'_> {
    /// What the record of an event needs of it, where it is valid. All else is left to who reads
    /// it as a value and says what is wrong.
    pub(super) fn check(self, text: &str) -> Option<Checked> {
        self.check_read(&serde_json::from_str(text).ok()?)
    }

    /// The same of an event that was read.
    pub(crate) fn check_read(self, event: &Borrowed<'_>) -> Option<Checked> {
        self.route.check_in_place(event, self.arrival)
    }
}

/// Says where bytes are no UTF-8, behind those that are.
pub(crate) fn not_utf8(before: &[u8]) -> Refusal {
    let (line, column) = end_of(before);
    Refusal::NotUtf8 { line, column: column + 1 }
}

/// Says what is wrong with a JSON text, and where in the body.
pub(crate) fn malformed(before: &[u8], error: &serde_json::Error) -> Refusal {
    let (lines, columns) = end_of(before);
    let column = if error.line() == 1 { columns + error.column() } else { error.column() };
    let told = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    let what = told.strip_suffix(&position).unwrap_or(&told).to_owned();
    Refusal::Malformed { what, line: lines + error.line().saturating_sub(1), column }
}

/// Says what is wrong behind a part of a body.
pub(crate) fn wrong_at(before: &[u8], what: &str) -> Refusal {
    let (line, column) = end_of(before);
    Refusal::Malformed { what: what.to_owned(), line, column: column + 1 }
}

/// The line, from 1, and the column, from 0, behind a text.
fn end_of(text: &[u8]) -> (usize, usize) {
    let lines = memchr::memchr_iter(b'\n', text).count();
    let last = memchr::memrchr(b'\n', text).map_or(0, |newline| newline + 1);
    (lines + 1, text.len() - last)
}

impl Route {
    /// Decides what an event of a request becomes. `index` is its place in a batch.
    pub(crate) fn judge(
        &self,
        request: &Admitted<'_>,
        given: Given,
        index: Option<usize>,
    ) -> Judgement {
        let Given { body, json } = given;
        let text = json.as_deref().unwrap_or_default();
        let id = self.known_id(request, text, index);
        match self.make(request, body, json, id) {
            Ok(Some(judged)) => Judgement::Event(judged),
            Ok(None) => Judgement::Dropped,
            Err(refusals) => Judgement::Refused(refusals, id),
        }
    }

    fn make(
        &self,
        request: &Admitted<'_>,
        body: Body,
        json: Option<Bytes>,
        id: Option<EventId>,
    ) -> Result<Option<Judged>, Vec<Refusal>> {
        let one = |refusal| vec![refusal];
        let arrival = request.head.arrival;
        let body = match body {
            Body::Read(body) => body,
            Body::Checked(checked) => {
                let headers = request.carried.clone();
                let value = json.unwrap_or_default();
                let (partition, record) = self.record(checked, value, id, headers, arrival);
                return Ok(Some(Judged { partition, record, event: None }));
            }
        };
        let (event, value) = match (&self.map, json) {
            (Some(map), _) => {
                let context =
                    request.context(map, || id.map(|id| id.to_string()).unwrap_or_default());
                match run(map, body, context).map_err(one)? {
                    Some((event, text)) => (event, Some(text)),
                    None => return Ok(None),
                }
            }
            (None, json) => (body, json),
        };
        let checked = self.check(&event, arrival)?;
        let value = match value {
            Some(value) => value,
            None => written(&event).map_err(one)?,
        };
        let headers = request.carried.clone();
        let (partition, record) = self.record(checked, value, id, headers, arrival);
        Ok(Some(Judged { partition, record, event: Some(event) }))
    }
}
