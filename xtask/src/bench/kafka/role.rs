//! One process of a pipeline.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::bench::kafka::bed::Bed;
use crate::bench::usage::Watched;

/// How long anything that must happen is waited for.
const PATIENCE: Duration = Duration::from_mins(5);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Says of each part whether it runs.
const UP: &str = "millrace_component_up";

/// A process that runs. Dropping it kills it.
pub(super) struct Role {
    name: String,
    child: Child,
    /// What it said when it began.
    begun: Value,
}

impl Drop for Role {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug, thiserror::Error)]
enum RoleError {
    #[error("`millrace {0}` ended before it had begun")]
    NotBegun(String),
    #[error("`millrace {0}` ended")]
    Ended(String),
    #[error("in vain: {what}; {last}")]
    InVain { what: String, last: String },
}

impl Role {
    /// Starts `millrace ingest`, `worker` or `query`, and waits until it says where it is.
    pub(super) fn start(role: &str, bed: &Bed) -> Result<Self, Box<dyn Error>> {
        let mut command = bed.command(role);
        command.args(["--process-name", role, "--http-listen", "127.0.0.1:0"]);
        if role == "ingest" {
            command.args(["--mqtt-listen", "127.0.0.1:0"]);
        }
        let mut child = command.spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let mut role = Self { name: role.to_owned(), child, begun: Value::Null };
        let begun = serde_json::from_str(&line);
        role.begun = begun.map_err(|_| RoleError::NotBegun(role.name.clone()))?;
        Ok(role)
    }

    /// The same, once it is ready.
    pub(super) fn start_ready(role: &str, bed: &Bed) -> Result<Self, Box<dyn Error>> {
        let mut role = Self::start(role, bed)?;
        role.until_ready()?;
        Ok(role)
    }

    /// Waits until it is ready.
    pub(super) fn until_ready(&mut self) -> Result<(), Box<dyn Error>> {
        self.until("the process is ready", |role| {
            let (code, told) = role.get("/readyz")?;
            Ok(if code == 200 { Ok(()) } else { Err(told) })
        })
    }

    /// Waits until so many parts are there and run.
    pub(super) fn until_running(&mut self, parts: usize) -> Result<(), Box<dyn Error>> {
        self.until("the parts run", |role| {
            // It has no metrics before it has begun.
            let metrics = role.metrics()?;
            let (known, up) = (metrics.count(UP), metrics.sum(UP).unwrap_or_default());
            let all = known >= parts && up >= known as f64;
            Ok(if all { Ok(()) } else { Err(format!("{up} of {known} run")) })
        })
    }

    /// Its name and id.
    pub(super) fn watched(&self) -> Watched {
        (self.name.clone(), self.child.id())
    }

    /// An address that it has told, without what it begins with.
    pub(super) fn address(&self, name: &str) -> &str {
        let url = self.begun[name].as_str().unwrap_or_default();
        url.split_once("://").map_or(url, |(_, address)| address)
    }

    /// An address that it has told.
    pub(super) fn url(&self, name: &str) -> &str {
        self.begun[name].as_str().unwrap_or_default()
    }

    /// Looks again and again until something is so; else it is told how it is.
    pub(super) fn until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&Self) -> Result<Result<T, String>, Box<dyn Error>>,
    ) -> Result<T, Box<dyn Error>> {
        let begun = Instant::now();
        loop {
            let last = match look(self)? {
                Ok(found) => return Ok(found),
                Err(last) => last,
            };
            if self.child.try_wait()?.is_some() {
                return Err(RoleError::Ended(self.name.clone()).into());
            }
            if begun.elapsed() > PATIENCE {
                return Err(RoleError::InVain { what: what.to_owned(), last }.into());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Its metrics now.
    pub(super) fn metrics(&self) -> Result<Metrics, Box<dyn Error>> {
        Ok(Metrics::of(&self.get("/metrics")?.1))
    }

    /// SIGTERM; waits for the end.
    pub(super) fn stop(mut self) -> Result<(), Box<dyn Error>> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        self.child.wait()?;
        Ok(())
    }

    /// A GET request over a connection of its own.
    fn get(&self, path: &str) -> Result<(u16, String), Box<dyn Error>> {
        let address = self.address("url");
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        Ok((code, body.unwrap_or_default()))
    }
}

/// Metrics by name, over all labels.
pub(super) struct Metrics(BTreeMap<String, Vec<f64>>);

impl Metrics {
    fn of(text: &str) -> Self {
        let mut metrics: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse() else { continue };
            let name = name.split('{').next().unwrap_or_default();
            metrics.entry(name.to_owned()).or_default().push(value);
        }
        Self(metrics)
    }

    /// The sum of a metric over its labels; none if there is none of that name.
    pub(super) fn sum(&self, name: &str) -> Option<f64> {
        self.0.get(name).map(|values| values.iter().sum())
    }

    /// How many labels a metric has.
    pub(super) fn count(&self, name: &str) -> usize {
        self.0.get(name).map_or(0, Vec::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_added_up_over_its_labels() {
        let text = "# HELP a b 1\na_total{x=\"1 2\"} 3\na_total{x=\"2\"} 4.5\nb 1\n";
        let metrics = Metrics::of(text);
        assert_eq!((metrics.sum("a_total"), metrics.count("a_total")), (Some(7.5), 2));
        assert_eq!(metrics.sum("c"), None);
    }
}
