//! Names of streams, processors and sinks, checked when they are made.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

/// Longest name, in bytes: a Kubernetes label value's limit.
pub const MAX_NAME_LENGTH: usize = 63;

/// The stream of a pipeline that takes what could not be processed.
pub const DEAD_LETTERS: &str = "dead-letters";

/// The name of a stream: 1 to 63 ASCII letters, digits, `-` and `.`, a letter first.
///
/// Only streams made by the planner contain a `.`; declared names never do, so the two cannot
/// collide. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamName(Arc<str>);

/// A string that cannot name a stream.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a name: write 1 to 63 letters, digits, `-` or `.`, a letter first")]
pub struct ParseNameError(pub String);

impl StreamName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name under which the log keeps a generation of the stream: its own for 0, and else with
    /// `.g` and the generation behind it.
    #[must_use]
    pub fn at_generation(&self, generation: i32) -> Self {
        match generation {
            0 => self.clone(),
            generation => Self(Arc::from(format!("{}{GENERATION}{generation}", self.0))),
        }
    }

    /// The stream of dead letters that every pipeline has.
    #[must_use]
    pub fn dead_letters() -> Self {
        Self(Arc::from(DEAD_LETTERS))
    }
}

/// Stands between a stream's name and its generation.
const GENERATION: &str = ".g";

/// The name in front of a generation; the length of a name is that of this part.
fn without_generation(text: &str) -> &str {
    match text.rsplit_once(GENERATION) {
        Some((name, digits))
            if (1..=10).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) =>
        {
            name
        }
        _ => text,
    }
}

impl FromStr for StreamName {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = without_generation(text).len() <= MAX_NAME_LENGTH
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        if valid { Ok(Self(Arc::from(text))) } else { Err(ParseNameError(text.to_owned())) }
    }
}

impl TryFrom<String> for StreamName {
    type Error = ParseNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<StreamName> for String {
    fn from(name: StreamName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_starts_with_a_letter_and_has_at_most_63_characters() {
        assert_eq!("carStatus".parse::<StreamName>().unwrap().as_str(), "carStatus");
        for bad in ["", "1st", "-a", "a b", "a/b", "ä", &"a".repeat(64)] {
            assert_eq!(bad.parse::<StreamName>(), Err(ParseNameError(bad.to_owned())));
        }
    }

    #[test]
    fn a_generation_does_not_count_for_the_length_and_is_read_back() {
        let long: StreamName = "a".repeat(63).parse().unwrap();
        let raised = long.at_generation(12);
        assert_eq!(raised.as_str(), format!("{}.g12", "a".repeat(63)));
        assert_eq!(raised.as_str().parse(), Ok(raised));
        assert_eq!(long.at_generation(0), long);
        assert!(format!("{long}.gx").parse::<StreamName>().is_err());
    }
}
