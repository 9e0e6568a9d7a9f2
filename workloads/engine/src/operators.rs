//! The operators of one task: passes events through them and collects what they make.
//!
//! An event goes through all operators of the stage before the next one; what an operator makes
//! goes on at once to the operators that take its outputs, and to the log where anyone outside
//! of the stage reads it.

use std::sync::Arc;

use bytes::Bytes;
use millrace_core::DeadLetter;
use millrace_core::Event;
use millrace_core::EventId;
use millrace_core::FieldPath;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_core::dead_letter::SourcePosition;
use millrace_core::record::MAX_VALUE_BYTES;
use millrace_core::time::rfc3339;
use millrace_log::StateChange;
use millrace_log::StateEntry;
use millrace_plan::model::OperatorInput;
use millrace_plan::model::OperatorPlan;
use millrace_processors::Counted;
use millrace_processors::Emitter;
use millrace_processors::Operator;
use millrace_processors::Refusal;
use millrace_processors::RestoreError;

use crate::page::Page;

/// Store of the fingerprints of a task's operators.
const FINGERPRINTS: &str = "fingerprints";

/// State that cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreStateError {
    /// The state was made by another configuration.
    #[error(
        "the settings of processor `{processor}` have changed in a way that its state cannot \
         survive: undo the change, or start with an empty data folder"
    )]
    ChangedSettings {
        /// The processor.
        processor: String,
    },
    /// An entry cannot be read.
    #[error("cannot restore the state of processor `{processor}`")]
    Entry {
        /// The processor.
        processor: String,
        /// Why not.
        #[source]
        source: RestoreError,
    },
}

/// An operator that was called at its timer and wants to be called at the same time again, which
/// would never end.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("processor `{processor}` asks for its timer at {} again and again", rfc3339(*.time))]
pub struct TimerStays {
    /// The processor.
    pub processor: String,
    /// The time, in event-time milliseconds.
    pub time: i64,
}

/// What the operators have made since it was last taken.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// Records for the log, with the stream of each.
    pub(crate) outputs: Vec<(StreamName, Record)>,
    /// What was refused.
    pub(crate) dead_letters: Vec<DeadLetter>,
    /// Bytes of the values in both.
    pub(crate) bytes: usize,
    /// Events passed over, by operator and reason; there are few of these.
    pub(crate) counts: Vec<((usize, Counted), u64)>,
}

/// Where an event that is being processed came from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) stream: Arc<str>,
    pub(crate) partition: Partition,
    pub(crate) offset: Offset,
    pub(crate) original: Bytes,
}

impl Origin {
    /// The place as dead letters name it.
    pub(crate) fn position(&self) -> SourcePosition {
        SourcePosition {
            stream: self.stream.to_string(),
            partition: self.partition,
            offset: self.offset,
        }
    }
}

/// The operators of one task.
pub(crate) struct Operators {
    slots: Vec<Slot>,
    /// Operators that take a stream's events, by index of the task's input.
    by_input: Vec<Arc<[usize]>>,
    made: Made,
    /// Emptied lists of outputs, to be used again: as many as operators stand behind each other.
    spare: Vec<Vec<Event>>,
    page: Page,
}

/// What an operator is called for.
#[derive(Clone, Copy)]
enum Step<'a> {
    Timer(i64),
    Event(&'a Event),
    EndOfTime(i64),
}

struct Slot {
    name: Arc<str>,
    generation: i32,
    fingerprint: String,
    operator: Box<dyn Operator>,
    key: Vec<FieldPath>,
    output: Option<StreamName>,
    readers: Arc<[usize]>,
}

impl Operators {
    /// Builds the operators of a stage, without state.
    pub(crate) fn new(
        plans: &[OperatorPlan],
        inputs: &[StreamName],
        build: &dyn Fn(&OperatorPlan) -> Box<dyn Operator>,
    ) -> Self {
        let readers = |source: OperatorInput| -> Arc<[usize]> {
            let takes = |plan: &&(usize, &OperatorPlan)| plan.1.inputs.contains(&source);
            plans.iter().enumerate().collect::<Vec<_>>().iter().filter(takes).map(|p| p.0).collect()
        };
        let slots = plans
            .iter()
            .enumerate()
            .map(|(index, plan)| Slot {
                name: Arc::from(plan.name.as_str()),
                generation: plan.generation,
                fingerprint: plan.fingerprint.clone(),
                operator: build(plan),
                key: plan.key.clone(),
                output: plan.output.clone(),
                readers: readers(OperatorInput::Operator(index)),
            })
            .collect();
        let by_input =
            inputs.iter().map(|stream| readers(OperatorInput::Stream(stream.clone()))).collect();
        Self { slots, by_input, made: Made::default(), spare: Vec::new(), page: Page::default() }
    }

