//! Figures that crates measure in their examples: each prints JSON, an object a line.

use std::error::Error;

use serde_json::Value;

use crate::bench::report::Figure;
use crate::command;
use crate::workspace;

/// A measurement that an example of a crate makes.
pub(super) struct Example {
    /// Its name.
    pub(super) name: &'static str,
    package: &'static str,
    program: &'static str,
    describe: fn(&Value) -> Vec<Described>,
}

/// What was measured, the figure, and what the project wants to reach.
type Described = (String, String, &'static str);

/// All examples that measure.
pub(super) const ALL: [Example; 3] = [
    Example { name: "log", package: "millrace-log", program: "append_bench", describe: append },
    Example {
        name: "operators",
        package: "millrace-processors",
        program: "operators_bench",
        describe: operators,
    },
    Example { name: "mqtt", package: "millrace-ingest", program: "mqtt_bench", describe: mqtt },
];

impl Example {
    /// Runs the example in release mode and takes over what it printed.
    pub(super) fn measure(&self) -> Result<Vec<Figure>, Box<dyn Error>> {
        let Self { package, program, .. } = self;
        let arguments = ["run", "--quiet", "--release", "--package", package, "--example", program];
        let printed = command::output(&workspace::root(), "cargo", &arguments)?;
        let mut figures = Vec::new();
        for line in printed.lines().filter(|line| !line.trim().is_empty()) {
            let details: Value = serde_json::from_str(line)?;
            figures.extend((self.describe)(&details).into_iter().map(|(what, value, target)| {
                Figure {
                    what,
                    value,
                    target: target.to_owned(),
                    method: format!("example {program} of {package}"),
                    details: details.clone(),
                }
            }));
        }
        Ok(figures)
    }
}

fn append(details: &Value) -> Vec<Described> {
    let what = format!(
        "log: {} ({} producers, {} × {} B an append)",
        details["case"].as_str().unwrap_or_default(),
        details["producers"],
        details["recordsPerAppend"],
        details["valueBytes"],
    );
    let value = format!(
        "{:.0} records/s, {:.1} µs of CPU a record, p99 {:.1} ms",
        number(&details["recordsPerSecond"]),
        number(&details["cpuMicrosPerRecord"]),
        number(&details["p99Micros"]) / 1000.0,
    );
    vec![(what, value, "")]
}

fn operators(details: &Value) -> Vec<Described> {
    let cases = details["cases"].as_array().into_iter().flatten();
    let describe = |case: &Value| {
        let value = format!(
            "motion {:.0} events/s, motion and rank {:.0} events/s",
            number(&case["motionEventsPerSecond"]),
            number(&case["motionAndRankEventsPerSecond"]),
        );
        (format!("operators alone, {} cars, one thread", case["cars"]), value, "")
    };
    cases.map(describe).collect()
}

fn mqtt(details: &Value) -> Vec<Described> {
    let what = format!(
        "MQTT QoS 1 into the durable log, {} connections, clients on the same machine",
        details["connections"]
    );
    let value = format!(
        "{:.0} messages/s, PUBACK p99 {:.1} ms",
        number(&details["messagesPerSecond"]),
        number(&details["microseconds"]["p99"]) / 1000.0,
    );
    vec![(what, value, "60,000 messages/s")]
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_of_the_endpoint_name_rate_and_latency() {
        let details = json!({
            "connections": 200, "messagesPerSecond": 61234.0, "microseconds": {"p99": 8400},
        });
        assert_eq!(
            mqtt(&details),
            [(
                "MQTT QoS 1 into the durable log, 200 connections, clients on the same machine"
                    .into(),
                "61234 messages/s, PUBACK p99 8.4 ms".into(),
                "60,000 messages/s",
            )]
        );
    }
}
