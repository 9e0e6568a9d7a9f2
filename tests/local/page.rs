//! The page as people see it: a race driven into the program, and headless Chromium on a desk's and
//! on a phone's screen, which says whether the cars move, the board fills and events come.
//!
//! Node, Chromium (`CHROMIUM` names another than /usr/bin/chromium) and the packages of
//! `workloads/dashboard` must be there; without them the test fails and says so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use support::process::Pipeline;

/// A simulated race that ends with the test.
struct Race(Child);

impl Race {
    fn drive(pipeline: &mut Pipeline) -> Self {
        let to = format!("mqtt://{}", pipeline.mqtt());
        let child = Command::new(env!("CARGO_BIN_EXE_millrace"))
            .args(["simulate", "race", "--speedup", "5", "--duration", "30m", "--to", &to])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Race {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn dashboard() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboard");
    assert!(
        folder.join("node_modules/playwright-core").is_dir(),
        "the page's packages are not installed: run `npm ci` in workloads/dashboard"
    );
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    assert!(
        Path::new(&chromium).is_file(),
        "there is no browser at {chromium}: install it (Debian: chromium), or set CHROMIUM"
    );
    folder
}

/// Looks at the page; returns the width and height of the picture.
fn look(url: &str, size: &str, picture: &Path) -> (u32, u32) {
    let output = Command::new("node")
        .args(["tests/screenshot.mjs", url, size])
        .arg(picture)
        .args(["--entities", "6", "--wait", "0"])
        .current_dir(dashboard())
        .output()
        .expect("node is installed (Debian: nodejs)");
    assert!(
        output.status.success(),
        "the page at {size}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    // A PNG says its size in its first chunk.
    let image = std::fs::read(picture).unwrap();
    let number = |at: usize| u32::from_be_bytes(image[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

fn rows(pipeline: &mut Pipeline, path: &str) -> Vec<Value> {
    let (code, body) = pipeline.get(path);
    assert_eq!(code, 200, "{body}");
    serde_json::from_str::<Value>(&body).unwrap()["rows"].as_array().unwrap().clone()
}

#[test]
fn the_page_shows_a_running_race_on_a_desk_and_on_a_phone() {
    let folder = tempfile::tempdir().unwrap();
    let resource = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/race.yaml");
    let mut pipeline = Pipeline::start(&resource, folder.path(), &[]);
    let url = format!("http://{}", pipeline.http());
    let (_, page) = pipeline.get("/");
    assert!(
        page.contains(r#"id="map""#),
        "the program was built without its page, since Node was not there: {page}"
    );
    let _race = Race::drive(&mut pipeline);

    assert_eq!(look(&url, "1920x1080", &folder.path().join("desk.png")), (1920, 1080));
    assert_eq!(look(&url, "390x844", &folder.path().join("phone.png")), (390, 844));

    let standings = rows(&mut pipeline, "/api/v1/tables/standings?race=race&order=position");
    assert_eq!(standings.len(), 6);
    let (_, commentary) = pipeline.get("/api/v1/streams/commentary/records?from=end-1");
    assert!(commentary.contains(r#""text":"Car "#), "{commentary}");

    let (status, took) = pipeline.interrupt();
    assert!(status.success());
    assert!(took < Duration::from_secs(5), "{took:?}");
}
