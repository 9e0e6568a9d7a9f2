//! Keys: what every event of a stream or processor is keyed by, and where a key changes.
//!
//! A processor that needs another key than that of what it reads (a `rank` by group, say) gets one
//! in front of it that only changes the key. A window over all keys gets one in front of it that
//! computes what each task has. From then on both are processors like all others.

use std::str::FromStr;

use millrace_api::TelemetryPipelineSpec;
use millrace_core::FieldPath;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_core::names::MAX_NAME_LENGTH;

use super::checks::Checks;
use super::graph::Graph;
use super::graph::Node;
use crate::model::Operation;
use crate::model::SinkPlan;

/// Ends the name of a stream that exists for the sake of another key.
const REPARTITION: &str = ".repartition";

/// Ends the name of a stream of what each task has of a window over all keys.
const PARTIAL: &str = ".partial";

/// The field by which partial windows are keyed: all of them have the same value.
const PARTIAL_KEY: &str = ".window";

/// Fields that `motion` writes over what was there.
const MOTION_FIELDS: [&str; 5] = ["distance", "elapsed", "heading", "speed", "totalDistance"];

/// Fields that `alert` writes.
const ALERT_FIELDS: [&str; 4] = ["event", "kind", "since", "timestamp"];

/// What events are keyed by.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Keying {
    /// The fields that made the key where it was made.
    declared: Vec<FieldPath>,
    /// The fields of these events that have the same values as those; none where a program may
    /// have changed them.
    pub(super) held_by: Option<Vec<FieldPath>>,
    /// Number of partitions.
    pub(super) partitions: Partition,
}

/// Where a processor's events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// An ingested stream, by its index in the resource.
    Stream(usize),
    /// A processor, by its index in [`Keyed::processors`].
    Processor(usize),
}

/// A processor with its key.
#[derive(Debug)]
pub(super) struct KeyedProcessor {
    /// Its name in the resource, or that of the stream it only re-keys for.
    pub(super) name: String,
    /// Its index in the resource; none if it only stands in front of one that is.
    pub(super) index: Option<usize>,
    /// What it does.
    pub(super) operation: Operation,
    /// What it reads.
    pub(super) inputs: Vec<Source>,
    /// What it reads is keyed by this.
    pub(super) input: Keying,
    /// Its events are keyed by this.
    pub(super) output: Keying,
    /// The fields of a key that differs from that of its input; else empty.
    pub(super) new_key: Vec<FieldPath>,
    /// How many changes of key lie upstream of it.
    pub(super) level: usize,
    /// Its generation and those of everything upstream: raising one starts all downstream anew.
    pub(super) generation: i32,
    /// Whether a sink or a view reads it.
    pub(super) read: bool,
}

/// All processors with their keys, each after those that it reads.
#[derive(Debug, Default)]
pub(super) struct Keyed {
    pub(super) processors: Vec<KeyedProcessor>,
    streams: Vec<(String, Keying, i32)>,
}

