//! Names: every reference resolved, and processors put in an order in which each comes after
//! those that it reads.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use millrace_api::TelemetryPipelineSpec;
use millrace_core::names::DEAD_LETTERS;

use super::checks::Checks;
use super::checks::hint_for;

/// What a processor, a sink or a view reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Node {
    /// An ingested stream, by its index in the resource.
    Stream(usize),
    /// A processor, by its index in the resource.
    Processor(usize),
}

/// Who reads whom.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// What each processor reads, in the resource's order of processors; what an `enrich` takes
    /// its values from comes last.
    pub(super) inputs: Vec<Vec<Node>>,
    /// Processors, each after those that it reads; otherwise in the resource's order.
    pub(super) order: Vec<usize>,
    /// Processors whose output something outside of the computation reads.
    pub(super) read: Vec<bool>,
}

impl Graph {
    /// Resolves every name.
    pub(super) fn resolve(spec: &TelemetryPipelineSpec, checks: &mut Checks) -> Self {
        let names = declared(spec, checks);
        let mut graph = Self {
            inputs: vec![Vec::new(); spec.processors.len()],
            order: Vec::new(),
            read: vec![false; spec.processors.len()],
        };
        for (index, processor) in spec.processors.iter().enumerate() {
            for (position, from) in processor.from.iter().enumerate() {
                let at = format!("spec.processors[{index}].from[{position}]");
                if let Some(node) = find(&names, from, &at, checks) {
                    graph.inputs[index].push(node);
                }
            }
            if let Some(enrich) = &processor.enrich {
                let at = format!("spec.processors[{index}].enrich.with");
                if processor.from.contains(&enrich.with) {
                    checks.error_with_hint(
                        at.clone(),
                        format!("`{}` is enriched with itself", enrich.with),
                        "take it out of `from`",
                    );
                }
                if let Some(node) = find(&names, &enrich.with, &at, checks) {
                    graph.inputs[index].push(node);
                }
            }
        }
        for (index, sink) in spec.sinks.iter().enumerate() {
            for (position, from) in sink.from.iter().enumerate() {
                let at = format!("spec.sinks[{index}].from[{position}]");
                graph.mark_read(find(&names, from, &at, checks));
            }
        }
        for (index, ingest) in spec.ingest.iter().enumerate() {
            let at = format!("spec.ingest[{index}].to");
            if !spec.streams.iter().any(|stream| stream.name == ingest.to) {
                let streams = spec.streams.iter().map(|stream| stream.name.as_str());
                let message = match names.get(ingest.to.as_str()) {
                    Some(_) => format!("`{}` is a processor and takes no events", ingest.to),
                    None => format!("no stream is named `{}`", ingest.to),
                };
                checks.error_with_hint(at, message, hint_for(&ingest.to, streams));
            }
        }
        if let Some(dashboard) = &spec.query.dashboard {
            let at = "spec.query.dashboard";
            if let Some(map) = &dashboard.map {
                graph.mark_read(find(&names, &map.from, &format!("{at}.map.from"), checks));
            }
            for (index, column) in dashboard.board.iter().flat_map(|b| &b.columns).enumerate() {
                let at = format!("{at}.board.columns[{index}].from");
                graph.mark_read(find(&names, &column.from, &at, checks));
            }
            for (index, chart) in dashboard.charts.iter().enumerate() {
                let at = format!("{at}.charts[{index}].from");
                graph.mark_read(find(&names, &chart.from, &at, checks));
            }
            if let Some(feed) = &dashboard.feed {
                graph.mark_read(find(&names, &feed.from, &format!("{at}.feed.from"), checks));
            }
        }
        graph.sort(spec, checks);
        graph
    }

    fn mark_read(&mut self, node: Option<Node>) {
        if let Some(Node::Processor(index)) = node {
            self.read[index] = true;
        }
    }

    /// Orders the processors; those of a cycle are reported and left out.
    fn sort(&mut self, spec: &TelemetryPipelineSpec, checks: &mut Checks) {
        let mut placed = vec![false; self.inputs.len()];
        while let Some(next) = (0..self.inputs.len()).find(|index| {
            !placed[*index]
                && self.inputs[*index].iter().all(|node| match node {
                    Node::Stream(_) => true,
                    Node::Processor(input) => placed[*input],
                })
        }) {
            placed[next] = true;
            self.order.push(next);
        }
        let mut reported = placed.clone();
        for start in 0..self.inputs.len() {
            if !reported[start]
                && let Some(cycle) = self.cycle_from(start, &placed)
                && cycle.iter().all(|index| !reported[*index])
            {
                let names = cycle.iter().chain(cycle.first());
                let names = names.map(|index| format!("`{}`", spec.processors[*index].name));
                checks.error_with_hint(
                    format!("spec.processors[{}].from", cycle[0]),
                    format!("reads its own output: {}", names.collect::<Vec<_>>().join(" reads ")),
                    "take one of them out of the other's `from`",
                );
                for index in cycle {
                    reported[index] = true;
                }
            }
        }
    }

    /// The cycle that is reached by following unplaced inputs, beginning with its first processor
    /// in the resource's order. Every processor that was not placed reads another such one.
    fn cycle_from(&self, start: usize, placed: &[bool]) -> Option<Vec<usize>> {
        let mut path = vec![start];
        loop {
            let next = self.inputs[*path.last()?].iter().find_map(|node| match node {
                Node::Processor(input) if !placed[*input] => Some(*input),
                _ => None,
            })?;
            if let Some(begin) = path.iter().position(|index| *index == next) {
                let mut cycle = path.split_off(begin);
                let lowest = cycle.iter().enumerate().min_by_key(|(_, index)| **index)?.0;
                cycle.rotate_left(lowest);
                return Some(cycle);
            }
            path.push(next);
        }
    }
}

/// Streams and processors by name. They share one space of names, since processors write streams.
fn declared<'a>(spec: &'a TelemetryPipelineSpec, checks: &mut Checks) -> HashMap<&'a str, Node> {
    let mut names = HashMap::new();
    let streams = spec.streams.iter().enumerate().map(|(index, stream)| {
        (&stream.name, Node::Stream(index), format!("spec.streams[{index}]"))
    });
    let processors = spec.processors.iter().enumerate().map(|(index, processor)| {
        (&processor.name, Node::Processor(index), format!("spec.processors[{index}]"))
    });
    for (name, node, at) in streams.chain(processors) {
        let at = format!("{at}.name");
        if **name == *DEAD_LETTERS {
            checks.error_with_hint(
                at.clone(),
                format!("`{DEAD_LETTERS}` is the stream of what could not be processed"),
                "write another name",
            );
        }
        match names.entry(name.as_str()) {
            Entry::Vacant(entry) => {
                entry.insert(node);
            }
            Entry::Occupied(entry) => {
                let what = match entry.get() {
                    Node::Stream(_) => "a stream",
                    Node::Processor(_) => "another processor",
                };
                checks.error_with_hint(
                    at,
                    format!("{what} is named `{name}` already"),
                    "write another name; streams and processors share one space of names",
                );
            }
        }
    }
    names
}

fn find(names: &HashMap<&str, Node>, name: &str, at: &str, checks: &mut Checks) -> Option<Node> {
    let found = names.get(name).copied();
    if found.is_none() {
        let mut candidates = names.keys().copied().collect::<Vec<_>>();
        candidates.sort_unstable();
        checks.error_with_hint(
            at,
            format!("no stream or processor is named `{name}`"),
            hint_for(name, candidates),
        );
    }
    found
}