    /// Puts committed state back. State of operators that are no longer there is passed over.
    pub(crate) fn restore(&mut self, state: &[StateEntry]) -> Result<(), RestoreStateError> {
        for entry in state {
            let slot_of =
                |store: &[u8]| self.slots.iter().position(|slot| slot.store().as_bytes() == store);
            if entry.store == FINGERPRINTS {
                if let Some(slot) = slot_of(&entry.key)
                    && self.slots[slot].fingerprint.as_bytes() != entry.value
                {
                    let processor = self.slots[slot].name.to_string();
                    return Err(RestoreStateError::ChangedSettings { processor });
                }
            } else if let Some(slot) = slot_of(entry.store.as_bytes()) {
                let slot = &mut self.slots[slot];
                slot.operator
                    .restore(&entry.key, &entry.value)
                    .map_err(|source| slot.cannot_restore(source))?;
            }
        }
        for slot in &mut self.slots {
            slot.operator.finish_restore().map_err(|source| slot.cannot_restore(source))?;
        }
        Ok(())
    }

    /// The state changes that record which settings the state belongs to.
    pub(crate) fn fingerprints(&self) -> Vec<StateChange> {
        self.slots
            .iter()
            .map(|slot| StateChange {
                store: FINGERPRINTS.to_owned(),
                key: Bytes::from(slot.store()),
                value: Some(Bytes::from(slot.fingerprint.clone())),
            })
            .collect()
    }

    /// Passes an event of an input through the stage.
    pub(crate) fn process(&mut self, input: usize, event: &Event, origin: &Origin) {
        for reader in self.by_input[input].clone().iter() {
            self.run(*reader, Step::Event(event), Some(origin));
        }
    }

    /// The earliest time at which an operator wants to be called, if any does.
    pub(crate) fn next_timer(&self) -> Option<i64> {
        self.slots.iter().filter_map(|slot| slot.operator.next_timer()).min()
    }

    /// Calls the operators whose timers are at this time or before it. Readers come before those
    /// whose outputs they take: at its timer an operator has seen nothing of that time yet, no
    /// matter whether what it reads is made in the same stage.
    pub(crate) fn fire_timers(&mut self, time: i64) -> Result<(), TimerStays> {
        let is_due = |slot: &Slot| slot.operator.next_timer().is_some_and(|timer| timer <= time);
        for index in (0..self.slots.len()).rev() {
            if is_due(&self.slots[index]) {
                self.run(index, Step::Timer(time), None);
                if is_due(&self.slots[index]) {
                    return Err(TimerStays { processor: self.slots[index].name.to_string(), time });
                }
            }
        }
        Ok(())
    }

    /// Tells all operators that the events of this time have been processed.
    pub(crate) fn end_of_time(&mut self, time: i64) {
        for index in 0..self.slots.len() {
            self.run(index, Step::EndOfTime(time), None);
        }
    }

    fn run(&mut self, index: usize, step: Step<'_>, origin: Option<&Origin>) {
        // An operator that reads another one runs while the other's outputs are walked through.
        let mut events = self.spare.pop().unwrap_or_default();
        let mut refusals = Vec::new();
        let slot = &mut self.slots[index];
        let counts = &mut self.made.counts;
        let mut count = |reason, number| match counts
            .iter_mut()
            .find(|(counted, _)| *counted == (index, reason))
        {
            Some((_, so_far)) => *so_far += number,
            None => counts.push(((index, reason), number)),
        };
        let mut emitter = Emitter::new(
            &slot.name,
            slot.generation,
            &slot.key,
            &mut events,
            &mut refusals,
            &mut count,
        );
        match step {
            Step::Timer(time) => slot.operator.on_timer(time, &mut emitter),
            Step::Event(event) => slot.operator.process(event, &mut emitter),
            Step::EndOfTime(time) => slot.operator.end_of_time(time, &mut emitter),
        }
        for refusal in refusals {
            self.refuse(index, refusal, origin);
        }
        if !events.is_empty() {
            let readers = Arc::clone(&self.slots[index].readers);
            for event in events.drain(..) {
                for reader in readers.iter() {
                    self.run(*reader, Step::Event(&event), origin);
                }
                self.output(index, &event, origin);
            }
        }
        self.spare.push(events);
    }

