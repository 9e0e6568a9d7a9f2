//! Sinks: topics, programs, tables and their columns.

use std::collections::HashMap;

use millrace_api as api;
use millrace_api::TelemetryPipelineSpec;
use millrace_core::FieldPath;
use millrace_core::record::header::TRACEPARENT;

use super::checks::Checks;
use super::checks::hint_for;
use super::checks::stream_name;
use super::identifiers;
use super::ingest;
use super::keying::Keyed;
use super::outward;
use super::partitions;
use super::topics;
use crate::model::ColumnPlan;
use crate::model::ColumnSource;
use crate::model::ColumnType;
use crate::model::IngestPlan;
use crate::model::IngestSource;
use crate::model::Keep;
use crate::model::MqttSink;
use crate::model::MqttTopic;
use crate::model::SinkPlan;
use crate::model::SinkTarget;
use crate::model::TablePlan;
use crate::program::Place;

/// The sinks.
pub(super) fn sinks(
    pipeline: &str,
    spec: &TelemetryPipelineSpec,
    checks: &mut Checks,
) -> Vec<SinkPlan> {
    let mut tables: HashMap<String, &str> = HashMap::new();
    let mut archives: Vec<(&str, &str)> = Vec::new();
    let mut plans = Vec::new();
    for (index, sink) in spec.sinks.iter().enumerate() {
        let at = format!("spec.sinks[{index}]");
        let target = match (&sink.mqtt, &sink.table, &sink.webhook, &sink.archive) {
            (Some(mqtt), None, None, None) => {
                self::mqtt(pipeline, &at, &sink.name, mqtt, checks).map(SinkTarget::Mqtt)
            }
            (None, Some(table), None, None) => {
                let table = self::table(&format!("{at}.table"), &sink.name, table, checks);
                if let Some(other) = tables.insert(table.name.clone(), &sink.name) {
                    checks.error_with_hint(
                        format!("{at}.table.name"),
                        format!("the sink `{other}` writes the table `{}` already", table.name),
                        "write another name, or one sink with both in `from`",
                    );
                }
                Some(SinkTarget::Table(table))
            }
            (None, None, Some(webhook), None) => {
                let at = format!("{at}.webhook");
                Some(SinkTarget::Webhook(outward::webhook(&at, webhook, checks)))
            }
            (None, None, None, Some(archive)) => {
                let at = format!("{at}.archive");
                let place = archive.url.trim_end_matches('/');
                match archives.iter().find(|(other, _)| *other == place) {
                    Some((_, other)) => checks.error_with_hint(
                        format!("{at}.url"),
                        format!("the sink `{other}` writes to `{place}` already"),
                        "write another place, or one sink with both in `from`",
                    ),
                    None => archives.push((place, &sink.name)),
                }
                Some(SinkTarget::Archive(outward::archive(&at, archive, checks)))
            }
            _ => {
                checks.error(at, "write exactly one of table, mqtt, webhook and archive");
                None
            }
        };
        plans.extend(target.map(|target| SinkPlan {
            name: sink.name.to_string(),
            generation: sink.generation,
            from: sink.from.iter().map(|from| stream_name(from)).collect(),
            target,
        }));
    }
    plans
}

fn mqtt(
    pipeline: &str,
    at: &str,
    name: &str,
    sink: &api::MqttSinkSpec,
    checks: &mut Checks,
) -> Option<MqttSink> {
    let body = sink
        .body
        .as_ref()
        .map(|body| checks.program(&format!("{at}.mqtt.body"), body, Place::Pipeline));
    let topic = match (&sink.topic, &sink.topic_program) {
        (Some(topic), None) => {
            if let Err(error) = topics::check_topic(topic) {
                let at = format!("{at}.mqtt.topic");
                checks.error_with_hint(at, format!("`{topic}` {}", error.wrong), error.write);
            }
            Some(MqttTopic::Constant(topic.to_string()))
        }
        (None, Some(source)) => {
            let at = format!("{at}.mqtt.topicProgram");
            let program = checks.program(&at, source, Place::Pipeline);
            if program.as_ref().is_some_and(|program| !program.returns_text()) {
                checks.error_with_hint(
                    at,
                    "the last expression is not always a text",
                    "end the program with a text, such as `\"events/\" + %key`",
                );
            }
            program.map(MqttTopic::Program)
        }
        _ => {
            checks.error(format!("{at}.mqtt"), "write exactly one of topic and topicProgram");
            None
        }
    };
    Some(MqttSink {
        topic: topic?,
        body: body.flatten(),
        qos: ingest::qos(sink.qos),
        retain: sink.retain,
        broker: sink.broker.as_ref().map(|broker| {
            ingest::broker(&format!("{at}.mqtt.broker"), pipeline, name, broker, checks)
        }),
    })
}

