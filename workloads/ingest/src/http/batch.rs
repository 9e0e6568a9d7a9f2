//! The events of a batch, one after another, each with its place.

use std::ops::Range;

use bytes::Bytes;
use millrace_core::Borrowed;
use millrace_core::Value;
use serde_json::Deserializer;

use crate::acceptor::Body;
use crate::acceptor::Checked;
use crate::acceptor::Given;
use crate::acceptor::InPlace;
use crate::acceptor::Refusal;
use crate::acceptor::malformed;
use crate::acceptor::not_utf8;
use crate::acceptor::wrong_at;

/// An event of a batch as it came.
#[derive(Debug)]
pub(super) struct Item {
    /// Its line, from 1, where there are lines.
    pub(super) line: Option<usize>,
    /// Its bytes.
    pub(super) original: Bytes,
    /// The event; why it cannot be read, else.
    pub(super) given: Result<Given, Refusal>,
}

/// The lines of NDJSON that are not blank. More blank lines than are allowed end it.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    body: &'a Bytes,
    in_place: Option<InPlace<'a>>,
    next: usize,
    line: usize,
    blank: usize,
    max_blank: usize,
}

impl<'a> Lines<'a> {
    /// Events are checked in place where that is given.
    pub(super) const fn new(
        body: &'a Bytes,
        max_blank: usize,
        in_place: Option<InPlace<'a>>,
    ) -> Self {
        Self { body, in_place, next: 0, line: 0, blank: 0, max_blank }
    }

    fn next_line(&mut self) -> Option<Range<usize>> {
        let start = self.next;
        let rest = self.body.get(start..).filter(|rest| !rest.is_empty())?;
        let end = memchr::memchr(b'\n', rest).map_or(self.body.len(), |newline| start + newline);
        self.next = end + 1;
        self.line += 1;
        Some(start..end)
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<Item, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let part = self.next_line()?;
            let text = &self.body[part.clone()];
            let trimmed = text.trim_ascii();
            if trimmed.is_empty() {
                self.blank += 1;
                if self.blank > self.max_blank {
                    let what = format!("more than {} lines are blank", self.max_blank);
                    return Some(Err(Refusal::Malformed { what, line: self.line, column: 1 }));
                }
                continue;
            }
            let given = Given::read_part(self.body, part, self.line, self.in_place);
            let original = match &given {
                Ok(Given { json: Some(json), .. }) => json.clone(),
                _ => self.body.slice_ref(trimmed),
            };
            return Some(Ok(Item { line: Some(self.line), original, given }));
        }
    }
}

/// The elements of a JSON array. What is no JSON ends it: nothing behind it can be read.
#[derive(Debug)]
pub(super) struct Elements<'a> {
    body: &'a Bytes,
    in_place: Option<InPlace<'a>>,
    text: &'a str,
    next: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Behind the opening bracket.
    First,
    /// Behind an element.
    Behind,
    /// Behind the closing bracket, or behind what cannot be read.
    End,
}

impl<'a> Elements<'a> {
    /// Begins to read a body whose first character is the opening bracket. Events are checked in
    /// place where that is given.
    pub(super) fn new(body: &'a Bytes, in_place: Option<InPlace<'a>>) -> Result<Self, Refusal> {
        let text = str::from_utf8(body).map_err(|error| not_utf8(&body[..error.valid_up_to()]))?;
        let next = text.find('[').map_or(0, |bracket| bracket + 1);
        Ok(Self { body, in_place, text, next, state: State::First })
    }

    fn skip_blanks(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.next..];
        let blanks = rest.iter().position(|b| !matches!(b, b' ' | b'\n' | b'\r' | b'\t'));
        self.next += blanks.unwrap_or(rest.len());
        self.text.as_bytes().get(self.next).copied()
    }

    /// What is wrong where an element, a comma or a bracket should stand.
    fn wrong(&self, what: &str) -> Refusal {
        wrong_at(&self.text.as_bytes()[..self.next], what)
    }

    /// The next element if it is valid in place, and its bytes.
    fn checked(&self) -> Option<(Checked, usize)> {
        let in_place = self.in_place?;
        let mut stream =
            Deserializer::from_str(&self.text[self.next..]).into_iter::<Borrowed<'_>>();
        let event = stream.next()?.ok()?;
        Some((in_place.check_read(&event)?, stream.byte_offset()))
    }

    fn element(&mut self) -> Result<Item, Refusal> {
        let start = self.next;
        let (body, length) = if let Some((checked, length)) = self.checked() {
            (Body::Checked(checked), length)
        } else {
            let rest = &self.text[start..];
            let mut stream = Deserializer::from_str(rest).into_iter::<Value>();
            match stream.next() {
                Some(Ok(body)) => (Body::Read(body), stream.byte_offset()),
                Some(Err(error)) => {
                    return Err(malformed(&self.text.as_bytes()[..start], &error));
                }
                None => return Err(self.wrong("the array does not end")),
            }
        };
        self.next = start + length;
        self.state = State::Behind;
        let json = self.body.slice(start..self.next);
        let given = Ok(Given { body, json: Some(json.clone()) });
        Ok(Item { line: None, original: json, given })
    }

    fn step(&mut self) -> Result<Option<Item>, Refusal> {
        match (self.state, self.skip_blanks()) {
            (State::End, _) => Ok(None),
            (State::First | State::Behind, Some(b']')) => {
                self.next += 1;
                self.state = State::End;
                match self.skip_blanks() {
                    None => Ok(None),
                    Some(_) => Err(self.wrong("trailing characters")),
                }
            }
            (State::Behind, Some(b',')) => {
                self.next += 1;
                self.skip_blanks();
                self.element().map(Some)
            }
            (State::First, Some(_)) => self.element().map(Some),
            (State::Behind, Some(_)) => Err(self.wrong("expected `,` or `]`")),
            (State::First | State::Behind, None) => Err(self.wrong("the array does not end")),
        }
    }
}

impl Iterator for Elements<'_> {
    type Item = Result<Item, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.state = State::End;
        }
        step.transpose()
    }
}
