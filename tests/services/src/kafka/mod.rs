//! Apache Kafka: brokers that are their own controllers, each a process of its own.

mod certificates;
mod config;
mod jars;

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;

pub use self::certificates::Security;
pub(crate) use self::jars::fetch;
use crate::RunServiceError;
use crate::error::file;
use crate::folder::Folder;
use crate::ports;
use crate::process::Launch;
use crate::process::Process;
use crate::program;

/// How often other ports are tried when one was taken at the wrong moment.
const ATTEMPTS: usize = 3;
/// What a node prints when it serves.
const STARTED: &str = "Kafka Server started";
const PORT_TAKEN: &str = "Address already in use";

/// What a cluster is like.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Number of nodes: 1 or 3. With three, every topic has three replicas and an append is
    /// confirmed by at least two.
    pub nodes: usize,
    /// Whether there are ports with TLS too, and users: see [`Kafka::security`].
    pub secured: bool,
    /// Whether each batch is synced to the disk before it is confirmed.
    pub synced: bool,
    /// Whether nodes rather start fast than serve much: their code is not optimised.
    pub quick: bool,
    /// The largest heap of a node in MiB.
    pub heap_mib: u32,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self { nodes: 1, secured: false, synced: false, quick: false, heap_mib: 384 }
    }
}

/// A Kafka cluster. Topics are not made by themselves.
#[derive(Debug)]
pub struct Kafka {
    nodes: Vec<Node>,
    java: PathBuf,
    jars: PathBuf,
    options: KafkaOptions,
    security: Option<Security>,
    // Dropped last: the nodes end before their data go.
    folder: Folder,
}

#[derive(Debug)]
struct Node {
    process: Option<Process>,
    ports: Ports,
    folder: PathBuf,
}

/// The ports of a node on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
struct Ports {
    plain: u16,
    controller: u16,
    /// TLS with a client's certificate.
    mutual: u16,
    /// TLS with SASL.
    sasl: u16,
}

impl Kafka {
    /// Starts a cluster of as many nodes, 1 or 3, and waits until it serves.
    ///
    /// # Errors
    /// If Java or Maven are not installed, the server cannot be fetched, or it does not start.
    pub fn start(nodes: usize) -> Result<Self, RunServiceError> {
        Self::start_with(KafkaOptions { nodes, ..KafkaOptions::default() })
    }