fn table(at: &str, sink: &str, table: &api::TableSpec, checks: &mut Checks) -> TablePlan {
    let name = match &table.name {
        Some(name) => name.to_string(),
        None => identifiers::from_name(sink),
    };
    if let Some(reason) = identifiers::refused(&name) {
        checks.error_with_hint(
            format!("{at}.name"),
            format!("`{name}` {reason}"),
            format!("write another name, such as `my_{name}`"),
        );
    }
    let mut columns = Vec::new();
    for (index, column) in table.columns.iter().enumerate() {
        columns.push(self::column(&format!("{at}.columns[{index}]"), column, checks));
    }
    for (index, key) in table.primary_key.iter().enumerate() {
        let at = format!("{at}.primaryKey[{index}]");
        match table.columns.iter().find(|column| column.name == *key) {
            None => {
                let names = table.columns.iter().map(|column| column.name.as_str());
                checks.error_with_hint(
                    at,
                    format!("the table has no column `{key}`"),
                    hint_for(key, names),
                );
            }
            Some(column) if column.nullable => checks.error_with_hint(
                at,
                format!("the column `{key}` may be null"),
                "leave `nullable` out of the column",
            ),
            Some(column) if column.kind == api::ColumnTypeSpec::Json => checks.error_with_hint(
                at,
                format!("the column `{key}` has the type json"),
                "write a column of another type",
            ),
            Some(_) => {}
        }
    }
    TablePlan {
        name,
        columns,
        primary_key: table.primary_key.iter().map(ToString::to_string).collect(),
        keep: match table.keep {
            api::KeepSpec::All => Keep::All,
            api::KeepSpec::First => Keep::First,
            api::KeepSpec::Latest => Keep::Latest,
        },
        partitions: table
            .partitions
            .as_ref()
            .map(|spec| partitions::partitions(&format!("{at}.partitions"), spec, table, checks)),
    }
}

fn column(at: &str, column: &api::ColumnSpec, checks: &mut Checks) -> ColumnPlan {
    if let Some(reason) = identifiers::refused(&column.name) {
        checks.error_with_hint(
            format!("{at}.name"),
            format!("`{}` {reason}", column.name),
            format!("write another name, such as `my_{}`, and its `path`", column.name),
        );
    }
    let source = match (&column.path, &column.source, &column.header) {
        (Some(path), ..) => ColumnSource::Field(checks.path(&format!("{at}.path"), path)),
        (None, Some(source), _) => match source {
            api::ColumnSourceSpec::EventTime => ColumnSource::EventTime,
            api::ColumnSourceSpec::IngestTime => ColumnSource::IngestTime,
            api::ColumnSourceSpec::EventId => ColumnSource::EventId,
            api::ColumnSourceSpec::Key => ColumnSource::Key,
        },
        (None, None, Some(header)) => ColumnSource::Header(header.to_string()),
        (None, None, None) => {
            ColumnSource::Field(checks.path(&format!("{at}.name"), &format!(".{}", column.name)))
        }
    };
    let kind = column_type(column.kind);
    let fits = match source {
        ColumnSource::EventTime | ColumnSource::IngestTime => {
            matches!(kind, ColumnType::Timestamp | ColumnType::Integer)
        }
        ColumnSource::EventId => matches!(kind, ColumnType::Uuid | ColumnType::Text),
        _ => true,
    };
    if !fits {
        let (what, write) = match source {
            ColumnSource::EventId => ("an id", "uuid or text"),
            _ => ("a time", "timestamp or integer"),
        };
        checks.error_with_hint(
            format!("{at}.type"),
            format!("{what} cannot be a column of this type"),
            format!("write {write}"),
        );
    }
    ColumnPlan { name: column.name.to_string(), kind, source, nullable: column.nullable }
}

