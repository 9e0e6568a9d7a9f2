//! The examples as outside clients see them: `curl` against the program, every line of what such
//! systems promise.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

#[path = "../support/mod.rs"]
mod support;

mod all;
mod cpu;
mod hoverboards;
mod multivac;
mod timestamps;

use std::path::Path;
use std::path::PathBuf;

use support::kubernetes::over_kubernetes;
use support::process::Pipeline;
use support::process::over_services;

/// A running example, its data in a folder that goes with it.
pub(crate) struct Example {
    pub(crate) pipeline: Pipeline,
    pub(crate) folder: tempfile::TempDir,
    /// `http://HOST:PORT`, or with `https`.
    pub(crate) url: String,
}

/// The file of an example.
pub(crate) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(format!("{name}.yaml"))
}

/// The last sink of an example, which writes to a folder of the machine.
const FOLDER_SINK: &str = "    - name: archive\n";

/// An example's file. Over Kafka one with fewer partitions: all tests share a small server. On a
/// cluster one without files in a folder, of which pods have none that lasts.
pub(crate) fn resource(name: &str, folder: &Path) -> PathBuf {
    let file = file(name);
    let text = std::fs::read_to_string(&file).unwrap();
    let text = match text.split_once(FOLDER_SINK) {
        Some((before, _)) if over_kubernetes() => before.to_owned(),
        _ if over_services() => text.replace("partitions: 100", "partitions: 4"),
        _ => return file,
    };
    let path = folder.join(format!("{name}.yaml"));
    std::fs::write(&path, text).unwrap();
    path
}

impl Example {
    /// Starts an example and waits until it is ready.
    pub(crate) fn start(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut pipeline = Pipeline::start(&resource(name, folder.path()), folder.path(), &[]);
        let url = pipeline.url();
        Self { pipeline, folder, url }
    }

    /// The address of a path.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Asks until a condition holds for the answer, and returns that answer.
    pub(crate) fn until(
        &mut self,
        path: &str,
        what: &str,
        condition: impl FnMut(&support::http::Answer) -> bool,
    ) -> support::http::Answer {
        let url = self.at(path);
        self.until_at(&url, what, condition)
    }

    /// Likewise, of any URL.
    pub(crate) fn until_at(
        &mut self,
        url: &str,
        what: &str,
        mut condition: impl FnMut(&support::http::Answer) -> bool,
    ) -> support::http::Answer {
        let mut last = None;
        self.pipeline.until(what, |_| {
            let answer = support::http::curl(&[url]);
            let done = condition(&answer);
            last = Some(answer);
            done
        });
        last.unwrap()
    }
}
