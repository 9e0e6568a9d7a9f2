//! The errors found so far, and the checks of single fields that add to them.

use std::str::FromStr;
use std::time::Duration;

use millrace_api as api;
use millrace_api::nearest;
use millrace_core::FieldPath;
use millrace_core::StreamName;
use millrace_core::time::parse_duration;

use crate::error::PlanError;
use crate::program::Place;
use crate::program::Program;
use crate::program::ProgramError;
use crate::program::RequestShape;

/// The errors found so far.
#[derive(Debug, Default)]
pub(super) struct Checks {
    errors: Vec<PlanError>,
}

impl Checks {
    /// All that was wrong, if anything was.
    pub(super) fn finish(self) -> Result<(), Vec<PlanError>> {
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }

    pub(super) fn error(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.errors.push(PlanError { path: path.into(), message: message.into(), hint: None });
    }

    pub(super) fn error_with_hint(
        &mut self,
        path: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.errors.push(PlanError {
            path: path.into(),
            message: message.into(),
            hint: Some(hint.into()),
        });
    }

    /// A path to a field of an event.
    pub(super) fn path(&mut self, at: &str, text: &str) -> FieldPath {
        FieldPath::from_str(text).unwrap_or_else(|_| {
            self.error_with_hint(
                at,
                format!("`{text}` is not a path"),
                "write a dot before each field, such as `.location.lat` or `.wheels[0]`",
            );
            root()
        })
    }

    /// A path that may be left out.
    pub(super) fn optional_path(
        &mut self,
        at: &str,
        text: Option<&api::Path>,
    ) -> Option<FieldPath> {
        text.map(|text| self.path(at, text))
    }

    /// A list of paths.
    pub(super) fn paths(&mut self, at: &str, texts: &[api::Path]) -> Vec<FieldPath> {
        let mut paths: Vec<FieldPath> = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let at = format!("{at}[{index}]");
            let path = self.path(&at, text);
            if paths.contains(&path) {
                self.error_with_hint(at, format!("`{text}` stands twice"), "leave one out");
            }
            paths.push(path);
        }
        paths
    }

    /// A duration.
    pub(super) fn duration(&mut self, at: &str, text: &str) -> Duration {
        parse_duration(text).unwrap_or_else(|_| {
            self.error_with_hint(
                at,
                format!("`{text}` is not a duration"),
                "write a number and a unit (ms, s, m, h, d), such as `500ms` or `1m30s`",
            );
            Duration::ZERO
        })
    }

    /// A duration that is longer than nothing.
    pub(super) fn positive_duration(&mut self, at: &str, text: &str) -> Duration {
        let before = self.errors.len();
        let duration = self.duration(at, text);
        if duration.is_zero() && self.errors.len() == before {
            self.error_with_hint(at, format!("`{text}` is no time at all"), "write `1ms` or more");
        }
        duration
    }

    /// A program; none where it does not compile.
    pub(super) fn program(&mut self, at: &str, source: &str, place: Place) -> Option<Program> {
        self.request_program(at, source, place, &RequestShape::default())
    }

    /// A program that sees a request; none where it does not compile.
    pub(super) fn request_program(
        &mut self,
        at: &str,
        source: &str,
        place: Place,
        shape: &RequestShape,
    ) -> Option<Program> {
        match Program::compile_for(source, place, shape) {
            Ok(program) => Some(program),
            Err(ProgramError::Compile(diagnostic)) => {
                self.error(at, format!("the program does not compile:\n{diagnostic}"));
                None
            }
            Err(error) => {
                self.error(at, error.to_string());
                None
            }
        }
    }

    /// An address, which all who read the resource can read as well.
    pub(super) fn without_password(&mut self, at: &str, url: &str) {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        if host.contains('@') {
            self.error_with_hint(
                at,
                "has a user or password, which all who read the resource would see",
                "write the address alone",
            );
        }
    }

    /// A whole number that the resource bounds; what is below zero counts as zero.
    pub(super) fn count(number: i32) -> usize {
        usize::try_from(number).unwrap_or_default()
    }
}

/// The event itself: stands in for a path that is wrong, in a plan that is never given out.
fn root() -> FieldPath {
    FieldPath::from_str(".").expect("a dot is the path of the event itself")
}

/// A name as that of a stream. Names that break the rules of names were reported where they are
/// declared; here they only must not collide with another.
pub(super) fn stream_name(name: &str) -> StreamName {
    StreamName::from_str(name).unwrap_or_else(|_| StreamName::dead_letters())
}

/// What to write instead of an unknown name.
pub(super) fn hint_for<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let candidates = candidates.into_iter().collect::<Vec<_>>();
    match nearest(name, candidates.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if candidates.is_empty() => "declare it first".to_owned(),
        None => format!("write one of {}", candidates.join(", ")),
    }
}