    fn output(&mut self, index: usize, event: &Event, origin: Option<&Origin>) {
        let Some(stream) = self.slots[index].output.clone() else { return };
        match self.page.write(&event.value) {
            Ok(value) if value.len() > MAX_VALUE_BYTES => {
                let bytes = value.len();
                let reason =
                    format!("the output has {bytes} bytes; at most {MAX_VALUE_BYTES} are allowed");
                self.refuse(index, Refusal { event: event.clone(), reason }, origin);
            }
            Ok(value) => {
                self.made.bytes += value.len();
                let record = Record {
                    key: event.key.clone(),
                    event_time: event.time,
                    ingest_time: event.ingest_time,
                    id: event.id,
                    headers: event.headers.as_ref().clone(),
                    value,
                };
                self.made.outputs.push((stream, record));
            }
            Err(error) => {
                let reason = format!("the output cannot be written as JSON: {error}");
                self.refuse(index, Refusal { event: event.clone(), reason }, origin);
            }
        }
    }

    fn refuse(&mut self, index: usize, refusal: Refusal, origin: Option<&Origin>) {
        let Refusal { event, reason } = refusal;
        let stage = format!("processor/{}", self.slots[index].name);
        // What came from a stream is kept as it came; what a processor made, as it would be written,
        // unless that is too large to be kept: then what it was made of.
        let written = || serde_json::to_vec(&event.value).ok().map(Bytes::from);
        let as_it_came = origin.map(|origin| origin.original.clone());
        let original = as_it_came
            .clone()
            .filter(|_| origin.is_some_and(|origin| origin.stream == event.stream))
            .or_else(|| written().filter(|bytes| bytes.len() <= MAX_VALUE_BYTES))
            .or(as_it_came)
            .unwrap_or_default();
        self.made.bytes += original.len();
        self.made.dead_letters.push(DeadLetter {
            id: EventId::of_dead_letter(&stage, event.id.as_bytes(), &original),
            stage,
            reason,
            context: String::new(),
            source: origin.map(Origin::position),
            key: event.key,
            event_time: event.time,
            ingest_time: event.ingest_time,
            original,
        });
    }

    /// Takes what was made since the last call.
    pub(crate) fn take_made(&mut self) -> Made {
        std::mem::take(&mut self.made)
    }

    /// Number of records made that wait to be taken.
    pub(crate) fn waiting(&self) -> usize {
        self.made.outputs.len() + self.made.dead_letters.len()
    }

    /// Bytes of the values that wait to be taken.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.made.bytes
    }

    /// Takes what has changed of the operators' state since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<StateChange> {
        let mut changes = Vec::new();
        for slot in &mut self.slots {
            let store = slot.store();
            slot.operator.take_changes(&mut |key, value| {
                changes.push(StateChange {
                    store: store.clone(),
                    key: Bytes::copy_from_slice(key),
                    value: value.map(Bytes::from),
                });
            });
        }
        changes
    }

    /// Name and number of state entries of each operator.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = (&str, usize)> {
        self.slots.iter().map(|slot| (slot.name.as_ref(), slot.operator.state_entries()))
    }

    /// The name of the operator of an index.
    pub(crate) fn name(&self, index: usize) -> &str {
        &self.slots[index].name
    }
}

impl Slot {
    /// Name of its state in the task's changelog.
    fn store(&self) -> String {
        format!("{}.{}", self.name, self.generation)
    }

    fn cannot_restore(&self, source: RestoreError) -> RestoreStateError {
        RestoreStateError::Entry { processor: self.name.to_string(), source }
    }
}
