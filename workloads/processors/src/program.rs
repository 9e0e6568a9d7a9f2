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

/// Replaces each event by what the program leaves in `.`; an array is an event for each item, and
/// an empty one drops the event.
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
            Evaluation::Done { event: Value::Array(items), .. } => emit_each(event, items, out),
            Evaluation::Done { event: value, .. } => out.emit(&Cause::from(event), value),
            Evaluation::Aborted => out.count(Counted::Filtered),
            Evaluation::Failed(message) => out.refuse(event, message),
        }
    }
}

fn emit_each(event: &Event, items: Vec<Value>, out: &mut Emitter<'_>) {
    if items.is_empty() {
        return out.count(Counted::Filtered);
    }
    let no_object = items.iter().enumerate().find(|(_, item)| !matches!(item, Value::Object(_)));
    if let Some((index, item)) = no_object {
        let kind = item.kind_str();
        let reason = format!("item {index} of the program's array is of type {kind}, no object");
        return out.refuse(event, reason);
    }
    let cause = Cause::from(event);
    for item in items {
        out.emit(&cause, item);
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