/// Works out the keys.
pub(super) fn keyed(
    graph: &Graph,
    operations: Vec<Option<Operation>>,
    spec: &TelemetryPipelineSpec,
    checks: &mut Checks,
) -> Keyed {
    let streams = spec.streams.iter().map(|stream| {
        let key = paths(&stream.key);
        let keying = Keying {
            declared: key.clone(),
            held_by: Some(key),
            partitions: stream.partitions.max(1),
        };
        (stream.name.to_string(), keying, stream.generation)
    });
    let mut keyed = Keyed { processors: Vec::new(), streams: streams.collect() };
    let mut places = vec![0; spec.processors.len()];
    let mut operations = operations;
    for &index in &graph.order {
        let Some(mut operation) = operations[index].take() else { continue };
        let processor = &spec.processors[index];
        let mut inputs = graph.inputs[index]
            .iter()
            .map(|node| match node {
                Node::Stream(stream) => Source::Stream(*stream),
                Node::Processor(input) => Source::Processor(places[*input]),
            })
            .collect::<Vec<_>>();
        // What an `enrich` takes its values from has its own key and comes last.
        let values = matches!(operation, Operation::Enrich(_)).then(|| inputs.pop()).flatten();
        let mut input = keyed.common(index, &inputs, checks);
        let needed = match &processor.enrich {
            Some(enrich) if !enrich.on.is_empty() => Some(paths(&enrich.on)),
            _ => needed_key(&operation),
        };
        if let Some(key) = needed
            && input.held_by.as_ref() != Some(&key)
        {
            let output =
                Keying { declared: key.clone(), held_by: Some(key.clone()), ..input.clone() };
            let place = keyed.in_front(index, spec, &inputs, input, REPARTITION, checks);
            place.operation = Operation::Rekey;
            place.new_key = key;
            place.output = output.clone();
            inputs = vec![Source::Processor(keyed.processors.len() - 1)];
            input = output;
        }
        if let Operation::WindowCombine { window, .. } = &operation {
            let partial = Operation::WindowPartial(window.clone());
            let key = key_of_partials();
            let output =
                Keying { declared: key.clone(), held_by: Some(key.clone()), partitions: 1 };
            let place = keyed.in_front(index, spec, &inputs, input, PARTIAL, checks);
            place.operation = partial;
            place.new_key = key;
            place.output = output.clone();
            inputs = vec![Source::Processor(keyed.processors.len() - 1)];
            input = output;
        }
        if let (Some(values), Operation::Enrich(enrich)) = (values, &mut operation) {
            keyed.check_values(index, values, &input, checks);
            keyed.stream(values).clone_into(&mut enrich.with);
            inputs.push(values);
        }
        if let Operation::Window(window) = &mut operation
            && window.by.is_empty()
            && let Some(key) = &input.held_by
        {
            // The groups are the keys, and a result says which one it is of.
            let at = format!("spec.processors[{index}].window");
            super::window::check_key(&at, window, key, checks);
            window.by.clone_from(key);
        }
        let mut output = Keying { held_by: held_after(&operation, &input), ..input.clone() };
        let mut new_key = paths(&processor.key);
        if !new_key.is_empty() {
            if output.held_by.as_ref() == Some(&new_key) {
                new_key.clear();
            } else {
                output.declared.clone_from(&new_key);
                output.held_by = Some(new_key.clone());
            }
        }
        places[index] = keyed.processors.len();
        keyed.processors.push(KeyedProcessor {
            name: processor.name.to_string(),
            index: Some(index),
            operation,
            level: keyed.level(&inputs),
            generation: processor.generation.saturating_add(keyed.generation(&inputs)),
            inputs,
            input,
            output,
            new_key,
            read: graph.read[index],
        });
    }
    keyed
}

impl Keyed {
    /// Adds a processor in front of another one; what it does and its key are still to be set.
    fn in_front(
        &mut self,
        index: usize,
        spec: &TelemetryPipelineSpec,
        inputs: &[Source],
        input: Keying,
        suffix: &str,
        checks: &mut Checks,
    ) -> &mut KeyedProcessor {
        let name = format!("{}{suffix}", spec.processors[index].name);
        if name.len() > MAX_NAME_LENGTH {
            checks.error_with_hint(
                format!("spec.processors[{index}].name"),
                format!("is too long for the stream `{name}` that it needs"),
                format!("write at most {} characters", MAX_NAME_LENGTH - suffix.len()),
            );
        }
        self.processors.push(KeyedProcessor {
            name,
            index: None,
            operation: Operation::Rekey,
            level: self.level(inputs),
            // What stands in front of a processor starts anew with it.
            generation: spec.processors[index].generation.saturating_add(self.generation(inputs)),
            inputs: inputs.to_vec(),
            output: input.clone(),
            input,
            new_key: Vec::new(),
            read: false,
        });
        let last = self.processors.len() - 1;
        &mut self.processors[last]
    }

