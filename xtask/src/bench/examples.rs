//! Figures that crates measure in their examples: each prints measurements, one a line, as JSON.

use std::error::Error;

use crate::bench::report;
use crate::bench::report::Figure;
use crate::bench::report::Measurement;
use crate::command;
use crate::workspace;

/// A measurement that an example of a crate makes.
pub(super) struct Example {
    /// Its name.
    pub(super) name: &'static str,
    /// The package that it belongs to.
    pub(super) package: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    target: &'static str,
}

/// All examples that measure.
pub(super) const ALL: [Example; 8] = [
    Example {
        name: "log",
        package: "millrace-log",
        program: "append_bench",
        arguments: &[],
        target: "",
    },
    Example {
        name: "operators",
        package: "millrace-processors",
        program: "operators_bench",
        arguments: &[],
        target: "",
    },
    Example {
        name: "window",
        package: "millrace-processors",
        program: "window_bench",
        arguments: &[],
        target: "tumbling 1,000,000/s, hopping 500,000/s",
    },
    Example {
        name: "log-to-log",
        package: "millrace-engine",
        program: "log_to_log",
        arguments: &[],
        target: "windows 200,000/s per core",
    },
    Example {
        name: "http-batches",
        package: "millrace-ingest",
        program: "http_bench",
        arguments: &["batches", "4", "10"],
        target: "100,000/s per core",
    },
    Example {
        name: "http-single",
        package: "millrace-ingest",
        program: "http_bench",
        arguments: &["single", "128", "10"],
        target: "30,000/s, p99 < 10 ms",
    },
    Example {
        name: "mqtt",
        package: "millrace-ingest",
        program: "mqtt_bench",
        arguments: &["200", "50", "10"],
        target: "60,000/s",
    },
    Example {
        name: "mqtt-map",
        package: "millrace-ingest",
        program: "mqtt_bench",
        arguments: &["200", "50", "10", "map"],
        target: "60,000/s",
    },
];

impl Example {
    /// Runs the example, which has been built, and takes over what it printed: of each
    /// measurement the repetition in the middle.
    pub(super) fn measure(&self, repetitions: usize) -> Result<Vec<Figure>, Box<dyn Error>> {
        let program = workspace::example(self.program).to_string_lossy().into_owned();
        let mut measured: Vec<Vec<Measurement>> = Vec::new();
        for _ in 0..repetitions.max(1) {
            let printed = command::output(&workspace::root(), &program, self.arguments)?;
            for (index, line) in printed.lines().filter(|line| !line.is_empty()).enumerate() {
                if measured.len() <= index {
                    measured.push(Vec::new());
                }
                measured[index].push(serde_json::from_str(line)?);
            }
        }
        let figure = |measurement| Figure {
            target: self.target,
            method: self.method(repetitions),
            measurement,
        };
        Ok(measured.into_iter().filter_map(report::median).map(figure).collect())
    }

    fn method(&self, repetitions: usize) -> String {
        let Self { package, program, arguments, .. } = self;
        let arguments = arguments.join(" ");
        format!("example {program} {arguments} of {package}, median of {repetitions}")
    }
}
