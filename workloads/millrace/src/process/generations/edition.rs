//! An edition: the plan at the generations of all its parts, and what these are called in the log
//! and the tables.

use std::collections::BTreeSet;
use std::sync::Arc;

use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_log::Log;
use millrace_log::StageConfig;
use millrace_log::StreamConfig;
use millrace_log::TaskName;
use millrace_log::ViewNames;
use millrace_plan::Plan;
use millrace_plan::model::StagePlan;
use millrace_plan::model::StreamPlan;
use millrace_tables::SinkTable;
use millrace_tables::sink::TableSink;

use super::ledger::Garbage;
use super::ledger::Numbers;

/// The plan at the generations of all its parts.
#[derive(Debug, Clone)]
pub(crate) struct Edition {
    pub(crate) plan: Arc<Plan>,
    pub(crate) numbers: Numbers,
}

impl Edition {
    /// The number of a stream: that of the stage that writes it.
    fn stream_number(&self, name: &StreamName) -> i32 {
        self.plan.stage_of(name).map_or(0, |stage| self.stage_number(&self.plan.stages[stage].name))
    }

    fn stage_number(&self, name: &str) -> i32 {
        self.numbers.stages.get(name).copied().unwrap_or(0)
    }

    /// The number of a sink.
    pub(crate) fn sink_number(&self, name: &str) -> i32 {
        self.numbers.sinks.get(name).copied().unwrap_or(0)
    }

    /// The name of a stream in the log.
    pub(crate) fn stream(&self, name: &StreamName) -> StreamName {
        name.at_generation(self.stream_number(name))
    }

    /// The task of a stage's partition, as the log names it.
    pub(crate) fn task(&self, stage: &str, partition: Partition) -> TaskName {
        let stage = match self.stage_number(stage) {
            0 => stage.to_owned(),
            number => format!("{stage}.g{number}"),
        };
        TaskName { stage, partition }
    }

    /// What lies in the log under the plan's names.
    pub(crate) fn names(&self) -> ViewNames {
        let mut names = ViewNames::default();
        for stream in &self.plan.streams {
            let below = self.stream(&stream.name);
            if below != stream.name {
                names.streams.insert(stream.name.clone(), below);
            }
        }
        for stage in &self.plan.stages {
            let below = self.task(&stage.name, 0).stage;
            if below != stage.name {
                names.stages.insert(stage.name.clone(), below);
            }
        }
        names
    }

    /// The streams as the log keeps them.
    pub(crate) fn streams(&self) -> Vec<StreamConfig> {
        let config = |stream: &StreamPlan| StreamConfig {
            name: self.stream(&stream.name),
            partitions: stream.partitions,
            retention: stream.retention,
        };
        self.plan.streams.iter().map(config).collect()
    }

    /// The stages as the log keeps their tasks.
    pub(crate) fn stages(&self) -> Vec<StageConfig> {
        let config = |stage: &StagePlan| StageConfig {
            name: self.task(&stage.name, 0).stage,
            partitions: stage.partitions,
        };
        self.plan.stages.iter().map(config).collect()
    }

    /// The plan whose sinks have the generations that name their positions: those of everything
    /// upstream included, as they are in this edition and not as the resource has them now.
    pub(crate) fn outward(&self) -> Plan {
        let mut plan = (*self.plan).clone();
        for sink in &mut plan.sinks {
            sink.generation = self.sink_number(&sink.name);
        }
        plan
    }

    /// Whether a stage among these writes a stream.
    pub(crate) fn is_made_by(&self, parts: &Parts, stream: &StreamName) -> bool {
        let stage = self.plan.stage_of(stream).map(|stage| &self.plan.stages[stage].name);
        stage.is_some_and(|stage| parts.stages.contains(stage))
    }

