//! Kafka's program: jars from Maven Central, kept in the user's cache.

use std::fs;
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use crate::RunServiceError;
use crate::error::file;
use crate::program;

/// The version of Kafka.
const VERSION: &str = "4.1.1";
const POM: &str = include_str!("../../kafka-pom.xml");

/// The folder of the jars, which are fetched if they are not there. The first time takes some minutes
/// with a slow network.
pub(crate) fn fetch() -> Result<PathBuf, RunServiceError> {
    let cache = cache();
    fs::create_dir_all(&cache).map_err(file(&cache))?;
    let jars = cache.join(format!("kafka-{VERSION}"));
    // Several test processes may need them at the same time: one fetches them.
    let lock_path = cache.join("kafka.lock");
    let lock = File::create(&lock_path).map_err(file(&lock_path))?;
    lock.lock().map_err(file(&lock_path))?;
    if jars.join(format!("kafka_2.13-{VERSION}.jar")).is_file() {
        return Ok(jars);
    }
    let maven = program::find("mvn", "maven")?;
    // The folder gets its name when it is complete.
    let work = tempfile::tempdir_in(&cache).map_err(file(&cache))?;
    let pom = work.path().join("pom.xml");
    fs::write(&pom, POM).map_err(file(&pom))?;
    let output = work.path().join("jars");
    program::output(
        Command::new(maven)
            .args(["--batch-mode", "--quiet", "--file"])
            .arg(&pom)
            .arg(format!("-Dkafka.version={VERSION}"))
            .arg("dependency:copy-dependencies")
            .arg(format!("-DoutputDirectory={}", output.display()))
            .arg("-DincludeScope=runtime"),
    )?;
    // What an earlier fetch left that was cut short.
    let _ = fs::remove_dir_all(&jars);
    fs::rename(&output, &jars).map_err(file(&jars))?;
    Ok(jars)
}

fn cache() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|cache| !cache.is_empty());
    let cache = cache.map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".cache"))
    });
    cache.unwrap_or_else(std::env::temp_dir).join("millrace")
}
