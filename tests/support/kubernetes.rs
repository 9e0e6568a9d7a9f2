//! A pipeline on a real Kubernetes, made by the operator that runs there: applied by `kubectl`, reached
//! through its edge.

use std::io::BufRead as _;
use std::io::BufReader;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use super::process::pause;

/// How long anything on the cluster may take: until it is ready, servers and all, on a busy machine. A
/// scheduler that did not hear of a bound volume looks at its pod again only after five minutes and
/// a half.
const READY: Duration = Duration::from_mins(10);

/// Whether pipelines run on the cluster of `KUBECONFIG`, whose operator manages all namespaces.
pub(crate) fn over_kubernetes() -> bool {
    std::env::var_os("MILLRACE_TEST_KUBERNETES").is_some()
}

/// `kubectl` with these arguments; what it prints, or its failure with what it was about.
pub(crate) fn kubectl(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("kubectl").args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot start kubectl: {error}"))?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(format!("kubectl {}: {}", arguments.join(" "), text(&output.stderr)))
    }
}

/// A namespace of a test, deleted with it.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// A new one, which enforces Pod Security `restricted`.
    pub(crate) fn new() -> Self {
        let name = format!("millrace-test-{:08x}", rand::random::<u32>());
        kubectl(&["create", "namespace", &name]).unwrap();
        let enforced = "pod-security.kubernetes.io/enforce=restricted";
        kubectl(&["label", "namespace", &name, enforced]).unwrap();
        Self { name }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// `kubectl` in this namespace.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        kubectl(&[&["--namespace", &self.name], arguments].concat())
    }

    /// A folder of Secrets, as `millrace run --secrets` reads it, as Secrets.
    pub(crate) fn create_secrets(&self, folder: &Path) {
        for secret in std::fs::read_dir(folder).into_iter().flatten() {
            let secret = secret.unwrap();
            let name = secret.file_name().into_string().unwrap();
            let from = format!("--from-file={}", secret.path().display());
            self.kubectl(&["create", "secret", "generic", &name, &from]).unwrap();
        }
    }

    /// Applies a file.
    pub(crate) fn apply(&self, file: &Path) -> Result<String, String> {
        self.kubectl(&["apply", "--filename", &file.display().to_string()])
    }

    /// The conditions of a pipeline, a line each, for people.
    pub(crate) fn told(&self, pipeline: &str) -> String {
        let path = r#"jsonpath={range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\n"}{end}"#;
        self.kubectl(&["get", "telemetrypipeline", pipeline, "--output", path])
            .unwrap_or_else(|error| error)
    }

    /// Waits until a pipeline is ready in the generation that was applied last.
    pub(crate) fn wait_ready(&self, pipeline: &str) {
        let name = format!("telemetrypipeline/{pipeline}");
        let timeout = format!("--timeout={}s", READY.as_secs());
        if let Err(error) = self.kubectl(&["wait", "--for=condition=Ready", &timeout, &name]) {
            let pods = self.kubectl(&["get", "pods", "--output", "wide"]).unwrap_or_default();
            panic!("{error}\n{}\n{pods}", self.told(pipeline));
        }
    }

    /// Waits for a condition of the namespace.
    pub(crate) fn until(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let begin = Instant::now();
        while !condition(self) {
            assert!(begin.elapsed() < READY, "in vain: {what}");
            pause(Duration::from_millis(200));
        }
    }

    /// An object as JSON.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Value {
        let text = self.kubectl(&["get", kind, name, "--output", "json"]).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What is left of it goes by itself.
        let _ = kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}

/// A pipeline that an operator has made ready in a namespace of its own.
pub(crate) struct Deployed {
    pub(crate) namespace: Namespace,
    pub(crate) name: String,
    edge: Forward,
    others: Vec<Forward>,
}

impl Deployed {
    /// Applies a resource, with the Secrets of a folder, and waits until it is ready.
    pub(crate) fn start(resource: &Path, secrets: Option<&Path>) -> Self {
        let namespace = Namespace::new();
        if let Some(secrets) = secrets {
            namespace.create_secrets(secrets);
        }
        namespace.apply(resource).unwrap();
        let names = namespace.kubectl(&["get", "telemetrypipelines", "--output", "name"]).unwrap();
        let name = names.trim().split_once('/').unwrap().1.to_owned();
        namespace.wait_ready(&name);
        let edge = Forward::to(&namespace.name, &format!("service/{name}-edge"), 443);
        Self { namespace, name, edge, others: Vec::new() }
    }

    /// The address of its edge, which speaks TLS.
    pub(crate) fn address(&self) -> &str {
        &self.edge.address
    }

    /// The address of a port of one of the pods of a part with this name; `kind` is what makes them.
    pub(crate) fn part(&mut self, kind: &str, name: &str, port: u16) -> String {
        let object = format!("{kind}/{}-{name}", self.name);
        let forward = Forward::to(&self.namespace.name, &object, port);
        let address = forward.address.clone();
        self.others.push(forward);
        address
    }

    /// What is true of it, for people.
    pub(crate) fn told(&self) -> String {
        self.namespace.told(&self.name)
    }
}

/// A port of a Service or pod on this machine, as long as this lives.
pub(crate) struct Forward {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
}

impl Forward {
    /// Forwards a port of a `service/NAME` or `pod/NAME`.
    pub(crate) fn to(namespace: &str, object: &str, port: u16) -> Self {
        let mut child = Command::new("kubectl")
            .args(["--namespace", namespace, "port-forward", object, &format!(":{port}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // `Forwarding from 127.0.0.1:40123 -> 8443`
        let mut line = String::new();
        let mut told = BufReader::new(child.stdout.take().unwrap());
        told.read_line(&mut line).unwrap();
        // It tells of each connection, and ends when nobody listens.
        std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
        let address = line.split(' ').nth(2).unwrap_or_default().to_owned();
        assert!(address.starts_with("127.0.0.1:"), "{object}: {line:?}");
        Self { child, address }
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