    /// Checks that the values that an `enrich` looks up lie in the partition of its events.
    fn check_values(&self, index: usize, values: Source, input: &Keying, checks: &mut Checks) {
        let keying = match values {
            Source::Stream(stream) => &self.streams[stream].1,
            Source::Processor(index) => &self.processors[index].output,
        };
        if keying.declared.len() != input.declared.len() || keying.partitions != input.partitions {
            checks.error_with_hint(
                format!("spec.processors[{index}].enrich.with"),
                format!(
                    "`{}` has {}, but what is enriched has {}",
                    self.stream(values),
                    described(keying),
                    described(input),
                ),
                "give both the same number of partitions, and write the fields of the key in `on`",
            );
        }
    }

    /// Whether the reader takes the events of `source` within its own stage. Otherwise it takes
    /// them from the stream.
    pub(super) fn within_stage(&self, reader: &KeyedProcessor, source: Source) -> bool {
        match source {
            Source::Stream(_) => false,
            Source::Processor(index) => {
                let input = &self.processors[index];
                input.new_key.is_empty() && input.level == reader.level
            }
        }
    }

    /// The stream that has the events of a source.
    pub(super) fn stream(&self, source: Source) -> &str {
        match source {
            Source::Stream(index) => &self.streams[index].0,
            Source::Processor(index) => &self.processors[index].name,
        }
    }

    /// The first ingested stream that a processor's events come from, by its index.
    pub(super) fn source_of(&self, processor: &str) -> Option<usize> {
        let mut index = self.processors.iter().position(|other| other.name == processor)?;
        loop {
            match self.processors[index].inputs.first()? {
                Source::Stream(stream) => return Some(*stream),
                Source::Processor(input) => index = *input,
            }
        }
    }

