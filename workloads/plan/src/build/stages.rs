//! Stages: processors between two changes of key that are connected, in one task per partition.

use std::collections::HashMap;

use millrace_api::TelemetryPipelineSpec;

use super::checks::stream_name;
use super::fingerprint::fingerprint;
use super::keying::Keyed;
use super::keying::Source;
use crate::model::BufferLimits;
use crate::model::OperatorInput;
use crate::model::OperatorPlan;
use crate::model::StagePlan;

/// Cuts the processors into stages.
///
/// Two processors share a stage if as many changes of key lie upstream of both, and one reads the
/// other or both read the same stream. A stream between stages therefore always leads from a lower
/// level to a higher one, and stages form no cycle.
pub(super) fn cut(keyed: &Keyed, spec: &TelemetryPipelineSpec) -> Vec<StagePlan> {
    let groups = groups(keyed);
    let mut members: Vec<Vec<usize>> = Vec::new();
    let mut places: HashMap<usize, usize> = HashMap::new();
    for (index, group) in groups.iter().enumerate() {
        let place = *places.entry(*group).or_insert_with(|| {
            members.push(Vec::new());
            members.len() - 1
        });
        members[place].push(index);
    }
    members.sort_by_key(|members| members.first().map(|first| keyed.processors[*first].level));
    members.iter().map(|members| stage(keyed, members, spec)).collect()
}

/// For each processor the lowest one that it shares a stage with.
fn groups(keyed: &Keyed) -> Vec<usize> {
    let mut groups: Vec<usize> = (0..keyed.processors.len()).collect();
    let mut readers: HashMap<(Source, usize), usize> = HashMap::new();
    for (index, processor) in keyed.processors.iter().enumerate() {
        for source in &processor.inputs {
            let other = match source {
                Source::Processor(input) if keyed.within_stage(processor, *source) => *input,
                _ => *readers.entry((*source, processor.level)).or_insert(index),
            };
            let (a, b) = (groups[index], groups[other]);
            let (low, high) = (a.min(b), a.max(b));
            for group in groups.iter_mut().filter(|group| **group == high) {
                *group = low;
            }
        }
    }
    groups
}

fn stage(keyed: &Keyed, members: &[usize], spec: &TelemetryPipelineSpec) -> StagePlan {
    let mut inputs = Vec::new();
    let mut operators = Vec::new();
    for &member in members {
        let processor = &keyed.processors[member];
        let sources = processor.inputs.iter().map(|source| match source {
            Source::Processor(input) if keyed.within_stage(processor, *source) => {
                // An operator of the same stage; members are in topological order.
                let place = members.iter().position(|other| other == input).unwrap_or_default();
                OperatorInput::Operator(place)
            }
            _ => {
                let name = stream_name(keyed.stream(*source));
                if !inputs.contains(&name) {
                    inputs.push(name.clone());
                }
                OperatorInput::Stream(name)
            }
        });
        operators.push(OperatorPlan {
            name: processor.name.clone(),
            generation: processor.generation,
            inputs: sources.collect(),
            fingerprint: fingerprint(keyed, processor),
            operation: processor.operation.clone(),
            output_partitions: processor.output.partitions,
            key: processor.new_key.clone(),
            output: is_stored(keyed, member).then(|| stream_name(&processor.name)),
        });
    }
    let first = members.first().map(|first| &keyed.processors[*first]);
    let named =
        first.and_then(|first| first.index).map(|index| spec.processors[index].name.as_str());
    StagePlan {
        name: named.or(first.map(|first| first.name.as_str())).unwrap_or_default().to_owned(),
        inputs,
        partitions: first.map_or(1, |first| first.input.partitions),
        operators,
        buffer: BufferLimits::default(),
    }
}

/// Whether a processor's events are written to the log: something outside of its stage reads
/// them, or nothing at all does, where they could otherwise not be seen.
fn is_stored(keyed: &Keyed, index: usize) -> bool {
    let mut readers = keyed
        .processors
        .iter()
        .filter(|reader| reader.inputs.contains(&Source::Processor(index)))
        .peekable();
    keyed.processors[index].read
        || readers.peek().is_none()
        || readers.any(|reader| !keyed.within_stage(reader, Source::Processor(index)))
}
