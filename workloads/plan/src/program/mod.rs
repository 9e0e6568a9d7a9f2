//! Programs in VRL: compiled once when the resource is checked, run for each event.
//!
//! A program sees the event as `.` and its [context](context) as `%`; the context is read-only.
//! What it may call depends on its [`Place`]. The time zone is UTC. A run is bounded by
//! [`MAX_STEPS`], so that no event can hold a task for ever.

mod context;
mod failure;
mod functions;
mod size;
mod target;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::LazyLock;

use millrace_core::Event;
use millrace_core::FieldPath;
use millrace_core::Value;
use vrl::compiler::CompileConfig;
use vrl::compiler::ExpressionError;
use vrl::compiler::TimeZone;
use vrl::compiler::runtime::Runtime;
use vrl::compiler::runtime::Terminate;
use vrl::compiler::state::ExternalEnv;
use vrl::diagnostic::Formatter;
use vrl::path::OwnedTargetPath;
use vrl::path::OwnedValuePath;
use vrl::path::PathPrefix;
use vrl::path::ValuePath as _;
use vrl::value::Kind;
use vrl::value::kind::Collection;

use self::context::Needs;
use self::target::EventTarget;

pub use self::context::context_fields;
pub use self::context::context_of;
pub use self::context::context_of_message;
pub use self::context::context_of_request;
pub use self::context::context_of_topic;
pub use self::functions::function_rules;
pub use self::size::MAX_NESTING;
pub use self::size::MAX_OPERATORS;
pub use self::size::MAX_PROGRAM_BYTES;

/// Most steps (expressions within blocks and closures) of one run; then it fails. A count and
/// not a time, so that the same event has the same result on every machine.
pub const MAX_STEPS: u32 = 1_000_000;

static UTC: LazyLock<TimeZone> =
    LazyLock::new(|| TimeZone::parse("UTC").expect("UTC is in every time zone database"));

/// Where a program stands, which says what it sees and may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Mapping of what came in over MQTT to an event. It runs once per event, before the event is
    /// stored, and so may ask for the time or for random numbers. `%` has `topic`, `clientId`,
    /// `user` and `ingestTime`.
    Ingest,
    /// Mapping of what came in over HTTP or WebSocket to an event, with the same rights. `%` has
    /// `method`, `path`, `query`, `headers`, `user`, `ingestTime` and `id`.
    Http,
    /// Mapping of a record of a topic to an event. A topic can be read again, so it must give the
    /// same result each time. `%` has `topic`, `key`, `headers` and `ingestTime`.
    Kafka,
    /// The answer to what came in over HTTP: `.` is the accepted event, `%` as for the mapping.
    /// It must give the same for the same event, so that a repeated request has the same answer.
    Response,
    /// The answer to a query: `.` is what was found, `%` has `path` and `query`.
    Query,
    /// Everywhere else. It may run again for the same event and must give the same result. `%`
    /// has `stream`, `key`, `eventTime`, `ingestTime` and `id`.
    Pipeline,
}

/// What is known of the requests that a program sees, so that it need not check what is always
/// there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestShape {
    /// Names of the parameters of the path.
    pub path: Vec<String>,
    /// Names of the headers that every request has, in lower case.
    pub headers: Vec<String>,
}

/// A compiled program. Cloning is cheap.
#[derive(Clone)]
pub struct Program {
    source: Arc<str>,
    compiled: Arc<vrl::compiler::Program>,
    needs: Needs,
}

/// A program that cannot be used.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum ProgramError {
    /// The source has nothing but blanks.
    #[error("the program is empty")]
    Empty,
    /// The source has more than [`MAX_PROGRAM_BYTES`].
    #[error("the program has {0} bytes; at most {MAX_PROGRAM_BYTES} are allowed")]
    TooLarge(usize),
    /// Brackets are nested deeper than [`MAX_NESTING`].
    #[error("brackets are nested deeper than {MAX_NESTING} levels")]
    TooDeep,
    /// An expression has more than [`MAX_OPERATORS`] operators.
    #[error("an expression has more than {MAX_OPERATORS} operators; give its parts names")]
    TooManyOperators,
    /// The program reads a field of `%` that does not exist at its place.
    #[error("`%{name}` does not exist here; write one of {known}")]
    UnknownContext {
        /// The field.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// The program reads a parameter that the path does not have.
    #[error("the path has no parameter `{name}`; {known}")]
    UnknownParameter {
        /// The parameter.
        name: String,
        /// Those that exist, in words.
        known: String,
    },
    /// The program reads a header by a name with capital letters, which no request has.
    #[error("header names are in lower case here; write `%headers.{0}`")]
    HeaderCase(String),
    /// The compiler's own diagnostic.
    #[error("{0}")]
    Compile(String),
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
    /// The program failed, with what went wrong; of an `assert` its own message.
    Failed(String),
}

/// Why a program gave no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// The program said `abort`.
    Aborted,
    /// The program failed, with what went wrong; of an `assert` its own message.
    Failed(String),
}