    /// All ingested streams that a processor's events come from, by name, sorted.
    pub(super) fn sources_of(&self, processor: &KeyedProcessor) -> Vec<&str> {
        let mut names = Vec::new();
        let mut open = processor.inputs.clone();
        while let Some(source) = open.pop() {
            match source {
                Source::Stream(stream) => names.push(self.streams[stream].0.as_str()),
                Source::Processor(index) => open.extend(&self.processors[index].inputs),
            }
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The keying and generation of a stream, declared or derived.
    pub(super) fn keying(&self, stream: &StreamName) -> Option<(&Keying, i32)> {
        let declared = self.streams.iter().find(|(name, ..)| *name == stream.as_str());
        declared.map(|(_, keying, generation)| (keying, *generation)).or_else(|| {
            let processor = self.processors.iter().find(|other| other.name == stream.as_str())?;
            Some((&processor.output, processor.generation))
        })
    }

    /// Sinks start anew when something upstream does.
    pub(super) fn at_their_generation(&self, mut sinks: Vec<SinkPlan>) -> Vec<SinkPlan> {
        for sink in &mut sinks {
            let upstream = sink.from.iter().filter_map(|from| self.keying(from));
            sink.generation = upstream.fold(sink.generation, |sum, (_, g)| sum.saturating_add(g));
        }
        sinks
    }

    /// The keying that all inputs share.
    fn common(&self, index: usize, inputs: &[Source], checks: &mut Checks) -> Keying {
        let keying = |source: &Source| match source {
            Source::Stream(stream) => &self.streams[*stream].1,
            Source::Processor(index) => &self.processors[*index].output,
        };
        let Some(first) = inputs.first() else {
            return Keying { declared: Vec::new(), held_by: None, partitions: 1 };
        };
        let mut common = keying(first).clone();
        for other in &inputs[1..] {
            let next = keying(other);
            if next.declared != common.declared || next.partitions != common.partitions {
                checks.error_with_hint(
                    format!("spec.processors[{index}].from"),
                    format!(
                        "`{}` has {}, but `{}` has {}",
                        self.stream(*first),
                        described(keying(first)),
                        self.stream(*other),
                        described(next),
                    ),
                    "give both the same key and number of partitions, by `key` of a processor before this one",
                );
                break;
            }
            if next.held_by != common.held_by {
                common.held_by = None;
            }
        }
        common
    }

    fn level(&self, inputs: &[Source]) -> usize {
        let level = |source: &Source| match source {
            Source::Stream(_) => 0,
            Source::Processor(index) => {
                let input = &self.processors[*index];
                input.level + usize::from(!input.new_key.is_empty())
            }
        };
        inputs.iter().map(level).max().unwrap_or_default()
    }

    fn generation(&self, inputs: &[Source]) -> i32 {
        let generation = |source: &Source| match source {
            Source::Stream(stream) => self.streams[*stream].2,
            Source::Processor(index) => self.processors[*index].generation,
        };
        inputs.iter().map(generation).fold(0, i32::saturating_add)
    }
}

/// The fields that still hold the key after an operation.
fn held_after(operation: &Operation, input: &Keying) -> Option<Vec<FieldPath>> {
    let held = input.held_by.as_ref()?;
    let kept = match operation {
        Operation::Filter(_) | Operation::Rekey | Operation::Dedupe(_) => true,
        Operation::Map(program) => held.iter().all(|path| !program.assigns(path)),
        Operation::Motion(_) => {
            held.iter().all(|path| !MOTION_FIELDS.iter().any(|field| is_within(path, field)))
        }
        // What `rank` emits names its group in a field of its own.
        Operation::Rank(_) => return Some(vec![FieldPath::from_str(".group").ok()?]),
        // Results have the fields of their groups where the events had them.
        Operation::Window(window) if !window.by.is_empty() => return Some(window.by.clone()),
        Operation::Alert(alert) if !alert.by.is_empty() => {
            let taken = |path: &FieldPath| ALERT_FIELDS.contains(&path.leaf());
            return if alert.by.iter().any(taken) { None } else { leaves(&alert.by) };
        }
        Operation::Enrich(enrich) => held.iter().all(|path| !is_within(path, &enrich.field)),
        Operation::Geofence(_) => {
            held.iter().all(|path| !["kind", "fence", "entity"].iter().any(|f| is_within(path, f)))
        }
        Operation::Laps(_)
        | Operation::Window(_)
        | Operation::WindowPartial(_)
        | Operation::WindowCombine { .. }
        | Operation::Alert(_) => false,
    };
    kept.then(|| held.clone())
}

/// The last fields of paths, as they stand at the top of what is made from them.
fn leaves(paths: &[FieldPath]) -> Option<Vec<FieldPath>> {
    paths.iter().map(|path| format!(".{}", path.leaf()).parse().ok()).collect()
}

/// Whether a path names a field of this name at the top of an event, or something within it.
fn is_within(path: &FieldPath, field: &str) -> bool {
    let rest = path.as_str().strip_prefix('.').and_then(|path| path.strip_prefix(field));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The key that an operation needs, where it does not take any.
fn needed_key(operation: &Operation) -> Option<Vec<FieldPath>> {
    match operation {
        Operation::Rank(rank) => Some(vec![rank.group.clone()]),
        Operation::Window(window) if !window.by.is_empty() => Some(window.by.clone()),
        Operation::Alert(alert) if !alert.by.is_empty() => Some(alert.by.clone()),
        Operation::Dedupe(dedupe) => dedupe.by.clone().map(|path| vec![path]),
        _ => None,
    }
}

fn key_of_partials() -> Vec<FieldPath> {
    PARTIAL_KEY.parse().map(|path| vec![path]).unwrap_or_default()
}

fn described(keying: &Keying) -> String {
    let key = keying.declared.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let partitions = keying.partitions;
    format!("the key [{key}] and {partitions} partition{}", if partitions == 1 { "" } else { "s" })
}

/// Paths that were checked before.
fn paths(texts: &[millrace_api::Path]) -> Vec<FieldPath> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// The keying's declared fields as texts, for what depends on them.
pub(super) fn declared_texts(keying: &Keying) -> Vec<&str> {
    keying.declared.iter().map(FieldPath::as_str).collect()
}
