//! The program as a user starts it, and its death.

use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use super::cluster::Connections;
use super::kubernetes::Deployed;
use super::kubernetes::over_kubernetes;

/// How long a test waits for anything before it gives up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Whether pipelines run over real Kafka and Postgres instead of a folder of data.
pub(crate) fn over_services() -> bool {
    std::env::var_os("MILLRACE_TEST_SERVICES").is_some()
}

/// A running pipeline: `millrace run`, or what an operator made of the resource on a cluster.
pub(crate) struct Pipeline {
    running: Running,
    output: PathBuf,
}

enum Running {
    Process(Child),
    Deployed(Deployed),
}

impl Pipeline {
    /// Starts the program on free ports, its data in `folder`, without waiting for it.
    pub(crate) fn spawn(resource: &Path, folder: &Path, arguments: &[&str]) -> Self {
        if over_kubernetes() {
            let secrets = arguments.iter().skip_while(|argument| **argument != "--secrets").nth(1);
            let deployed = Deployed::start(resource, secrets.map(Path::new));
            return Self { running: Running::Deployed(deployed), output: PathBuf::new() };
        }
        Self::here(resource, folder, arguments)
    }

    /// The same on this machine, wherever other pipelines of the test run.
    pub(crate) fn here(resource: &Path, folder: &Path, arguments: &[&str]) -> Self {
        let listen = ["--http-listen", "127.0.0.1:0", "--mqtt-listen", "127.0.0.1:0"];
        Self::command(resource, folder, &[&listen, arguments].concat())
    }

    fn command(resource: &Path, folder: &Path, arguments: &[&str]) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let output = folder.join("output.txt");
        let file = File::create(&output).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command.arg("run").arg(resource);
        if over_services() {
            let connections = Connections::of(folder);
            command.arg("--connections").arg(&connections.folder).current_dir(folder);
        } else {
            command.arg("--data").arg(folder.join("data"));
        }
        let child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { running: Running::Process(child), output }
    }

    /// Starts the program and waits until it is ready.
    pub(crate) fn start(resource: &Path, folder: &Path, arguments: &[&str]) -> Self {
        let mut pipeline = Self::spawn(resource, folder, arguments);
        if over_kubernetes() {
            return pipeline;
        }
        let http = pipeline.http();
        pipeline.until("it is ready", |_| get(&http, "/readyz").is_ok_and(|(code, _)| code == 200));
        pipeline
    }

    /// Everything the program has printed.
    pub(crate) fn output(&self) -> String {
        match &self.running {
            Running::Process(_) => std::fs::read_to_string(&self.output).unwrap(),
            Running::Deployed(deployed) => deployed.told(),
        }
    }

    /// The address of the HTTP port, once the program has said it; on a cluster that of the edge,
    /// which speaks TLS.
    pub(crate) fn http(&mut self) -> String {
        self.address("http://")
    }

    /// The HTTP port as the beginning of a URL.
    pub(crate) fn url(&mut self) -> String {
        let scheme = if over_kubernetes() { "https" } else { "http" };
        format!("{scheme}://{}", self.http())
    }

    /// The beginning of URLs of what operators alone may ask: of one process its HTTP port, on a
    /// cluster a port of the loopback of its query pods.
    pub(crate) fn operators_url(&mut self) -> String {
        self.part_url("deployment", "query", 9090)
    }

    /// The beginning of URLs of the workers' metrics.
    pub(crate) fn workers_url(&mut self) -> String {
        self.part_url("statefulset", "workers", 8080)
    }

    fn part_url(&mut self, kind: &str, name: &str, port: u16) -> String {
        if let Running::Deployed(deployed) = &mut self.running {
            return format!("http://{}", deployed.part(kind, name, port));
        }
        self.url()
    }

    /// The address of the HTTP port, once the program has said it, where it speaks TLS.
    pub(crate) fn https(&mut self) -> String {
        self.address("https://")
    }

    /// The address of the MQTT endpoint, once the program has said it.
    pub(crate) fn mqtt(&mut self) -> String {
        self.address("mqtt://")
    }

    fn address(&mut self, scheme: &str) -> String {
        if let Running::Deployed(deployed) = &self.running {
            return deployed.address().to_owned();
        }
        let mut address = String::new();
        self.until(scheme, |pipeline| {
            let output = pipeline.output();
            let Some((_, rest)) = output.split_once(scheme) else { return false };
            let end = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ':'));
            let Some(end) = end else { return false };
            rest[..end].clone_into(&mut address);
            true
        });
        address
    }

    /// Waits for a condition; fails with the program's output if it dies or takes too long.
    pub(crate) fn until(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !condition(self) {
            if let Running::Process(child) = &mut self.running
                && let Some(status) = child.try_wait().unwrap()
            {
                panic!("the program ended ({status}) before: {what}\n{}", self.output());
            }
            assert!(started.elapsed() < PATIENCE, "in vain: {what}\n{}", self.output());
            pause(Duration::from_millis(5));
        }
    }

    /// A GET request to the program.
    pub(crate) fn get(&mut self, path: &str) -> (u16, String) {
        let http = self.http();
        get(&http, path).unwrap()
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.child().kill().unwrap();
        self.child().wait().unwrap();
    }

    /// Its process, which only tests on one machine ask for.
    fn child(&mut self) -> &mut Child {
        match &mut self.running {
            Running::Process(child) => child,
            Running::Deployed(_) => panic!("a pipeline on a cluster has no process here"),
        }
    }

    /// Ctrl-C; waits for the end and says how long it took.
    pub(crate) fn interrupt(mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        let id = self.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let status = self.child().wait().unwrap();
        (status, started.elapsed())
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        match &self.running {
            Running::Process(child) => child.id(),
            Running::Deployed(_) => panic!("a pipeline on a cluster has no process here"),
        }
    }

    /// Waits for the end.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child().wait().unwrap();
        (status, self.output())
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if let Running::Process(child) = &mut self.running {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs the program to the end of its input.
pub(crate) fn run_to_end(resource: &Path, folder: &Path, arguments: &[&str]) -> String {
    let arguments = [&["--until-end"], arguments].concat();
    let (status, output) = Pipeline::command(resource, folder, &arguments).wait();
    assert!(status.success(), "{status}\n{output}");
    output
}

/// A GET request over a connection of its own.
pub(crate) fn get(address: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    code.zip(body).ok_or_else(|| std::io::Error::other(answer))
}

/// Lets other processes work for a moment, between two looks at what they have done.
pub(crate) fn pause(time: Duration) {
    let (_sender, receiver) = std::sync::mpsc::channel::<()>();
    let _ = receiver.recv_timeout(time);
}
