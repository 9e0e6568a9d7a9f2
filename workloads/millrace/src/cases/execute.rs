//! Runs one case: the whole pipeline in a folder of its own, to the end of its input.

use std::path::Path;

use millrace_core::StreamName;
use millrace_ingest::Accepted;
use millrace_ingest::Acceptor;
use millrace_ingest::Incoming;
use millrace_ingest::Refused;
use millrace_log::ReadLimit;
use millrace_plan::Plan;
use millrace_plan::model::SinkTarget;
use serde_json::Value;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cases::captures::Captures;
use crate::cases::captures::UnknownName;
use crate::cases::compare::Difference;
use crate::cases::compare::differences;
use crate::cases::compare::matches;
use crate::cases::compare::places;
use crate::cases::exchange::ExchangeError;
use crate::cases::exchange::Port;
use crate::cases::file::Case;
use crate::cases::file::CaseEvent;
use crate::cases::outputs;
use crate::cases::outputs::ReadOutputsError;
use crate::exit::Exit;
use crate::exit::Failure;
use crate::process::storage::OpenStorageError;
use crate::process::storage::Storage;
use crate::process::until_end;
use crate::process::until_end::RecordedInput;
use crate::process::until_end::UntilEndError;

/// A case that could not be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExecuteCaseError {
    /// There is no room for it.
    #[error("cannot create a temporary folder")]
    Folder(#[source] std::io::Error),
    /// The case names what the pipeline does not have.
    #[error("the pipeline has no {kind} `{name}`")]
    Unknown {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// No way in takes a topic.
    #[error("no way in takes the topic `{0}`: name one with `ingest`")]
    Topic(String),
    /// The case names a file and no way in, and the pipeline has several.
    #[error("the pipeline has several ways in: name the one that takes the file with `ingest`")]
    Ingest,
    /// An event has no content, or two.
    #[error("an event on `{0}` needs one of `payload` and `text`")]
    Content(String),
    /// The log cannot be opened.
    #[error("cannot open a data folder")]
    Open(#[from] OpenStorageError),
    /// An event cannot be stored.
    #[error("cannot store an event")]
    Store(#[source] Refused),
    /// An exchange cannot be run.
    #[error("cannot run the exchanges")]
    Exchange(#[from] ExchangeError),
    /// A name is not known.
    #[error(transparent)]
    Name(#[from] UnknownName),
    /// The end was not reached.
    #[error("cannot run the pipeline")]
    Run(#[from] UntilEndError),
    /// What came out cannot be read.
    #[error("cannot read what came out")]
    Outputs(#[from] ReadOutputsError),
}

impl From<ExecuteCaseError> for Failure {
    fn from(error: ExecuteCaseError) -> Self {
        let exit = match &error {
            ExecuteCaseError::Folder(_) => Exit::CannotCreate,
            ExecuteCaseError::Unknown { .. }
            | ExecuteCaseError::Topic(_)
            | ExecuteCaseError::Ingest
            | ExecuteCaseError::Content(_)
            | ExecuteCaseError::Exchange(_)
            | ExecuteCaseError::Name(_) => Exit::Data,
            _ => Exit::Io,
        };
        exit.because(error)
    }
}

/// Runs a case and returns what differs, a line each; none if all is as expected. `folder` is
/// where the case's files are, `secrets` has a folder for each Secret.
pub(crate) async fn execute(
    plan: Plan,
    case: &Case,
    folder: &Path,
    secrets: &Path,
) -> Result<Vec<String>, ExecuteCaseError> {
    let data = tempfile::tempdir().map_err(ExecuteCaseError::Folder)?;
    let storage = Storage::open(plan, data.path()).await?;
    let inputs = match &case.file {
        None => Vec::new(),
        Some(file) => vec![RecordedInput {
            route: route(&storage.plan, case)?.to_owned(),
            file: folder.join(file),
        }],
    };
    let acceptor_metrics = millrace_observe::Observer::default();
    let acceptor = Acceptor::new(&storage.plan, storage.log.clone(), &acceptor_metrics);
    for event in &case.events {
        accept(&acceptor, case, event).await?;
    }
    let mut captures = Captures::default();
    let mut lines = Vec::new();
    let has_exchanges = !case.http.is_empty() || !case.expect.http.is_empty();
    let port = has_exchanges.then(|| Port::new(&storage, &acceptor, secrets)).transpose();
    let port = port.map_err(ExchangeError::from)?;
    if let Some(port) = &port {
        lines.extend(port.run(&case.http, &mut captures).await?);
    }
    let (progress, _) = watch::channel(until_end::EndProgress::default());
    let shutdown = CancellationToken::new();
    until_end::run(&storage, &inputs, ReadLimit::default(), None, &progress, &shutdown).await?;
    if let Some(port) = port {
        lines.extend(port.run(&case.expect.http, &mut captures).await?);
    }
    lines.extend(check(&storage, case, &captures).await?);
    storage.close().await;
    Ok(lines)
}

#[expect(clippy::result_large_err, reason = "an error ends the case; it is not passed on often")]
fn route<'a>(plan: &'a Plan, case: &'a Case) -> Result<&'a str, ExecuteCaseError> {
    match (&case.ingest, plan.ingest.as_slice()) {
        (Some(name), _) => Ok(name),
        (None, [only]) => Ok(&only.name),
        (None, _) => Err(ExecuteCaseError::Ingest),
    }
}

async fn accept(
    acceptor: &Acceptor,
    case: &Case,
    event: &CaseEvent,
) -> Result<(), ExecuteCaseError> {
    let route = match &case.ingest {
        Some(name) => acceptor
            .route(name)
            .ok_or_else(|| ExecuteCaseError::Unknown { kind: "way in", name: name.clone() })?,
        None => acceptor
            .listener(&event.topic)
            .ok_or_else(|| ExecuteCaseError::Topic(event.topic.clone()))?,
    };
    let body = match (&event.payload, &event.text) {
        (Some(payload), None) => payload.to_string(),
        (None, Some(text)) => text.clone(),
        _ => return Err(ExecuteCaseError::Content(event.topic.clone())),
    };
    let incoming = Incoming {
        topic: &event.topic,
        client_id: Some("test"),
        user: None,
        body: body.into(),
        arrival: event.at.unwrap_or_else(crate::process::live::now_millis),
    };
    match acceptor.accept_on(route, &incoming).await {
        Ok(Accepted::Stored { .. } | Accepted::Dropped) | Err(Refused::Invalid { .. }) => Ok(()),
        Err(error) => Err(ExecuteCaseError::Store(error)),
    }
}

async fn check(
    storage: &Storage,
    case: &Case,
    captures: &Captures,
) -> Result<Vec<String>, ExecuteCaseError> {
    let Storage { plan, log, tables, .. } = storage;
    let expect = &case.expect;
    let mut report = Report::default();
    let fill = |expected: &[Value]| {
        expected.iter().map(|value| captures.fill_value(value)).collect::<Result<Vec<_>, _>>()
    };
    for (name, expected) in &expect.streams {
        let actual = outputs::events(plan, log.as_ref(), &stream(plan, name)?).await?;
        report.compare(&format!("stream {name}"), &fill(expected)?, &actual);
    }
    for (name, expected) in &expect.counts {
        let actual = outputs::events(plan, log.as_ref(), &stream(plan, name)?).await?.len();
        if actual != *expected {
            report.lines.push(format!("stream {name}: {actual} events instead of {expected}"));
        }
    }
    if !expect.mqtt.is_empty() {
        let messages = outputs::messages(plan, log.as_ref()).await?;
        for (topic, expected) in &expect.mqtt {
            let actual = messages.get(topic).map(Vec::as_slice).unwrap_or_default();
            report.compare(&format!("topic {topic}"), &fill(expected)?, actual);
        }
    }
    for (name, expected) in &expect.tables {
        let table = plan.sinks.iter().find_map(|sink| match &sink.target {
            SinkTarget::Table(table) if table.name == *name => Some(table),
            _ => None,
        });
        let table =
            table.ok_or_else(|| ExecuteCaseError::Unknown { kind: "table", name: name.clone() })?;
        let actual = outputs::rows(tables.as_ref(), table).await?;
        report.compare(&format!("table {name}"), &fill(expected)?, &actual);
    }
    for (name, expected) in &expect.webhooks {
        let found = plan.sinks.iter().find_map(|sink| match &sink.target {
            SinkTarget::Webhook(webhook) if sink.name == *name => Some((sink, webhook)),
            _ => None,
        });
        let unknown = || ExecuteCaseError::Unknown { kind: "webhook sink", name: name.clone() };
        let (sink, webhook) = found.ok_or_else(unknown)?;
        let actual = outputs::calls(plan, log.as_ref(), sink, webhook).await?;
        report.compare(&format!("webhook {name}"), &fill(expected)?, &actual);
    }
    if let Some(expected) = &expect.dead_letters {
        let letters = outputs::dead_letters(plan, log.as_ref()).await?;
        let actual: Vec<_> = letters
            .into_iter()
            .map(|letter| json!({"stage": letter.stage, "reason": letter.reason}))
            .collect();
        let differences = differences(
            expected,
            &actual,
            |expected, actual| {
                actual["stage"] == *expected.stage
                    && actual["reason"].as_str().is_some_and(|r| r.contains(&expected.reason))
            },
            |expected| json!({"stage": expected.stage, "reason": expected.reason}).to_string(),
        );
        report.add("dead letters", &differences);
    }
    Ok(report.lines)
}

#[expect(clippy::result_large_err, reason = "an error ends the case; it is not passed on often")]
fn stream(plan: &Plan, name: &str) -> Result<StreamName, ExecuteCaseError> {
    name.parse::<StreamName>()
        .ok()
        .filter(|name| plan.stream(name).is_some())
        .ok_or_else(|| ExecuteCaseError::Unknown { kind: "stream", name: name.to_owned() })
}

#[derive(Default)]
struct Report {
    lines: Vec<String>,
}

impl Report {
    fn compare(&mut self, place: &str, expected: &[Value], actual: &[Value]) {
        let found = differences(expected, actual, matches, Value::to_string);
        self.add(place, &found);
        // One that came instead of another: where within it.
        if let ([Difference::Missing(expected), Difference::Unexpected(actual)], lines) =
            (found.as_slice(), &mut self.lines)
            && let (Ok(expected), Ok(actual)) =
                (serde_json::from_str(expected), serde_json::from_str(actual))
        {
            lines.extend(places(&expected, &actual).into_iter().map(|p| format!("    {p}")));
        }
    }

    fn add(&mut self, place: &str, differences: &[Difference]) {
        if differences.is_empty() {
            return;
        }
        self.lines.push(format!("{place} (- expected, + came out):"));
        self.lines.extend(differences.iter().map(|difference| match difference {
            Difference::Missing(item) => format!("  - {item}"),
            Difference::Unexpected(item) => format!("  + {item}"),
        }));
    }
}
