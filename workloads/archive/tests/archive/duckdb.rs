//! Reads files by DuckDB, as analysts do. It is installed beside the build when it is first used.

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// Where Python's packages for tests are, beside the build.
const ENVIRONMENT: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/python-duckdb-2.0.0");
const PACKAGE: &str = "duckdb==2.0.0";

const PROGRAM: &str = "
import duckdb, json, sys
duckdb.sql(\"SET TimeZone = 'UTC'\")
rows = duckdb.sql(sys.argv[1]).fetchall()
print(json.dumps(rows, default=str))
";

/// The rows of a query, as JSON.
pub(crate) fn query(sql: &str) -> serde_json::Value {
    let output = run(Command::new(python()).args(["-c", PROGRAM, sql]));
    serde_json::from_slice(&output).unwrap()
}

fn python() -> PathBuf {
    let folder = Path::new(ENVIRONMENT);
    std::fs::create_dir_all(folder).unwrap();
    // One process at a time installs; the others wait.
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let (python, installed) = (folder.join("bin/python"), folder.join("installed"));
    if !installed.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", PACKAGE]));
        File::create(installed).unwrap();
    }
    python
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| {
        panic!("cannot run {command:?} (on Debian: apt-get install python3-venv): {error}")
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    output.stdout
}
