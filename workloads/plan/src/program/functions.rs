//! The functions that programs may call: those whose result depends on their arguments alone,
//! and at ingest also the clock and random numbers.
//!
//! A function that is not allowed stays known to the compiler, which then says why it is refused
//! and where, instead of calling it undefined.

use std::sync::LazyLock;

use vrl::compiler::Function;
use vrl::compiler::Parameter;
use vrl::compiler::TypeState;
use vrl::compiler::function::ArgumentList;
use vrl::compiler::function::Compiled;
use vrl::compiler::function::Example;
use vrl::compiler::function::FunctionCompileContext;
use vrl::compiler::function::closure::Definition;
use vrl::diagnostic::DiagnosticMessage;
use vrl::diagnostic::Label;
use vrl::diagnostic::Span;

use super::Place;

/// Functions that read the clock or random numbers: allowed where a result is stored at once.
/// The parsers among them add the current year to times that lack one.
const INGEST_ONLY: [&str; 11] = [
    "now",
    "parse_groks",
    "parse_klog",
    "parse_linux_authorization",
    "parse_syslog",
    "random_bool",
    "random_bytes",
    "random_float",
    "random_int",
    "uuid_v4",
    "uuid_v7",
];

/// Functions that act on or ask the world outside of the program.
const NEVER: [&str; 10] = [
    "dns_lookup",
    "encode_proto",
    "get_env_var",
    "get_hostname",
    "get_timezone_name",
    "http_request",
    "log",
    "parse_proto",
    "reverse_dns",
    "validate_json_schema",
];

/// Functions whose result can be thousands of times as large as their argument, so that a small
/// message could take all memory.
const UNBOUNDED: [&str; 5] =
    ["decode_gzip", "decode_lz4", "decode_snappy", "decode_zlib", "decode_zstd"];

/// Functions that take a time zone, which must not be the machine's.
const WITH_TIME_ZONE: [&str; 2] = ["format_timestamp", "parse_timestamp"];

/// The functions that are refused, by why they are.
#[must_use]
pub fn function_rules() -> [(&'static str, &'static [&'static str]); 4] {
    [
        ("they act on or ask the world outside of the program", &NEVER),
        ("they can make any amount of data out of a small message", &UNBOUNDED),
        (
            "they give another result each time, everywhere but in the `map` of an ingest by MQTT, \
             HTTP or WebSocket",
            &INGEST_ONLY,
        ),
        (
            "they need a literal time zone other than the machine's, if they are given one",
            &WITH_TIME_ZONE,
        ),
    ]
}

/// The functions at a place.
pub(super) fn allowed(place: Place) -> &'static [Box<dyn Function>] {
    static INGEST: LazyLock<Vec<Box<dyn Function>>> = LazyLock::new(|| functions(Place::Ingest));
    static PIPELINE: LazyLock<Vec<Box<dyn Function>>> =
        LazyLock::new(|| functions(Place::Pipeline));
    static KAFKA: LazyLock<Vec<Box<dyn Function>>> = LazyLock::new(|| functions(Place::Kafka));
    match place {
        Place::Kafka => &KAFKA,
        Place::Ingest | Place::Http => &INGEST,
        Place::Pipeline | Place::Response | Place::Query => &PIPELINE,
    }
}

fn functions(place: Place) -> Vec<Box<dyn Function>> {
    vrl::stdlib::all()
        .into_iter()
        .map(|inner| {
            let name = inner.identifier();
            if NEVER.contains(&name) {
                Box::new(Guarded { inner, rule: Rule::Never }) as Box<dyn Function>
            } else if UNBOUNDED.contains(&name) {
                Box::new(Guarded { inner, rule: Rule::Unbounded })
            } else if place == Place::Pipeline && INGEST_ONLY.contains(&name) {
                Box::new(Guarded { inner, rule: Rule::IngestOnly })
            } else if place == Place::Kafka && INGEST_ONLY.contains(&name) {
                Box::new(Guarded { inner, rule: Rule::Repeated })
            } else if WITH_TIME_ZONE.contains(&name) {
                Box::new(Guarded { inner, rule: Rule::LiteralTimeZone })
            } else {
                inner
            }
        })
        .collect()
}

/// What is checked before a function is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Never,
    Unbounded,
    IngestOnly,
    Repeated,
    LiteralTimeZone,
}

/// A function of the standard library behind a [`Rule`].
#[derive(Debug)]
struct Guarded {
    inner: Box<dyn Function>,
    rule: Rule,
}

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(
        "`{0}` acts on or asks the world outside of the program; a program may only use its event and `%`"
    )]
    Never(&'static str),
    #[error(
        "`{0}` can make any amount of data out of a small message; have the data sent uncompressed"
    )]
    Unbounded(&'static str),
    #[error(
        "`{0}` gives another result each time and is allowed only in the `map` of an ingest; use `%eventTime`, `%ingestTime` or `%id` here"
    )]
    IngestOnly(&'static str),
    #[error(
        "`{0}` gives another result each time, and a record of a topic must give the same whenever it is read; use `%ingestTime` here"
    )]
    Repeated(&'static str),
    #[error(
        "the time zone of `{0}` must be a literal such as \"Europe/London\" and not the machine's own"
    )]
    TimeZone(&'static str),
}

/// The call, marked in the diagnostic.
#[derive(Debug, thiserror::Error)]
#[error("{refused}")]
struct RefusedCall {
    refused: Refused,
    span: Span,
}

impl DiagnosticMessage for RefusedCall {
    fn code(&self) -> usize {
        // The code of a function that is not allowed where it stands has no number of its own in
        // the language; that of an undefined function is nearest.
        105
    }

    fn labels(&self) -> Vec<Label> {
        vec![Label::primary("not allowed here", self.span)]
    }
}

impl Guarded {
    fn check(&self, state: &TypeState, arguments: &ArgumentList) -> Result<(), Refused> {
        let name = self.inner.identifier();
        match self.rule {
            Rule::Never => Err(Refused::Never(name)),
            Rule::Unbounded => Err(Refused::Unbounded(name)),
            Rule::IngestOnly => Err(Refused::IngestOnly(name)),
            Rule::Repeated => Err(Refused::Repeated(name)),
            Rule::LiteralTimeZone => match arguments.optional_literal("timezone", state) {
                Ok(None) => Ok(()),
                Ok(Some(zone)) if !matches!(zone.to_str_lossy().as_deref(), Some("" | "local")) => {
                    Ok(())
                }
                Ok(Some(_)) | Err(_) => Err(Refused::TimeZone(name)),
            },
        }
    }
}

impl Function for Guarded {
    fn identifier(&self) -> &'static str {
        self.inner.identifier()
    }

    fn usage(&self) -> &'static str {
        self.inner.usage()
    }

    fn category(&self) -> &'static str {
        self.inner.category()
    }

    fn return_kind(&self) -> u16 {
        self.inner.return_kind()
    }

    fn pure(&self) -> bool {
        self.inner.pure()
    }

    fn examples(&self) -> &'static [Example] {
        self.inner.examples()
    }

    fn parameters(&self) -> &'static [Parameter] {
        self.inner.parameters()
    }

    fn closure(&self) -> Option<Definition> {
        self.inner.closure()
    }

    fn compile(
        &self,
        state: &TypeState,
        context: &mut FunctionCompileContext,
        arguments: ArgumentList,
    ) -> Compiled {
        if let Err(refused) = self.check(state, &arguments) {
            return Err(Box::new(RefusedCall { refused, span: context.span() }));
        }
        self.inner.compile(state, context, arguments)
    }
}
