//! `map` and `filter`: what programs decide.

use millrace_core::Event;
use millrace_core::Value;
use millrace_plan::program::Evaluation;
use millrace_plan::program::Program;
use millrace_plan::program::Stopped;

use crate::Cause;
use crate::Counted;
use crate::Emitter;
use crate::Operator;

/// Replaces each event by what the program leaves in `.`.
pub(crate) struct Map {
    program: Program,
}

impl Map {
    pub(crate) fn new(program: Program) -> Self {
        Self { program }
    }
}

impl Operator for Map {
    fn process(&mut self, event: &Event, out: &mut Emitter<'_>) {
        match self.program.transform(event) {
            Evaluation::Done { event: value, .. } => out.emit(&Cause::from(event), value),
            Evaluation::Aborted => out.count(Counted::Filtered),
            Evaluation::Failed(message) => out.refuse(event, message),
        }
    }
}

/// Keeps the events for which the program's last expression is `true`. `abort` drops like `false`.
pub(crate) struct Filter {
    program: Program,
}

impl Filter {
    pub(crate) fn new(program: Program) -> Self {
        Self { program }
    }
}

impl Operator for Filter {
    fn process(&mut self, event: &Event, out: &mut Emitter<'_>) {
        match self.program.value_of(event) {
            Ok(Value::Boolean(true)) => out.emit(&Cause::from(event), event.value.clone()),
            Ok(Value::Boolean(false)) | Err(Stopped::Aborted) => out.count(Counted::Filtered),
            Ok(other) => {
                let kind = other.kind_str();
                out.refuse(event, format!("the filter gave a value of type {kind}, no boolean"));
            }
            Err(Stopped::Failed(message)) => out.refuse(event, message),
        }
    }
}
