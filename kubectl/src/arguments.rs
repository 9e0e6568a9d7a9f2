//! Which of the words behind a command names the pipeline, and what `millrace` is given.

use std::ffi::OsStr;
use std::ffi::OsString;

use crate::cli::begins_with_dash;

/// A command of `millrace`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subcommand {
    Status,
    Tail,
    Dlq,
    Rebuild,
    Replay,
    Plan,
    Validate,
}

/// What the words behind a command say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Words {
    /// The pipeline, where one is named.
    pub(crate) pipeline: Option<String>,
    /// What is passed on.
    pub(crate) passed: Vec<OsString>,
}

/// Words below `dlq`, which are not pipelines.
const BELOW_DLQ: [&str; 4] = ["list", "show", "replay", "help"];

impl Subcommand {
    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Tail => "tail",
            Self::Dlq => "dlq",
            Self::Rebuild => "rebuild",
            Self::Replay => "replay",
            Self::Plan => "plan",
            Self::Validate => "validate",
        }
    }

    /// Words before the first option that are for `millrace`; one more names the pipeline. What
    /// comes behind an option may be its value, so it is not counted.
    fn own_words(self, first: &OsStr) -> usize {
        match self {
            Self::Tail | Self::Rebuild => 1,
            Self::Dlq if BELOW_DLQ.iter().any(|known| first == *known) => usize::MAX,
            Self::Dlq | Self::Status | Self::Replay | Self::Plan | Self::Validate => 0,
        }
    }

    /// Separates the pipeline's name from what is passed on. A name given by --pipeline is the name.
    pub(crate) fn separate(self, named: Option<String>, mut rest: Vec<OsString>) -> Words {
        let words = rest.iter().take_while(|argument| !begins_with_dash(argument)).count();
        let is_named = rest.first().is_some_and(|first| words > self.own_words(first));
        if named.is_some() || !is_named {
            return Words { pipeline: named, passed: rest };
        }
        // A name that is not UTF-8 is the name of no pipeline, which is told when it is not found.
        let pipeline = rest.remove(0).to_string_lossy().into_owned();
        Words { pipeline: Some(pipeline), passed: rest }
    }
}

/// Whether only the help of `millrace` is asked for.
pub(crate) fn asks_for_help(passed: &[OsString]) -> bool {
    let before = passed.iter().take_while(|argument| *argument != "--");
    before.into_iter().any(|argument| argument == "--help" || argument == "-h")
}

/// Adds options to what is passed on, where they still are options.
pub(crate) fn with_options(mut passed: Vec<OsString>, options: Vec<OsString>) -> Vec<OsString> {
    let end = passed.iter().position(|argument| argument == "--").unwrap_or(passed.len());
    passed.splice(end..end, options);
    passed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn separated(subcommand: Subcommand, rest: &str) -> (Option<String>, String) {
        let rest = rest.split(' ').filter(|word| !word.is_empty()).map(OsString::from);
        let Words { pipeline, passed } = subcommand.separate(None, rest.collect());
        (pipeline, passed.join(OsStr::new(" ")).into_string().unwrap())
    }

    #[test]
    fn a_word_more_than_millrace_takes_is_the_pipeline() {
        use Subcommand::{Dlq, Plan, Rebuild, Replay, Status, Tail};
        for (subcommand, rest, pipeline, passed) in [
            (Status, "", None, ""),
            (Status, "race", Some("race"), ""),
            (Status, "race --output json", Some("race"), "--output json"),
            (Status, "--output json", None, "--output json"),
            (Tail, "events", None, "events"),
            (Tail, "race events --follow", Some("race"), "events --follow"),
            (Tail, "--follow events", None, "--follow events"),
            (Rebuild, "standings", None, "standings"),
            (Rebuild, "race standings", Some("race"), "standings"),
            (Replay, "--stream cars", None, "--stream cars"),
            (Replay, "race --stream cars", Some("race"), "--stream cars"),
            (Dlq, "list", None, "list"),
            (Dlq, "show 17", None, "show 17"),
            (Dlq, "race show 17", Some("race"), "show 17"),
            (Dlq, "race replay --all", Some("race"), "replay --all"),
            (Plan, "race", Some("race"), ""),
        ] {
            let expected = (pipeline.map(str::to_owned), passed.to_owned());
            assert_eq!(separated(subcommand, rest), expected, "{subcommand:?} {rest}");
        }
    }

    #[test]
    fn a_pipeline_that_is_named_by_an_option_leaves_all_words() {
        let words = Subcommand::Dlq.separate(Some("list".to_owned()), vec!["list".into()]);
        let expected = Words { pipeline: Some("list".to_owned()), passed: vec!["list".into()] };
        assert_eq!(words, expected);
    }

    #[test]
    fn options_are_added_before_two_dashes() {
        let with = |passed: &[&str]| {
            let passed = passed.iter().map(OsString::from).collect();
            with_options(passed, vec!["--url".into(), "U".into()]).join(OsStr::new(" "))
        };
        assert_eq!(with(&["events", "--follow"]), "events --follow --url U");
        assert_eq!(with(&["--", "-x"]), "--url U -- -x");
    }

    #[test]
    fn help_behind_two_dashes_is_not_asked_for() {
        assert!(asks_for_help(&["race".into(), "--help".into()]));
        assert!(!asks_for_help(&["--".into(), "--help".into()]));
    }
}
