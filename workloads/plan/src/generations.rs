//! Generations: which parts of a pipeline are computed anew when one of them is raised.
//!
//! A stage is one task per partition, so it is raised as a whole, and with it everything
//! downstream. The number of a stage or sink only grows when one is raised, and never otherwise
//! changes; what it has made carries the number.

use std::collections::BTreeMap;
use std::collections::HashMap;

use millrace_core::StreamName;

use crate::Plan;
use crate::model::OperatorInput;
use crate::model::StreamOrigin;

/// The generation of each stage and sink, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Generations {
    /// Of stages: their tasks, state and streams.
    pub stages: BTreeMap<String, i32>,
    /// Of sinks: their tables and positions.
    pub sinks: BTreeMap<String, i32>,
}

/// By how much the generations of processors and sinks are raised beyond what the resource says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Raise {
    /// By processor.
    pub processors: BTreeMap<String, i32>,
    /// By sink.
    pub sinks: BTreeMap<String, i32>,
}

impl Plan {
    /// The plan with generations raised, and those of everything downstream.
    #[must_use]
    pub fn raised(&self, raise: &Raise) -> Self {
        let mut plan = self.clone();
        let mut by_stream: HashMap<StreamName, i32> = HashMap::new();
        let of = |map: &BTreeMap<String, i32>, name: &str| map.get(name).copied().unwrap_or(0);
        for stage in &mut plan.stages {
            let mut by_operator: Vec<i32> = Vec::new();
            for operator in &mut stage.operators {
                let upstream = operator.inputs.iter().map(|input| match input {
                    OperatorInput::Stream(name) => by_stream.get(name).copied().unwrap_or(0),
                    OperatorInput::Operator(index) => by_operator.get(*index).copied().unwrap_or(0),
                });
                let by = upstream.fold(of(&raise.processors, &operator.name), i32::saturating_add);
                operator.generation = operator.generation.saturating_add(by);
                by_operator.push(by);
                if let Some(output) = &operator.output {
                    by_stream.insert(output.clone(), by);
                }
            }
        }
        for stream in &mut plan.streams {
            let by = by_stream.get(&stream.name).copied().unwrap_or(0);
            stream.generation = stream.generation.saturating_add(by);
        }
        for sink in &mut plan.sinks {
            let upstream = sink.from.iter().map(|name| by_stream.get(name).copied().unwrap_or(0));
            let by = upstream.fold(of(&raise.sinks, &sink.name), i32::saturating_add);
            sink.generation = sink.generation.saturating_add(by);
        }
        plan
    }

    /// The generations of stages and sinks.
    #[must_use]
    pub fn generations(&self) -> Generations {
        let mut generations = Generations::default();
        let mut by_stage: Vec<i32> = Vec::new();
        for stage in &self.stages {
            let own = stage.operators.iter().map(|operator| operator.generation);
            let upstream = stage.inputs.iter().filter_map(|name| self.stage_of(name));
            let upstream = upstream.filter_map(|index| by_stage.get(index).copied());
            let generation = own.chain(upstream).fold(0, i32::saturating_add);
            by_stage.push(generation);
            generations.stages.insert(stage.name.clone(), generation);
        }
        for sink in &self.sinks {
            let stages = sink.from.iter().filter_map(|name| self.stage_of(name));
            let upstream = stages.filter_map(|index| by_stage.get(index).copied());
            let generation = upstream.fold(sink.generation, i32::saturating_add);
            generations.sinks.insert(sink.name.clone(), generation);
        }
        generations
    }

    /// Index of the stage that writes a stream.
    #[must_use]
    pub fn stage_of(&self, stream: &StreamName) -> Option<usize> {
        match self.stream(stream)?.origin {
            StreamOrigin::Derived { stage, .. } => Some(stage),
            StreamOrigin::Ingested(_) | StreamOrigin::DeadLetters => None,
        }
    }
}
