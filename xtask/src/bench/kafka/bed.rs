//! What a measurement needs: servers of its own, a resource, and the files that join the two.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use millrace_services::Kafka;
use millrace_services::KafkaOptions;
use millrace_services::Postgres;
use tempfile::TempDir;

use crate::bench::usage::Watched;
use crate::workspace;

/// The heap of Kafka in MiB: its own default.
const HEAP_MIB: u32 = 1024;

/// Servers that nobody else uses, and a pipeline's resource. Dropping it ends the servers.
pub(super) struct Bed {
    /// Kafka, one node.
    pub(super) kafka: Kafka,
    /// Postgres, at its defaults.
    pub(super) postgres: Postgres,
    /// For files that a measurement makes.
    pub(super) folder: TempDir,
}

#[derive(Debug, thiserror::Error)]
#[error("`millrace provision` failed:\n{0}")]
struct ProvisionError(String);

impl Bed {
    /// Starts servers, and makes what a resource needs there.
    pub(super) fn start(resource: &str) -> Result<Self, Box<dyn Error>> {
        let options = KafkaOptions { heap_mib: HEAP_MIB, ..KafkaOptions::default() };
        let kafka = Kafka::start_with(options)?;
        let postgres = Postgres::start()?;
        let bed = Self { kafka, postgres, folder: tempfile::tempdir()? };
        fs::write(bed.resource(), resource)?;
        bed.connect()?;
        let output = bed.command("provision").stderr(Stdio::piped()).output()?;
        if !output.status.success() {
            let told = [output.stdout, output.stderr].concat();
            return Err(ProvisionError(String::from_utf8_lossy(&told).into_owned()).into());
        }
        Ok(bed)
    }

    /// Writes the connection files.
    fn connect(&self) -> Result<(), Box<dyn Error>> {
        let folder = self.connections();
        fs::create_dir(&folder)?;
        let kafka = format!("bootstrapServers: [\"{}\"]\n", self.kafka.bootstrap_servers());
        fs::write(folder.join("kafka.yaml"), kafka)?;
        let url = self.postgres.url();
        let database = url.rsplit('/').next().unwrap_or_default();
        let postgres = format!(
            "host: 127.0.0.1\nport: {}\ndatabase: {database}\nusernameFile: username\n\
             passwordFile: password\n",
            self.postgres.port()
        );
        fs::write(folder.join("postgres.yaml"), postgres)?;
        fs::write(folder.join("username"), self.postgres.user())?;
        fs::write(folder.join("password"), self.postgres.password())?;
        Ok(())
    }

    /// A command of the program over these servers. What it prints can be read; its log is not
    /// shown unless it warns.
    pub(super) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(workspace::program(true));
        command.arg(name).arg(self.resource()).arg("--connections").arg(self.connections());
        command.args(["--output", "json", "--log", "warn,rmqtt=error,rmqtt_net=error"]);
        command.current_dir(workspace::root()).stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    /// The servers' processes.
    pub(super) fn watched(&self) -> Vec<Watched> {
        let kafka = self.kafka.process_ids().into_iter().map(|id| ("Kafka".to_owned(), id));
        let postgres = self.postgres.process_id().map(|id| ("Postgres".to_owned(), id));
        kafka.chain(postgres).collect()
    }

    /// A file of its own.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn resource(&self) -> PathBuf {
        self.file("pipeline.yaml")
    }

    fn connections(&self) -> PathBuf {
        self.file("connections")
    }
}

/// A resource of the workspace.
pub(super) fn example(name: &str) -> Result<String, Box<dyn Error>> {
    let file = Path::new("examples").join(name);
    Ok(fs::read_to_string(workspace::root().join(file))?)
}
