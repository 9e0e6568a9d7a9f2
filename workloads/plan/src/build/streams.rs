//! Streams: the declared ones, those that stages write, and the dead letters.

use std::collections::HashMap;
use std::time::Duration;

use millrace_api as api;
use millrace_api::TelemetryPipelineSpec;
use millrace_core::StreamName;
use millrace_core::time::TimeFormat;

use super::checks::Checks;
use super::checks::stream_name;
use super::keying::Keyed;
use super::schemas;
use super::schemas::ConfigMaps;
use crate::model::Deduplication;
use crate::model::EventTimeField;
use crate::model::IngestedStream;
use crate::model::OnLate;
use crate::model::Retention;
use crate::model::StagePlan;
use crate::model::StreamOrigin;
use crate::model::StreamPlan;

/// How long dead letters are kept: long enough to be looked at and replayed.
const DEAD_LETTERS_TIME: Duration = Duration::from_hours(30 * 24);

/// How many bytes of dead letters are kept.
const DEAD_LETTERS_BYTES: u64 = 1 << 30;

/// The streams that clients write.
pub(super) fn ingested(
    spec: &TelemetryPipelineSpec,
    config_maps: ConfigMaps<'_>,
    checks: &mut Checks,
) -> Vec<StreamPlan> {
    spec.streams
        .iter()
        .enumerate()
        .map(|(index, stream)| {
            ingested_stream(&format!("spec.streams[{index}]"), stream, config_maps, checks)
        })
        .collect()
}

fn ingested_stream(
    at: &str,
    stream: &api::StreamSpec,
    config_maps: ConfigMaps<'_>,
    checks: &mut Checks,
) -> StreamPlan {
    let schema = stream
        .schema
        .as_ref()
        .and_then(|schema| schemas::schema(&format!("{at}.schema"), schema, config_maps, checks));
    if stream.key.is_empty() {
        checks.error_with_hint(
            format!("{at}.key"),
            "is empty",
            "write the fields whose events must stay in order, such as `[.deviceId]`",
        );
    }
    let event_time = stream.event_time.as_ref().map(|time| EventTimeField {
        path: checks.path(&format!("{at}.eventTime.path"), &time.path),
        format: match time.format {
            api::EventTimeFormat::Rfc3339 => TimeFormat::Rfc3339,
            api::EventTimeFormat::UnixSeconds => TimeFormat::UnixSeconds,
            api::EventTimeFormat::UnixMillis => TimeFormat::UnixMillis,
        },
    });
    let within = checks.duration(&format!("{at}.deduplicate.within"), &stream.deduplicate.within);
    let idle =
        stream.idle.as_ref().map(|idle| checks.positive_duration(&format!("{at}.idle"), idle));
    let max_behind = stream
        .max_behind
        .as_ref()
        .map(|behind| checks.positive_duration(&format!("{at}.maxBehind"), behind));
    StreamPlan {
        name: stream_name(&stream.name),
        generation: stream.generation,
        partitions: stream.partitions.max(1),
        retention: Retention {
            time: Some(
                checks.positive_duration(&format!("{at}.retention.time"), &stream.retention.time),
            ),
            bytes: stream.retention.bytes.and_then(|bytes| u64::try_from(bytes).ok()),
        },
        origin: StreamOrigin::Ingested(IngestedStream {
            schema,
            key: checks.paths(&format!("{at}.key"), &stream.key),
            event_id: checks.optional_path(&format!("{at}.eventId"), stream.event_id.as_ref()),
            event_time,
            disorder: checks.duration(&format!("{at}.disorder"), &stream.disorder),
            idle,
            heartbeat: stream.heartbeat,
            max_ahead: checks.duration(&format!("{at}.maxAhead"), &stream.max_ahead),
            max_behind,
            on_late: match stream.on_late {
                api::OnLateSpec::Drop => OnLate::Drop,
                api::OnLateSpec::DeadLetter => OnLate::DeadLetter,
            },
            deduplicate: (!within.is_zero()).then(|| Deduplication {
                within,
                max_ids: Checks::count(stream.deduplicate.max_ids),
            }),
        }),
    }
}

/// All streams of the log: declared ones first, then those that stages write in their order, then
/// the dead letters.
pub(super) fn with_derived(
    mut streams: Vec<StreamPlan>,
    stages: &[StagePlan],
    keyed: &Keyed,
    spec: &TelemetryPipelineSpec,
) -> Vec<StreamPlan> {
    let retention: HashMap<StreamName, Retention> =
        streams.iter().map(|stream| (stream.name.clone(), stream.retention)).collect();
    for (index, stage) in stages.iter().enumerate() {
        for operator in &stage.operators {
            let Some(name) = &operator.output else { continue };
            // What is derived can be computed again for as long as what it is derived from is
            // there, and is kept for just as long.
            let source = keyed.source_of(&operator.name);
            let source = source.and_then(|source| spec.streams.get(source));
            let retention = source.and_then(|source| retention.get(&stream_name(&source.name)));
            streams.push(StreamPlan {
                name: name.clone(),
                generation: operator.generation,
                partitions: operator.output_partitions,
                retention: retention.copied().unwrap_or_default(),
                origin: StreamOrigin::Derived { processor: operator.name.clone(), stage: index },
            });
        }
    }
    streams.push(StreamPlan {
        name: StreamName::dead_letters(),
        generation: 0,
        partitions: 1,
        retention: Retention { time: Some(DEAD_LETTERS_TIME), bytes: Some(DEAD_LETTERS_BYTES) },
        origin: StreamOrigin::DeadLetters,
    });
    streams
}