    /// Gives stages whose generation is no longer the declared one the partitions that the log has
    /// of them: the resource may have changed these together with the generation.
    pub(crate) fn with_partitions_of(mut self, log: &dyn Log, declared: &Numbers) -> Self {
        let parts = self.differing(declared);
        let mut plan = (*self.plan).clone();
        for stream in &mut plan.streams {
            let below = self.stream(&stream.name);
            if self.is_made_by(&parts, &stream.name)
                && let Some(partitions) = partitions_of(log, &below)
            {
                stream.partitions = partitions;
            }
        }
        for stage in plan.stages.iter_mut().filter(|stage| parts.stages.contains(&stage.name)) {
            let outputs = stage.operators.iter().filter_map(|operator| operator.output.as_ref());
            let known = outputs.filter_map(|name| partitions_of(log, &self.stream(name))).max();
            stage.partitions = known.unwrap_or(stage.partitions);
        }
        self.plan = Arc::new(plan);
        self
    }

    /// The table sinks.
    pub(crate) fn table_sinks(&self) -> Vec<TableSink> {
        let mut sinks = TableSink::all(&self.plan);
        for sink in &mut sinks {
            sink.generation = self.sink_number(&sink.name);
        }
        sinks
    }

    /// What all table sinks fill.
    pub(crate) fn sink_tables(&self) -> Vec<SinkTable> {
        self.table_sinks().iter().map(Self::sink_table).collect()
    }

    /// What a table sink fills.
    pub(crate) fn sink_table(sink: &TableSink) -> SinkTable {
        SinkTable {
            sink: sink.name.clone(),
            table: sink.table.name.clone(),
            generation: sink.generation,
        }
    }

    /// The stages and sinks that have another number in another edition.
    pub(crate) fn differing(&self, other: &Numbers) -> Parts {
        let stages = self.numbers.stages.iter();
        let sinks = self.numbers.sinks.iter();
        Parts {
            stages: stages
                .filter(|(name, number)| other.stages.get(*name) != Some(*number))
                .map(|(name, _)| name.clone())
                .collect(),
            sinks: sinks
                .filter(|(name, number)| other.sinks.get(*name) != Some(*number))
                .map(|(name, _)| name.clone())
                .collect(),
        }
    }

    /// What is left of some parts of this edition when another takes their place. Tables are left
    /// out where the switch removes them itself.
    pub(crate) fn garbage(&self, parts: &Parts, with_tables: bool) -> Garbage {
        let mut garbage = Garbage::default();
        for stage in self.plan.stages.iter().filter(|stage| parts.stages.contains(&stage.name)) {
            for partition in 0..stage.partitions {
                garbage.tasks.insert((self.task(&stage.name, partition).stage, partition));
            }
            for output in stage.operators.iter().filter_map(|operator| operator.output.as_ref()) {
                garbage.streams.insert(self.stream(output).to_string());
            }
        }
        for sink in self.table_sinks().iter().filter(|sink| parts.sinks.contains(&sink.name)) {
            for input in &sink.inputs {
                let stage = sink.task_stage(&input.stream);
                for partition in 0..input.partitions {
                    garbage.tasks.insert((stage.clone(), partition));
                }
            }
            if with_tables {
                let table = &sink.table.name;
                garbage.tables.insert((sink.name.clone(), table.clone(), sink.generation));
            }
        }
        garbage
    }
}

/// How many partitions the log has of a stream; none if it has no such stream.
fn partitions_of(log: &dyn Log, stream: &StreamName) -> Option<Partition> {
    let known = (0..).take_while(|partition| log.partition_info(stream, *partition).is_ok());
    known.last().map(|last| last + 1)
}

/// Some stages and sinks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) stages: BTreeSet<String>,
    pub(crate) sinks: BTreeSet<String>,
}

impl Parts {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.stages.is_empty() && self.sinks.is_empty()
    }

    /// Those that are among others as well.
    pub(crate) fn and(mut self, others: &Self) -> Self {
        self.stages.retain(|name| others.stages.contains(name));
        self.sinks.retain(|name| others.sinks.contains(name));
        self
    }

    /// Leaves sinks out that are not among these.
    pub(crate) fn retain_sinks(mut self, known: &[TableSink]) -> Self {
        self.sinks.retain(|name| known.iter().any(|sink| sink.name == *name));
        self
    }
}
