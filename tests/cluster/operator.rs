//! The operator that runs on the cluster, and its sudden end.

use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::Value;

use crate::support::kubernetes::Forward;
use crate::support::kubernetes::kubectl;
use crate::support::process::get;
use crate::support::process::pause;

/// How long it may take until another one works, and has looked at everything.
const PATIENCE: Duration = Duration::from_mins(5);

/// Where it runs.
pub(crate) struct Operator {
    namespace: String,
    /// The Lease has the Deployment's name.
    name: String,
}

impl Operator {
    /// The one of the cluster.
    pub(crate) fn find() -> Self {
        let labels = "app.kubernetes.io/name=millrace-operator";
        let all = json(&["get", "deployments", "--all-namespaces", "--selector", labels]);
        let metadata = &all["items"][0]["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap().to_owned();
        Self { namespace: text("namespace"), name: text("name") }
    }

    /// The pod that works.
    pub(crate) fn leader(&self) -> String {
        let lease = json(&["--namespace", &self.namespace, "get", "lease", &self.name]);
        lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
    }

    /// The image of its Deployment.
    pub(crate) fn image(&self) -> String {
        let deployment = self.deployment();
        deployment["spec"]["template"]["spec"]["containers"][0]["image"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Exchanges the image, of pipelines, too.
    pub(crate) fn set_image(&self, image: &str) {
        let mut deployment = self.deployment();
        // Others write to it meanwhile.
        deployment["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        let text = deployment.to_string().replace(&self.image(), image);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        kubectl(&["replace", "--filename", &file.path().display().to_string()]).unwrap();
    }

    fn deployment(&self) -> Value {
        json(&["--namespace", &self.namespace, "get", "deployment", &self.name])
    }

    /// Waits until a pod works that is not this one.
    pub(crate) fn wait_for_another(&self, than: &str) -> String {
        let begun = Instant::now();
        loop {
            let leader = self.leader();
            if !leader.is_empty() && leader != than {
                return leader;
            }
            assert!(begun.elapsed() < PATIENCE, "no operator takes over from {than}");
            pause(Duration::from_millis(200));
        }
    }

    /// Ends the one that works in order, so that the next one need not wait for its Lease to run out.
    pub(crate) fn delete(&self) {
        kubectl(&["--namespace", &self.namespace, "delete", "pod", &self.leader()]).unwrap();
    }

    /// Waits until a new one has passed over as many pipelines; the seconds since it began to work,
    /// its passes and its writes.
    pub(crate) fn wait_for_passes(&self, former: &str, count: usize) -> (f64, u64, u64) {
        let leader = self.wait_for_another(former);
        let pod = format!("pod/{leader}");
        // It may work before its kubelet has said that it runs, and until then nothing is forwarded.
        let runs = ["wait", "--for=jsonpath={.status.phase}=Running", "--timeout=60s", &pod];
        kubectl(&[&["--namespace", &self.namespace], &runs[..]].concat()).unwrap();
        let forward = Forward::to(&self.namespace, &pod, 8080);
        let begun = Instant::now();
        loop {
            let metrics = get(&forward.address, "/metrics").unwrap().1;
            let passes = sum(&metrics, "millrace_operator_reconciles_total");
            let seconds = self.since_it_works(&leader);
            if passes >= count as u64 {
                return (seconds, passes, sum(&metrics, "millrace_operator_writes_total"));
            }
            assert!(begun.elapsed() < PATIENCE, "{passes} passes: {metrics}");
            pause(Duration::from_millis(100));
        }
    }

    /// Seconds since a pod has the Lease.
    fn since_it_works(&self, pod: &str) -> f64 {
        let lease = json(&["--namespace", &self.namespace, "get", "lease", &self.name]);
        assert_eq!(lease["spec"]["holderIdentity"], pod);
        let since: Timestamp = lease["spec"]["acquireTime"].as_str().unwrap().parse().unwrap();
        Timestamp::now().duration_since(since).as_secs_f64()
    }

    /// Its memory, where it can be seen.
    pub(crate) fn memory(&self) -> String {
        let leader = self.leader();
        let pod = json(&["--namespace", &self.namespace, "get", "pod", &leader]);
        let processes = processes(pod["metadata"]["uid"].as_str().unwrap());
        let status = processes.first().map(|process| format!("/proc/{process}/status"));
        let status = status.and_then(|status| std::fs::read_to_string(status).ok());
        let status = status.unwrap_or_else(|| "it is on another machine".to_owned());
        let lines =
            status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
        lines.collect::<Vec<_>>().join(", ").replace('\t', " ")
    }

    /// Ends the one that works as a loss of power would, and takes its pod away; says how it died.
    pub(crate) fn kill(&self) -> &'static str {
        let leader = self.leader();
        let pod = json(&["--namespace", &self.namespace, "get", "pod", &leader]);
        let processes = processes(pod["metadata"]["uid"].as_str().unwrap());
        let how = if processes.is_empty() {
            // Its node is elsewhere: there it has a moment to end by itself.
            "its pod was deleted"
        } else {
            for process in &processes {
                // It may have ended by itself.
                let _ = Command::new("kill").args(["-9", process]).status();
            }
            "kill -9"
        };
        let now = ["--grace-period=0", "--force", "--wait=false"];
        let delete = ["--namespace", &self.namespace, "delete", "pod", &leader];
        kubectl(&[&delete[..], &now].concat()).unwrap();
        how
    }
}

fn json(arguments: &[&str]) -> Value {
    let text = kubectl(&[arguments, &["--output", "json"]].concat()).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The operator's processes of this machine that are of a pod.
fn processes(pod: &str) -> Vec<String> {
    let pods = [pod.to_owned(), pod.replace('-', "_")];
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter(|process| {
        let read = |file: &str| std::fs::read_to_string(process.path().join(file));
        let of_pod = |text: String| pods.iter().any(|pod| text.contains(pod));
        read("cgroup").is_ok_and(of_pod)
            && read("comm").is_ok_and(|name| name.starts_with("millrace-operat"))
    })
    .map(|process| process.file_name().to_string_lossy().into_owned())
    .collect()
}

/// All values of a counter together.
fn sum(metrics: &str, name: &str) -> u64 {
    let values = metrics.lines().filter(|line| line.starts_with(name));
    values.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}
