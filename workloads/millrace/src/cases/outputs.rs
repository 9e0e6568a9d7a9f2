//! What came out of a pipeline: its streams, messages, tables and dead letters, as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_core::DeadLetter;
use millrace_core::Event;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::ReadError;
use millrace_log::ReadLimit;
use millrace_plan::Plan;
use millrace_plan::model::SinkPlan;
use millrace_plan::model::SinkTarget;
use millrace_plan::model::TablePlan;
use millrace_plan::model::WebhookSink;
use millrace_plan::program::Evaluation;
use millrace_sinks::BuildError;
use millrace_sinks::message_of;
use millrace_tables::LookUpError;
use millrace_tables::TableStore;
use millrace_tables::export;
use serde_json::Value;

/// What came out that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadOutputsError {
    /// A stream cannot be read.
    #[error("cannot read stream `{stream}`")]
    Stream {
        /// The stream.
        stream: String,
        /// Why not.
        source: ReadError,
    },
    /// An event is not JSON.
    #[error("an event of stream `{stream}` is not JSON")]
    Event {
        /// The stream.
        stream: String,
        /// Why not.
        source: serde_json::Error,
    },
    /// A message's topic or body cannot be made.
    #[error("sink `{sink}` cannot make a message")]
    Message {
        /// The sink.
        sink: String,
        /// Why not.
        source: BuildError,
    },
    /// A table cannot be read.
    #[error("cannot read table `{table}`")]
    Table {
        /// The table.
        table: String,
        /// Why not.
        source: LookUpError,
    },
}

/// All records of a stream in the order of event time, key and offset.
pub(super) async fn records(
    plan: &Plan,
    log: &dyn Log,
    stream: &StreamName,
) -> Result<Vec<Record>, ReadOutputsError> {
    let partitions = plan.stream(stream).map_or(1, |stream| stream.partitions);
    let mut records = Vec::new();
    for partition in 0..partitions {
        let mut from = 0;
        loop {
            let batch = log.read(stream, partition, from, ReadLimit::default()).await.map_err(
                |source| ReadOutputsError::Stream { stream: stream.to_string(), source },
            )?;
            if batch.entries.is_empty() {
                break;
            }
            from = batch.next;
            records.extend(batch.entries.into_iter().filter_map(|(_, entry)| match entry {
                Entry::Record(record) => Some(record),
                Entry::Mark(_) => None,
            }));
        }
    }
    // The sort keeps the order of offsets within a key.
    records.sort_by(|a, b| (a.event_time, &a.key).cmp(&(b.event_time, &b.key)));
    Ok(records)
}

/// All events of a stream.
pub(super) async fn events(
    plan: &Plan,
    log: &dyn Log,
    stream: &StreamName,
) -> Result<Vec<Value>, ReadOutputsError> {
    let parse = |record: Record| {
        serde_json::from_slice(&record.value)
            .map_err(|source| ReadOutputsError::Event { stream: stream.to_string(), source })
    };
    records(plan, log, stream).await?.into_iter().map(parse).collect()
}

/// All dead letters.
pub(super) async fn dead_letters(
    plan: &Plan,
    log: &dyn Log,
) -> Result<Vec<DeadLetter>, ReadOutputsError> {
    let records = records(plan, log, &StreamName::dead_letters()).await?;
    Ok(records.into_iter().map(DeadLetter::from_record).collect())
}

/// All messages of the `mqtt` sinks, by topic.
pub(super) async fn messages(
    plan: &Plan,
    log: &dyn Log,
) -> Result<BTreeMap<String, Vec<Value>>, ReadOutputsError> {
    let mut topics: BTreeMap<String, Vec<(i64, Value)>> = BTreeMap::new();
    for sink in &plan.sinks {
        let SinkTarget::Mqtt(mqtt) = &sink.target else { continue };
        for stream in &sink.from {
            let name: Arc<str> = stream.as_str().into();
            for record in records(plan, log, stream).await? {
                let unsendable =
                    |source| ReadOutputsError::Message { sink: sink.name.clone(), source };
                let Some(message) = message_of(mqtt, &name, &record).map_err(unsendable)? else {
                    continue;
                };
                // A body that is not JSON is compared as text.
                let body = serde_json::from_slice(&message.body)
                    .unwrap_or_else(|_| String::from_utf8_lossy(&message.body).into());
                topics.entry(message.topic).or_default().push((record.event_time, body));
            }
        }
    }
    Ok(topics
        .into_iter()
        .map(|(topic, mut messages)| {
            messages.sort_by_key(|(time, _)| *time);
            (topic, messages.into_iter().map(|(_, body)| body).collect())
        })
        .collect())
}

/// The bodies of a webhook's requests, in the order of event time.
pub(super) async fn calls(
    plan: &Plan,
    log: &dyn Log,
    sink: &SinkPlan,
    webhook: &WebhookSink,
) -> Result<Vec<Value>, ReadOutputsError> {
    let mut calls = Vec::new();
    for stream in &sink.from {
        let name: Arc<str> = stream.as_str().into();
        for record in records(plan, log, stream).await? {
            let event = Event::parse(Arc::clone(&name), record)
                .map_err(|source| ReadOutputsError::Event { stream: stream.to_string(), source })?;
            let body = match &webhook.body {
                None => event.value.clone(),
                Some(program) => match program.transform(&event) {
                    Evaluation::Done { event, .. } => event,
                    // It is not sent: dropped, or a dead letter.
                    Evaluation::Aborted | Evaluation::Failed(_) => continue,
                },
            };
            let body = serde_json::to_value(&body)
                .map_err(|source| ReadOutputsError::Event { stream: stream.to_string(), source })?;
            calls.push((event.time, body));
        }
    }
    calls.sort_by_key(|(time, _)| *time);
    Ok(calls.into_iter().map(|(_, body)| body).collect())
}

/// All rows of a table, each as an object by column.
pub(super) async fn rows(
    tables: &dyn TableStore,
    table: &TablePlan,
) -> Result<Vec<Value>, ReadOutputsError> {
    let text = export(tables, table)
        .await
        .map_err(|source| ReadOutputsError::Table { table: table.name.clone(), source })?;
    let mut lines = text.lines().map(serde_json::from_str::<Vec<Value>>);
    let names = lines.next().and_then(Result::ok).unwrap_or_default();
    let object = |cells: Vec<Value>| {
        let names = names.iter().filter_map(|name| name.as_str().map(str::to_owned));
        Value::Object(names.zip(cells).collect())
    };
    Ok(lines.filter_map(Result::ok).map(object).collect())
}
