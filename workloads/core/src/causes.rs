//! Errors with their causes, in one line.

use std::error::Error;

/// An error and all its causes in one line, each behind a colon.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Errors of other libraries may tell their causes themselves.
        let told = error.to_string();
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Outer {
        text: &'static str,
        source: io::Error,
    }

    #[test]
    fn every_cause_is_told_once() {
        let told = |text| with_causes(&Outer { text, source: io::Error::other("disk on fire") });
        assert_eq!(told("cannot write"), "cannot write: disk on fire");
        assert_eq!(told("cannot write: disk on fire"), "cannot write: disk on fire");
        assert_eq!(told("disk on fire (code 5)"), "disk on fire (code 5)");
    }
}