fn column_type(kind: api::ColumnTypeSpec) -> ColumnType {
    match kind {
        api::ColumnTypeSpec::Text => ColumnType::Text,
        api::ColumnTypeSpec::Integer => ColumnType::Integer,
        api::ColumnTypeSpec::Double => ColumnType::Double,
        api::ColumnTypeSpec::Boolean => ColumnType::Boolean,
        api::ColumnTypeSpec::Timestamp => ColumnType::Timestamp,
        api::ColumnTypeSpec::Uuid => ColumnType::Uuid,
        api::ColumnTypeSpec::Json => ColumnType::Json,
    }
}

/// A column of a header needs a way in that carries it.
pub(super) fn check_headers(sinks: &[SinkPlan], ingest: &[IngestPlan], checks: &mut Checks) {
    let carried = ingest.iter().flat_map(|way| match &way.source {
        IngestSource::Http(http) => http.headers.as_slice(),
        IngestSource::WebSocket(websocket) => websocket.headers.as_slice(),
        IngestSource::MqttListen(_) | IngestSource::MqttConnect(_) | IngestSource::Kafka(_) => &[],
    });
    let carried = carried.filter(|header| header.carry).map(|header| header.name.as_str());
    let carried = carried.chain([TRACEPARENT]).collect::<Vec<_>>();
    for (index, sink) in sinks.iter().enumerate() {
        let SinkTarget::Table(table) = &sink.target else { continue };
        for (column, plan) in table.columns.iter().enumerate() {
            let ColumnSource::Header(name) = &plan.source else { continue };
            if !carried.contains(&name.as_str()) {
                checks.error_with_hint(
                    format!("spec.sinks[{index}].table.columns[{column}].header"),
                    format!("no way in carries a header `{name}`"),
                    hint_for(name, carried.iter().copied()),
                );
            }
        }
    }
}

/// Rows of one primary key must come from one partition, or their order would depend on which of
/// several is read first.
pub(super) fn check_keys(sinks: &[SinkPlan], keyed: &Keyed, checks: &mut Checks) {
    for (index, sink) in sinks.iter().enumerate() {
        let SinkTarget::Table(table) = &sink.target else { continue };
        if table.primary_key.is_empty() {
            continue;
        }
        let in_key = |wanted: &ColumnSource| {
            let column = table.columns.iter().find(|column| column.source == *wanted);
            column.is_some_and(|column| table.primary_key.contains(&column.name))
        };
        for from in &sink.from {
            let Some((keying, _)) = keyed.keying(from) else { continue };
            if keying.partitions == 1 || in_key(&ColumnSource::Key) {
                continue;
            }
            let held = keying.held_by.as_deref();
            let contained = held.is_some_and(|paths: &[FieldPath]| {
                paths.iter().all(|path| in_key(&ColumnSource::Field(path.clone())))
            });
            if !contained {
                let hint = match held {
                    Some(paths) => {
                        let paths = paths.iter().map(|path| format!("`{path}`"));
                        let paths = paths.collect::<Vec<_>>().join(", ");
                        format!("add a column of {paths}, or one with `source: key`")
                    }
                    None => "add a column with `source: key`".to_owned(),
                };
                checks.error_with_hint(
                    format!("spec.sinks[{index}].table.primaryKey"),
                    format!(
                        "does not contain the key of `{from}`, which has {} partitions",
                        keying.partitions
                    ),
                    hint,
                );
            }
        }
    }
}