impl Program {
    /// Compiles a program.
    ///
    /// # Errors
    /// When it is empty or too large, reads a context that does not exist at `place`, calls what
    /// `place` does not allow, does not compile, or may fail without handling the failure.
    pub fn compile(source: &str, place: Place) -> Result<Self, ProgramError> {
        Self::compile_for(source, place, &RequestShape::default())
    }

    /// Compiles a program that sees requests of a known shape.
    ///
    /// # Errors
    /// As [`Program::compile`]; also when it reads a parameter that the path does not have.
    pub fn compile_for(
        source: &str,
        place: Place,
        shape: &RequestShape,
    ) -> Result<Self, ProgramError> {
        size::check(source)?;
        let environment = ExternalEnv::new_with_kind(
            Kind::object(Collection::any()),
            Kind::object(context::kinds(place, shape)),
        );
        let mut config = CompileConfig::default();
        config.disable_unused_expression_check();
        config.set_read_only_path(OwnedTargetPath::metadata_root(), true);
        let compiled = vrl::compiler::compile_with_external(
            source,
            functions::allowed(place),
            &environment,
            config,
        )
        .map_err(|diagnostics| {
            let text = Formatter::new(source, diagnostics).to_string();
            ProgramError::Compile(without_advertising(&text))
        })?
        .program;
        let needs = Needs::of(&compiled, place, shape)?;
        Ok(Self { source: source.into(), compiled: Arc::new(compiled), needs })
    }

    /// The program as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the program reads the field of `%` of this name.
    #[must_use]
    pub fn reads(&self, name: &str) -> bool {
        self.needs.has(name)
    }

    /// Whether the last expression is always `true` or `false`.
    #[must_use]
    pub fn returns_boolean(&self) -> bool {
        self.compiled.final_type_info().result.kind().is_boolean()
    }

    /// Whether the last expression is always a string.
    #[must_use]
    pub fn returns_text(&self) -> bool {
        self.compiled.final_type_info().result.kind().is_bytes()
    }

    /// Whether the last expression may be a string.
    #[must_use]
    pub fn may_return_text(&self) -> bool {
        self.compiled.final_type_info().result.kind().contains_bytes()
    }

    /// Whether the program may change the field at `path`, by writing it or what it is in.
    #[must_use]
    pub fn assigns(&self, path: &FieldPath) -> bool {
        let Ok(path) = vrl::path::parse_value_path(path.as_str()) else { return true };
        self.compiled.info().target_assignments.iter().any(|assigned| {
            assigned.prefix == PathPrefix::Event
                && ((&path).can_start_with(&assigned.path)
                    || (&assigned.path).can_start_with(&path))
        })
    }

    /// Runs the program on a value with a context from [`context_of_message`],
    /// [`context_of_request`], [`context_of_topic`] or [`context_of`].
    #[must_use]
    pub fn evaluate(&self, event: Value, context: Value) -> Evaluation {
        let mut target = EventTarget::owned(event, context);
        match self.run(&mut target) {
            Ok(result) => Evaluation::Done { event: target.into_event(), result },
            Err(stopped) => stopped.into(),
        }
    }

    /// Runs the program on an event; what the program changes is a copy. Only the context that
    /// the program reads is made.
    #[must_use]
    pub fn transform(&self, event: &Event) -> Evaluation {
        let mut target = EventTarget::borrowed(&event.value, self.needs.context(event));
        match self.run(&mut target) {
            Ok(result) => Evaluation::Done { event: target.into_event(), result },
            Err(stopped) => stopped.into(),
        }
    }

    /// The value of the last expression, as of a filter or of a topic. The event is copied only
    /// if the program changes it.
    ///
    /// # Errors
    /// When the program said `abort` or failed.
    pub fn value_of(&self, event: &Event) -> Result<Value, Stopped> {
        self.run(&mut EventTarget::borrowed(&event.value, self.needs.context(event)))
    }

    fn run(&self, target: &mut EventTarget<'_>) -> Result<Value, Stopped> {
        let mut steps = 0;
        let mut control = || {
            steps += 1;
            if steps > MAX_STEPS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        Runtime::default().resolve_with_control(target, &self.compiled, &UTC, &mut control).map_err(
            |terminate| match terminate {
                Terminate::Abort(ExpressionError::Abort { .. }) => Stopped::Aborted,
                Terminate::Abort(error) | Terminate::Error(error) => {
                    Stopped::Failed(failure::words(&error.to_string()))
                }
                Terminate::Interrupted => {
                    Stopped::Failed(format!("stopped after {MAX_STEPS} steps"))
                }
            },
        )
    }
}

impl From<Stopped> for Evaluation {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Aborted => Self::Aborted,
            Stopped::Failed(message) => Self::Failed(message),
        }
    }
}

/// The diagnostic without the links to the language's general pages that end each one.
fn without_advertising(text: &str) -> String {
    let lines = text.trim().lines().filter(|line| {
        let line = line.trim_start().trim_start_matches("= ");
        !line.starts_with("see language documentation at") && !line.starts_with("try your code in")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The whole of the event or of its context.
fn is_root(path: &OwnedValuePath) -> bool {
    path.segments.is_empty()
}

impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.source).finish()
    }
}

#[cfg(test)]
mod tests;
