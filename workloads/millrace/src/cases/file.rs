//! Files of test cases: `<pipeline>.test.yaml` beside `<pipeline>.yaml`.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::cases::http::Exchange;

/// A file of test cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct CaseFile {
    /// The pipeline's file, beside this one; without it the name of this file without `.test`.
    pub(crate) pipeline: Option<PathBuf>,
    /// What Secrets hold, by name and key: those that `exposure` names.
    #[serde(default)]
    pub(crate) secrets: BTreeMap<String, BTreeMap<String, String>>,
    /// The cases.
    pub(crate) cases: Vec<Case>,
}

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Case {
    /// Its name: the rule that it shows.
    pub(crate) name: String,
    /// The way in that all input takes; without it the only one, or the one that takes the topic.
    pub(crate) ingest: Option<String>,
    /// A file of recorded messages, beside this one; they come before `events`.
    pub(crate) file: Option<PathBuf>,
    /// Messages, in order.
    #[serde(default)]
    pub(crate) events: Vec<CaseEvent>,
    /// Requests, in order, after `events`; nothing is computed before the last one is answered.
    #[serde(default)]
    pub(crate) http: Vec<Exchange>,
    /// What must come out. What is not named is not looked at.
    #[serde(default)]
    pub(crate) expect: Expectations,
}

/// One message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct CaseEvent {
    /// Its topic.
    pub(crate) topic: String,
    /// Its content as JSON.
    pub(crate) payload: Option<Value>,
    /// Its content as text, where it is not JSON.
    pub(crate) text: Option<String>,
    /// When it arrives, in milliseconds since 1970; without it at once.
    pub(crate) at: Option<i64>,
}

/// What must come out.
///
/// Each list is complete and in order. Of each object the fields that are written must be equal,
/// numbers to 1e-9 of their size; further fields are not looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Expectations {
    /// Events by stream, in the order of event time and key.
    #[serde(default)]
    pub(crate) streams: BTreeMap<String, Vec<Value>>,
    /// Messages of `mqtt` sinks by topic.
    #[serde(default)]
    pub(crate) mqtt: BTreeMap<String, Vec<Value>>,
    /// Bodies of the requests of `webhook` sinks, by sink, in the order of event time.
    #[serde(default)]
    pub(crate) webhooks: BTreeMap<String, Vec<Value>>,
    /// Requests, in order, once everything is computed.
    #[serde(default)]
    pub(crate) http: Vec<Exchange>,
    /// Rows by table, in the order of the primary key.
    #[serde(default)]
    pub(crate) tables: BTreeMap<String, Vec<Value>>,
    /// Dead letters by `stage`, with a part of their `reason`.
    pub(crate) dead_letters: Option<Vec<ExpectedDeadLetter>>,
    /// Number of events by stream, for what is too much to write out.
    #[serde(default)]
    pub(crate) counts: BTreeMap<String, usize>,
}

/// A dead letter that must be there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ExpectedDeadLetter {
    /// Who refused it.
    pub(crate) stage: String,
    /// A part of the reason.
    #[serde(default)]
    pub(crate) reason: String,
}

/// A file of test cases that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadCasesError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It has another form.
    #[error("{path} is not a file of test cases")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_yaml_ng::Error,
    },
    /// Its name does not say which pipeline it tests.
    #[error(
        "{path} does not say which pipeline it tests: write `pipeline: FILE`, or name it like the pipeline with `.test.yaml` at the end"
    )]
    Pipeline {
        /// The file.
        path: PathBuf,
    },
}

/// The file of test cases that is meant: a pipeline's own file stands for the cases beside it.
pub(crate) fn cases_of(path: &Path) -> PathBuf {
    let beside = path.with_extension("test.yaml");
    if is_resource(path) { beside } else { path.to_owned() }
}

/// Whether a file is a resource rather than test cases; what cannot be read is not.
fn is_resource(path: &Path) -> bool {
    #[derive(Deserialize)]
    struct Resource {
        #[serde(rename = "apiVersion")]
        _api_version: String,
    }
    std::fs::read_to_string(path)
        .is_ok_and(|text| serde_yaml_ng::from_str::<Resource>(&text).is_ok())
}

impl CaseFile {
    /// Reads a file of test cases.
    pub(crate) fn read(path: &Path) -> Result<Self, ReadCasesError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ReadCasesError::Read { path: path.to_owned(), source })?;
        serde_yaml_ng::from_str(&text)
            .map_err(|source| ReadCasesError::Form { path: path.to_owned(), source })
    }

    /// The file of the pipeline under test.
    pub(crate) fn pipeline(&self, path: &Path) -> Result<PathBuf, ReadCasesError> {
        let name = match &self.pipeline {
            Some(pipeline) => Some(pipeline.clone()),
            None => path
                .file_name()
                .and_then(|name| name.to_str()?.strip_suffix(".test.yaml"))
                .map(|name| format!("{name}.yaml").into()),
        };
        name.map(|name| path.with_file_name(name))
            .ok_or_else(|| ReadCasesError::Pipeline { path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_file_tests_the_pipeline_beside_it() {
        let file: CaseFile = serde_yaml_ng::from_str("cases: []").unwrap();
        let pipeline = |path: &str| file.pipeline(Path::new(path)).ok();
        assert_eq!(pipeline("examples/race.test.yaml"), Some("examples/race.yaml".into()));
        assert_eq!(pipeline("examples/tests.yaml"), None);
    }

    #[test]
    fn a_resource_stands_for_the_cases_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let resource = file("race.yaml", "apiVersion: millrace.dev/v1alpha1");
        let cases = file("cases.yaml", "cases: []");
        assert_eq!(cases_of(&resource), folder.path().join("race.test.yaml"));
        assert_eq!(cases_of(&cases), cases);
        assert_eq!(cases_of(Path::new("absent.yaml")), Path::new("absent.yaml"));
    }

    #[test]
    fn unknown_fields_are_refused() {
        let result = serde_yaml_ng::from_str::<CaseFile>("cases: [{name: a, expects: {}}]");
        assert!(result.unwrap_err().to_string().contains("unknown field `expects`"));
    }
}