    /// Starts a cluster and waits until it serves.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(options: KafkaOptions) -> Result<Self, RunServiceError> {
        Self::start_in(Folder::owned()?, options)
    }

    pub(crate) fn start_in(folder: Folder, options: KafkaOptions) -> Result<Self, RunServiceError> {
        let java = program::find("java", "default-jre-headless")?;
        let jars = jars::fetch()?;
        let security = options.secured.then(|| Security::make(folder.path())).transpose()?;
        let mut kafka = Self { nodes: Vec::new(), java, jars, options, security, folder };
        for _ in 1..ATTEMPTS {
            kafka.prepare()?;
            match kafka.restart_all() {
                Err(RunServiceError::Ended { log, .. }) if log.contains(PORT_TAKEN) => (),
                result => return result.map(|()| kafka),
            }
        }
        kafka.prepare()?;
        kafka.restart_all()?;
        Ok(kafka)
    }

    /// The addresses of all nodes, with commas.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        self.addresses(|ports| ports.plain)
    }

    /// The addresses at which clients speak TLS and show a certificate; none unless it is secured.
    #[must_use]
    pub fn mutual_tls_servers(&self) -> Option<String> {
        self.security.as_ref().map(|_| self.addresses(|ports| ports.mutual))
    }

    /// The addresses at which clients speak TLS and SASL, SCRAM-SHA-256, SCRAM-SHA-512 or
    /// OAUTHBEARER with unsigned tokens; none unless it is secured.
    #[must_use]
    pub fn sasl_servers(&self) -> Option<String> {
        self.security.as_ref().map(|_| self.addresses(|ports| ports.sasl))
    }

    /// What clients of a secured cluster need.
    #[must_use]
    pub fn security(&self) -> Option<&Security> {
        self.security.as_ref()
    }

    /// Number of nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Process ids of the nodes that run, by node.
    #[must_use]
    pub fn process_ids(&self) -> Vec<u32> {
        self.nodes.iter().filter_map(|node| Some(node.process.as_ref()?.id())).collect()
    }

    /// What a node printed since its last start.
    #[must_use]
    pub fn log(&self, node: usize) -> String {
        let process = self.nodes.get(node).and_then(|node| node.process.as_ref());
        process.map(Process::log).unwrap_or_default()
    }

    /// Whether a node runs; a paused one does.
    pub fn is_running(&mut self, node: usize) -> bool {
        let process = self.nodes.get_mut(node).and_then(|node| node.process.as_mut());
        process.is_some_and(Process::is_running)
    }

    /// kill -9 of a node, counted from 0.
    pub fn kill(&mut self, node: usize) {
        if let Some(process) = self.nodes.get_mut(node).and_then(|node| node.process.take()) {
            process.kill();
        }
    }

    /// Ends a node gracefully: it hands its partitions over first.
    ///
    /// # Errors
    /// If it does not run or does not end.
    pub fn stop(&mut self, node: usize) -> Result<(), RunServiceError> {
        let process = self.nodes.get_mut(node).and_then(|node| node.process.take());
        process.ok_or_else(|| not_running(node))?.stop(Signal::TERM)
    }

    /// SIGSTOP: the node keeps its connections and answers nothing.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&mut self, node: usize) -> Result<(), RunServiceError> {
        self.signal(node, Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// If it does not run.
    pub fn resume(&mut self, node: usize) -> Result<(), RunServiceError> {
        self.signal(node, Signal::CONT)
    }

    /// Starts a node again on its data, if it does not run, and waits until it serves. That needs
    /// a majority of nodes: after the death of several use [`Self::restart_all`].
    ///
    /// # Errors
    /// If it does not start.
    pub fn restart(&mut self, node: usize) -> Result<(), RunServiceError> {
        self.launch(node)?;
        self.until_ready(node)
    }

    /// Starts every node again that does not run, and waits until all serve.
    ///
    /// # Errors
    /// If one does not start.
    pub fn restart_all(&mut self) -> Result<(), RunServiceError> {
        for node in 0..self.nodes.len() {
            self.launch(node)?;
        }
        for node in 0..self.nodes.len() {
            self.until_ready(node)?;
        }
        Ok(())
    }

    /// Runs one of Kafka's own tools, as `org.apache.kafka.tools.TopicCommand`; what it prints.
    ///
    /// # Errors
    /// If it fails.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> Result<String, RunServiceError> {
        program::output(self.tool_command().arg(class).args(arguments))
    }

    /// Makes the nodes' configurations, on ports that are free now, and their empty data.
    fn prepare(&mut self) -> Result<(), RunServiceError> {
        const PORTS: usize = 4;
        let count = self.options.nodes;
        let ports = ports::free(count * PORTS)?;
        let ports: Vec<_> = ports
            .chunks_exact(PORTS)
            .map(|ports| Ports {
                plain: ports[0],
                controller: ports[1],
                mutual: ports[2],
                sasl: ports[3],
            })
            .collect();
        self.nodes.clear();
        config::write_logging(self.folder.path())?;
        for (id, own) in ports.iter().enumerate() {
            let folder = self.folder.path().join(format!("node-{id}"));
            // What a first attempt left.
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir(&folder).map_err(file(&folder))?;
            let security = self.security.as_ref();
            config::write(&folder, id, &ports, &self.options, security)?;
            let properties = folder.join(config::FILE);
            let mut format = self.tool_command();
            format.arg("kafka.tools.StorageTool").arg("format");
            format.args(["--cluster-id", "millrace-tests-cluster"]);
            format.arg("--config").arg(&properties);
            if let Some(security) = security {
                format.args(security.scram_users());
            }
            program::output(&mut format)?;
            self.nodes.push(Node { process: None, ports: *own, folder });
        }
        Ok(())
    }

    fn tool_command(&self) -> Command {
        let mut java = Command::new(&self.java);
        // Tools end too soon for better code to be worth its making.
        java.args(self.java_arguments(128, true, config::TOOL_LOGGING));
        java
    }

    fn java_arguments(&self, heap_mib: u32, quick: bool, logging: &str) -> Vec<String> {
        let logging = self.folder.path().join(logging);
        let levels = if quick { 1 } else { 4 };
        vec![
            format!("-Xmx{heap_mib}m"),
            format!("-XX:TieredStopAtLevel={levels}"),
            // It has fewer threads, and a smaller heap, than the default collector.
            "-XX:+UseSerialGC".to_owned(),
            format!("-Dlog4j2.configurationFile={}", logging.display()),
            "-cp".to_owned(),
            format!("{}/*", self.jars.display()),
        ]
    }

    fn launch(&mut self, id: usize) -> Result<(), RunServiceError> {
        let mut arguments =
            self.java_arguments(self.options.heap_mib, self.options.quick, config::LOGGING);
        let owned = self.folder.is_owned();
        let Some(node) = self.nodes.get_mut(id) else { return Err(not_running(id)) };
        if node.process.as_mut().is_some_and(Process::is_running) {
            return Ok(());
        }
        arguments.push("kafka.Kafka".to_owned());
        arguments.push(node.folder.join(config::FILE).display().to_string());
        node.process = Some(Process::start(Launch {
            name: name(id),
            program: &self.java,
            arguments,
            user: None,
            log: node.folder.join("log.txt"),
            owned,
        })?);
        Ok(())
    }

    fn until_ready(&mut self, id: usize) -> Result<(), RunServiceError> {
        let Some(node) = self.nodes.get_mut(id) else { return Err(not_running(id)) };
        let address = ("127.0.0.1", node.ports.plain);
        let process = node.process.as_mut().ok_or_else(|| not_running(id))?;
        process
            .until_ready(|node| node.log().contains(STARTED) && TcpStream::connect(address).is_ok())
    }

    fn signal(&mut self, id: usize, signal: Signal) -> Result<(), RunServiceError> {
        let process = self.nodes.get_mut(id).and_then(|node| node.process.as_mut());
        process.ok_or_else(|| not_running(id))?.signal(signal)
    }

    fn addresses(&self, port: impl Fn(&Ports) -> u16) -> String {
        let nodes = self.nodes.iter().map(|node| format!("127.0.0.1:{}", port(&node.ports)));
        nodes.collect::<Vec<_>>().join(",")
    }
}

fn name(id: usize) -> String {
    format!("Kafka's node {id}")
}

fn not_running(id: usize) -> RunServiceError {
    RunServiceError::NotRunning(name(id))
}
