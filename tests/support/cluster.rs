//! A pipeline over Kafka and Postgres, as processes of this machine.

use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use millrace_log::Log as _;
use millrace_log::StreamConfig;
use millrace_log::kafka::KafkaLog;
use millrace_log::kafka::KafkaSettings;
use millrace_plan::Plan;
use millrace_tables::postgres::PostgresSettings;

use super::process::PATIENCE;
use super::process::get;
use super::process::pause;

/// Where the processes of one pipeline find Kafka and Postgres, with names of their own in both.
pub(crate) struct Connections {
    /// The folder of the connection files.
    pub(crate) folder: PathBuf,
}

/// The log of a pipeline over these connections, to look into or to fill.
pub(crate) async fn open_log(connections: &Connections, plan: &Plan) -> Arc<KafkaLog> {
    let text = std::fs::read_to_string(connections.folder.join("kafka.yaml")).unwrap();
    let settings: KafkaSettings = serde_yaml_ng::from_str(&text).unwrap();
    let log = KafkaLog::connect(settings, &plan.pipeline, "test").await.unwrap();
    let streams: Vec<_> = plan
        .streams
        .iter()
        .map(|stream| StreamConfig {
            name: stream.name.clone(),
            partitions: stream.partitions,
            retention: stream.retention,
        })
        .collect();
    log.ensure_streams(&streams).await.unwrap();
    log
}

/// The settings of the database of these connections.
pub(crate) fn postgres_settings(connections: &Connections) -> PostgresSettings {
    let text = std::fs::read_to_string(connections.folder.join("postgres.yaml")).unwrap();
    let mut settings: PostgresSettings = serde_yaml_ng::from_str(&text).unwrap();
    settings.username_file = connections.folder.join(settings.username_file);
    settings.password_file = settings.password_file.map(|file| connections.folder.join(file));
    settings
}

impl Connections {
    /// Those of a pipeline with this folder, the same each time it starts.
    pub(crate) fn of(folder: &Path) -> Self {
        let written = folder.join("connections");
        if written.exists() { Self { folder: written } } else { Self::shared(folder) }
    }

    /// The shared servers, with a prefix and a database that nobody else uses.
    pub(crate) fn shared(folder: &Path) -> Self {
        let kafka = millrace_services::kafka().unwrap();
        let postgres = millrace_services::new_database().unwrap();
        let prefix = format!("test-{:08x}.", rand::random::<u32>());
        Self::write(folder, &kafka, &prefix, 1, &postgres)
    }

    /// Writes the files for a cluster and a database's `postgres://user:password@host:port/database`.
    pub(crate) fn write(
        folder: &Path,
        kafka: &str,
        prefix: &str,
        replication_factor: u32,
        postgres: &str,
    ) -> Self {
        let folder = folder.join("connections");
        std::fs::create_dir_all(&folder).unwrap();
        let servers = kafka.split(',').map(|server| format!("\"{server}\"")).collect::<Vec<_>>();
        let kafka = format!(
            "bootstrapServers: [{}]\nprefix: {prefix}\nreplicationFactor: {replication_factor}\n",
            servers.join(", ")
        );
        std::fs::write(folder.join("kafka.yaml"), kafka).unwrap();
        let url = postgres.strip_prefix("postgres://").unwrap();
        let (user, server) = url.split_once('@').unwrap();
        let (user, password) = user.split_once(':').unwrap();
        let (address, database) = server.split_once('/').unwrap();
        let database = database.split('?').next().unwrap();
        let (host, port) = address.split_once(':').unwrap();
        std::fs::write(folder.join("username"), user).unwrap();
        std::fs::write(folder.join("password"), password).unwrap();
        let postgres = format!(
            "host: {host}\nport: {port}\ndatabase: {database}\nusernameFile: username\npasswordFile: password\n"
        );
        std::fs::write(folder.join("postgres.yaml"), postgres).unwrap();
        Self { folder }
    }
}

/// `millrace ingest`, `worker`, `query` or another command over these connections.
fn command(role: &str, resource: &Path, connections: &Connections) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.arg(role).arg(resource).arg("--connections").arg(&connections.folder);
    command.stdin(Stdio::null());
    command
}

/// Makes topics, tables and roles.
pub(crate) fn provision(resource: &Path, connections: &Connections) {
    provision_with(resource, connections, &[]);
}

/// The same with further arguments.
pub(crate) fn provision_with(resource: &Path, connections: &Connections, arguments: &[&str]) {
    let output = command("provision", resource, connections).args(arguments).output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&told));
}

/// A running process of a pipeline.
pub(crate) struct Process {
    child: Child,
    output: PathBuf,
}

impl Process {
    /// Starts a process, called `name`, on free ports, without waiting for it. What it prints goes
    /// to a file in `folder`.
    pub(crate) fn spawn(
        role: &str,
        name: &str,
        resource: &Path,
        connections: &Connections,
        folder: &Path,
        arguments: &[&str],
    ) -> Self {
        let output = folder.join(format!("{name}-{:08x}.txt", rand::random::<u32>()));
        let file = std::fs::File::create(&output).unwrap();
        let child = command(role, resource, connections)
            .args(["--process-name", name, "--http-listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, output }
    }

    /// Everything it has printed.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap()
    }

    /// Waits for a condition; fails with the output if the process dies or it takes too long.
    pub(crate) fn until(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !condition(self) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the process ended ({status}) before: {what}\n{}", self.output());
            }
            assert!(started.elapsed() < PATIENCE, "in vain: {what}\n{}", self.output());
            pause(std::time::Duration::from_millis(10));
        }
    }

    /// Waits until it is ready; its HTTP address.
    pub(crate) fn ready(&mut self) -> String {
        let http = self.address("http://");
        self.until("it is ready", |_| get(&http, "/readyz").is_ok_and(|(code, _)| code == 200));
        http
    }

    /// An address that it has said, once it has.
    pub(crate) fn address(&mut self, scheme: &str) -> String {
        let mut address = String::new();
        self.until(scheme, |process| {
            let output = process.output();
            let Some((_, rest)) = output.split_once(scheme) else { return false };
            let end = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ':'));
            let Some(end) = end else { return false };
            rest[..end].clone_into(&mut address);
            true
        });
        address
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal, such as `STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success()
        );
    }

    /// SIGTERM; waits for the end.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        self.signal("TERM");
        let status = self.child.wait().unwrap();
        (status, self.output())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
