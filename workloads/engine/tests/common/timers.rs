//! Operators with timers, made for the tests of the engine alone.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use millrace_core::Event;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Value;
use millrace_engine::BuildOperator;
use millrace_plan::Plan;
use millrace_plan::model::*;
use millrace_processors::Cause;
use millrace_processors::Emitter;
use millrace_processors::Operator;
use millrace_processors::RestoreError;
use millrace_processors::StateChange;
use parking_lot::Mutex;

use super::coordinates;
use super::dead_letters;
use super::derived;
use super::name;
use super::operator;

/// Builds `delayed-MILLIS` and `ticking-MILLIS` by their names, and all else as it is.
pub fn build() -> BuildOperator {
    Arc::new(|plan| {
        let number = |prefix| plan.name.strip_prefix(prefix)?.parse().ok();
        match (number("delayed-"), number("ticking-")) {
            (Some(by), _) => Box::new(Delay { by, ..Delay::default() }),
            (_, Some(every)) => Box::new(Ticking { every, next: None }),
            _ => millrace_processors::build(plan),
        }
    })
}

/// Passes each event on unchanged, so many milliseconds of event time later.
#[derive(Default)]
struct Delay {
    by: i64,
    waiting: BTreeMap<(i64, EventId), (Bytes, Value)>,
    changed: BTreeSet<(i64, EventId)>,
}

impl Operator for Delay {
    fn process(&mut self, event: &Event, _: &mut Emitter<'_>) {
        let place = (event.time + self.by, event.id);
        self.waiting.insert(place, (event.key.clone(), event.value.clone()));
        self.changed.insert(place);
    }

    fn next_timer(&self) -> Option<i64> {
        self.waiting.keys().next().map(|(time, _)| *time)
    }

    fn on_timer(&mut self, time: i64, out: &mut Emitter<'_>) {
        while let Some(first) = self.waiting.first_entry().filter(|first| first.key().0 <= time) {
            let (place, (key, value)) = first.remove_entry();
            self.changed.insert(place);
            let headers = Arc::new(Headers::default());
            out.emit(&Cause { id: place.1, key, time, ingest_time: 0, headers }, value);
        }
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        let (time, id) = key.split_at(8);
        let place = (
            i64::from_be_bytes(time.try_into().unwrap()),
            EventId::from(<[u8; 16]>::try_from(id).unwrap()),
        );
        let (key, value): (String, Value) = serde_json::from_slice(value).unwrap();
        self.waiting.insert(place, (key.into(), value));
        Ok(())
    }

    fn take_changes(&mut self, change: &mut StateChange<'_>) {
        for place in std::mem::take(&mut self.changed) {
            let key = [&place.0.to_be_bytes()[..], place.1.as_bytes()].concat();
            let value = self.waiting.get(&place).map(|(key, value)| {
                let key = std::str::from_utf8(key).unwrap();
                serde_json::to_vec(&(key, value)).unwrap()
            });
            change(&key, value);
        }
    }
}

/// Wants to be called every so many milliseconds from the first event on, for good; with 0 at the
/// same time again.
struct Ticking {
    every: i64,
    next: Option<i64>,
}

impl Operator for Ticking {
    fn process(&mut self, event: &Event, _: &mut Emitter<'_>) {
        self.next.get_or_insert(event.time + 1);
    }

    fn next_timer(&self) -> Option<i64> {
        self.next
    }

    fn on_timer(&mut self, time: i64, _: &mut Emitter<'_>) {
        self.next = Some(time + self.every);
    }
}

/// What an operator was called for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    Timer(i64),
    /// Event time, and whose event it is.
    Event(i64, String),
    End(i64),
}

/// Notes its calls, and asks for the timers that it is told to, each at an event of a time.
struct Noting {
    timers: Vec<(i64, i64)>,
    asked: BTreeSet<i64>,
    calls: Arc<Mutex<Vec<Call>>>,
}

/// Builds an operator `noting` that asks at events of the first time of a pair for a timer of the
/// second, and all else like [`build`].
pub fn build_noting(timers: &[(i64, i64)], calls: &Arc<Mutex<Vec<Call>>>) -> BuildOperator {
    let (timers, calls, others) = (timers.to_vec(), Arc::clone(calls), build());
    Arc::new(move |plan| {
        if plan.name == "noting" {
            let (timers, calls) = (timers.clone(), Arc::clone(&calls));
            return Box::new(Noting { timers, asked: BTreeSet::new(), calls });
        }
        others(plan)
    })
}

impl Operator for Noting {
    fn process(&mut self, event: &Event, _: &mut Emitter<'_>) {
        let asked = self.timers.iter().filter(|(at, _)| *at == event.time);
        self.asked.extend(asked.map(|(_, timer)| *timer));
        self.calls.lock().push(Call::Event(event.time, event.stream.to_string()));
    }

    fn next_timer(&self) -> Option<i64> {
        self.asked.first().copied()
    }

    fn on_timer(&mut self, time: i64, _: &mut Emitter<'_>) {
        self.asked.retain(|asked| *asked > time);
        self.calls.lock().push(Call::Timer(time));
    }

    fn end_of_time(&mut self, time: i64, _: &mut Emitter<'_>) {
        self.calls.lock().push(Call::End(time));
    }
}

/// Two operators with timers in one stage, keyed by the race, and a third in the next one, which
/// reads what both make.
pub fn timers_plan(partitions: i32) -> Plan {
    let stream = |text| OperatorInput::Stream(name(text));
    let mut third =
        operator("delayed-100", stream("delayed-300"), Operation::Rekey, None, Some("delayed-100"));
    third.inputs.push(stream("delayed-70"));
    let stage = |name_: &str, inputs: &[&str], operators| StagePlan {
        name: name_.to_owned(),
        inputs: inputs.iter().map(|input| name(input)).collect(),
        partitions,
        operators,
        buffer: BufferLimits::default(),
    };
    let one =
        |name_: &str, input| operator(name_, input, Operation::Rekey, Some(".race"), Some(name_));
    Plan {
        pipeline: "race".to_owned(),
        streams: vec![
            coordinates(".car", partitions),
            derived("delayed-300", 0, partitions),
            derived("delayed-70", 0, partitions),
            derived("delayed-100", 1, partitions),
            dead_letters(),
        ],
        ingest: Vec::new(),
        stages: vec![
            stage(
                "delayed-300",
                &["coordinates"],
                vec![
                    one("delayed-300", stream("coordinates")),
                    one("delayed-70", OperatorInput::Operator(0)),
                ],
            ),
            stage("delayed-100", &["delayed-300", "delayed-70"], vec![third]),
        ],
        sinks: Vec::new(),
        query: QueryPlan::default(),
        exposure: ExposurePlan::default(),
    }
}
