//! The beginning of a rebuild: what it will make, up to where, and whether the log still has what
//! that is made from.

use std::collections::BTreeMap;

use millrace_core::Offset;
use millrace_core::StreamName;
use millrace_log::Log;
use millrace_log::ReadError;
use millrace_plan::model::SinkPlan;
use millrace_plan::model::SinkTarget;

use super::edition::Edition;
use super::edition::Parts;
use super::ledger::Commanded;
use super::ledger::Mark;
use super::ledger::PendingRecord;
use super::pending::Reached;

/// A rebuild that cannot begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeginRebuildError {
    /// Retention has removed what it would need.
    #[error(
        "`{part}` cannot be made anew: stream `{stream}` begins at offset {start} in partition {partition}, \
         and it was made from {began} on. Rows of removed events would be lost: with --partial, \
         `millrace rebuild` does it all the same"
    )]
    TooShort {
        /// The sink or stage.
        part: String,
        /// The stream.
        stream: StreamName,
        /// The partition.
        partition: i32,
        /// Where it begins now.
        start: Offset,
        /// Where what is served began.
        began: Offset,
    },
    /// The log cannot be read.
    #[error("cannot find out what the log has")]
    Read(#[from] ReadError),
}

/// What is read by the parts that are made anew and is not made anew itself: (part, stream).
pub(super) fn sources(edition: &Edition, parts: &Parts) -> Vec<(String, StreamName)> {
    let plan = &edition.plan;
    let is_new = |stream: &StreamName| {
        plan.stage_of(stream).is_some_and(|stage| parts.stages.contains(&plan.stages[stage].name))
    };
    let stages = plan.stages.iter().filter(|stage| parts.stages.contains(&stage.name));
    let fills = |sink: &&SinkPlan| matches!(sink.target, SinkTarget::Table(_));
    let sinks = plan.sinks.iter().filter(fills).filter(|sink| parts.sinks.contains(&sink.name));
    stages
        .flat_map(|stage| stage.inputs.iter().map(|input| (stage.name.clone(), input.clone())))
        .chain(sinks.flat_map(|s| s.from.iter().map(|input| (s.name.clone(), input.clone()))))
        .filter(|(_, stream)| !is_new(stream))
        .collect()
}

/// Where a table that is first filled now begins to read, unless at 0.
pub(super) fn beginnings(
    log: &dyn Log,
    edition: &Edition,
    sink: &str,
) -> Result<Vec<Mark>, ReadError> {
    let mut marks = Vec::new();
    let Some(plan) = edition.plan.sinks.iter().find(|plan| plan.name == sink) else {
        return Ok(marks);
    };
    for stream in plan.from.iter().filter_map(|name| edition.plan.stream(name)) {
        for partition in 0..stream.partitions {
            let offset = log.partition_info(&edition.stream(&stream.name), partition)?.start;
            if offset > 0 {
                marks.push(Mark { stream: stream.name.to_string(), partition, offset });
            }
        }
    }
    Ok(marks)
}

/// Makes the record of a rebuild that begins now.
pub(super) fn begin(
    log: &dyn Log,
    edition: &Edition,
    parts: &Parts,
    commanded: Commanded,
    began: &BTreeMap<String, Vec<Mark>>,
    partial: bool,
    now_ms: i64,
) -> Result<PendingRecord, BeginRebuildError> {
    let mut targets: Vec<Mark> = Vec::new();
    let mut beginnings: BTreeMap<String, Vec<Mark>> = BTreeMap::new();
    for (part, stream) in sources(edition, parts) {
        let partitions = edition.plan.stream(&stream).map_or(0, |stream| stream.partitions);
        for partition in 0..partitions {
            let part = part.clone();
            let info = log.partition_info(&edition.stream(&stream), partition)?;
            let marks = began.get(&part).map(Vec::as_slice).unwrap_or_default();
            let first = marks
                .iter()
                .find(|mark| mark.stream == stream.as_str() && mark.partition == partition)
                .map_or(0, |mark| mark.offset);
            if info.start > first && !partial {
                return Err(BeginRebuildError::TooShort {
                    part,
                    stream: stream.clone(),
                    partition,
                    start: info.start,
                    began: first,
                });
            }
            if info.start > 0 {
                let mark = Mark { stream: stream.to_string(), partition, offset: info.start };
                beginnings.entry(part.clone()).or_default().push(mark);
            }
            let mark = Mark { stream: stream.to_string(), partition, offset: info.end };
            if !targets.contains(&mark) {
                targets.push(mark);
            }
        }
    }
    Ok(PendingRecord {
        to: edition.numbers.clone(),
        commanded,
        targets,
        began: beginnings,
        since: now_ms,
        going_on: None,
        noted: Vec::new(),
    })
}

/// Whether the log still has what a rebuild has not read yet, by how far that has come.
pub(super) fn check_length(
    log: &dyn Log,
    edition: &Edition,
    parts: &Parts,
    record: &PendingRecord,
    reached: &[Reached],
) -> Result<(), BeginRebuildError> {
    for (part, stream) in sources(edition, parts) {
        let began = record.began.get(&part).map(Vec::as_slice).unwrap_or_default();
        for at in reached.iter().filter(|at| at.part == part && at.stream == stream) {
            let first = began
                .iter()
                .find(|mark| mark.stream == stream.as_str() && mark.partition == at.partition)
                .map_or(0, |mark| mark.offset);
            let needed = first.max(at.next);
            let start = log.partition_info(&edition.stream(&stream), at.partition)?.start;
            if start > needed {
                return Err(BeginRebuildError::TooShort {
                    part,
                    stream,
                    partition: at.partition,
                    start,
                    began: needed,
                });
            }
        }
    }
    Ok(())
}
