//! Programs in VRL: compiled once when the resource is checked, run for each event.

use std::fmt;
use std::sync::Arc;

use millrace_core::Value;

/// A compiled program. Cloning is cheap.
#[derive(Clone)]
pub struct Program {
    source: Arc<str>,
    compiled: Arc<vrl::compiler::Program>,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Evaluation {
    /// The event as the program left it (`.`), and the value of its last expression.
    Done {
        /// The event, `.` at the end.
        event: Value,
        /// The value of the last expression.
        result: Value,
    },
    /// The program said `abort`.
    Aborted,
    /// The program failed, with VRL's message.
    Failed(String),
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.source).finish()
    }
}
