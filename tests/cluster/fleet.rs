//! A pipeline that the operator has made, under load: its objects, pods, tables and streams.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::door::Door;
use crate::load::Load;
use crate::load::Sent;
use crate::oracle;
use crate::say;
use crate::setting;
use crate::support::kubernetes::Namespace;
use crate::support::kubernetes::kubectl;
use crate::support::process::pause;

/// The pipeline's name.
pub(crate) const NAME: &str = "faults";
/// Parts that have pods for as long as the pipeline is there.
pub(crate) const PARTS: [&str; 6] = ["ingest", "workers", "query", "edge", "kafka", "postgres"];
/// How long it may take until all goes on after a fault: sessions and transactions of the dead have to
/// time out, and pods to start again, on a machine that does more than this.
const RECOVERY_SECONDS: u64 = 300;
/// Confirmed events after which requests go on.
const ENOUGH: u64 = 50;

/// The pipeline of the tests, in a namespace of its own.
pub(crate) struct Fleet {
    pub(crate) namespace: Namespace,
    pub(crate) door: Door,
    pub(crate) postgres: Tables,
    // Kept for a look at it if the test fails.
    folder: PathBuf,
}

/// The tables of the pipeline.
pub(crate) struct Tables {
    namespace: String,
}

impl Tables {
    /// The rows of a query, a line each, with `|` between columns.
    pub(crate) fn sql(&self, query: &str) -> io::Result<String> {
        let pod = format!("{NAME}-postgres-0");
        let psql = ["psql", "--username", "postgres", "--dbname", "millrace", "--no-align"];
        let whole = ["--namespace", &self.namespace, "exec", &pod, "--container", "postgres", "--"];
        let rest = ["--tuples-only", "--quiet", "--command", query];
        let rows = kubectl(&[&whole[..], &psql, &rest].concat()).map_err(io::Error::other)?;
        Ok(rows.trim_end().to_owned())
    }
}

impl Fleet {
    /// Applies the resource, changed by a merge patch, and waits until it is ready.
    pub(crate) fn start(patch: &Value) -> Self {
        let mut resource: Value = serde_yaml_ng::from_str(include_str!("faults.yaml")).unwrap();
        merge(&mut resource, patch);
        let namespace = Namespace::new();
        let folder = tempfile::Builder::new().prefix("millrace-cluster-").tempdir().unwrap().keep();
        std::fs::write(folder.join("pipeline.yaml"), resource.to_string()).unwrap();
        namespace.apply(&folder.join("pipeline.yaml")).unwrap();
        namespace.wait_ready(NAME);
        let door = Door::new(namespace.name(), NAME);
        let postgres = Tables { namespace: namespace.name().to_owned() };
        Self { namespace, door, postgres, folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The oracle asks for it while it waits; here Kubernetes looks after what ends.
    #[allow(clippy::unused_self, reason = "the oracle's other fleet has something to do")]
    pub(crate) fn look_after(&mut self) {}

    /// Applies the resource as it was at first.
    pub(crate) fn apply_again(&self) {
        self.namespace.apply(&self.folder.join("pipeline.yaml")).unwrap();
    }

    /// Changes the resource.
    pub(crate) fn patch(&self, patch: &Value) -> Result<String, String> {
        let patch = patch.to_string();
        self.namespace.kubectl(&["patch", "tp", NAME, "--type", "merge", "--patch", &patch])
    }

    /// Waits until what was applied last is ready.
    pub(crate) fn wait_ready(&self) {
        self.namespace.wait_ready(NAME);
    }

    /// Waits until the operator has looked at what was applied last.
    pub(crate) fn wait_seen(&self) {
        self.namespace.until("the operator has seen it", |namespace| {
            let resource = namespace.get("tp", NAME);
            resource["status"]["observedGeneration"] == resource["metadata"]["generation"]
        });
    }

    /// Names and uids of a part's pods.
    pub(crate) fn pods(&self, part: &str) -> BTreeMap<String, String> {
        let labels = format!("millrace.dev/pipeline={NAME},app.kubernetes.io/component={part}");
        let list =
            self.namespace.kubectl(&["get", "pods", "--selector", &labels, "--output", "json"]);
        let list: Value = serde_json::from_str(&list.unwrap()).unwrap();
        let pods = list["items"].as_array().unwrap().iter();
        // What is about to go does not count.
        let pods = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let text = |pod: &Value, field: &str| pod["metadata"][field].as_str().unwrap().to_owned();
        pods.map(|pod| (text(pod, "name"), text(pod, "uid"))).collect()
    }

    /// The template of each part's pods.
    pub(crate) fn templates(&self) -> BTreeMap<&'static str, String> {
        let template = |part: &&'static str| {
            let kind = if ["workers", "kafka", "postgres"].contains(part) {
                "statefulset"
            } else {
                "deployment"
            };
            let workload = self.namespace.get(kind, &format!("{NAME}-{part}"));
            (*part, workload["spec"]["template"].to_string())
        };
        PARTS.iter().map(template).collect()
    }

    /// Begins to send, and waits until all of it goes through.
    pub(crate) fn load(&self) -> Load {
        let load = Load::start(&self.door);
        self.until_all_goes_on(&load, "at the beginning");
        load
    }

    /// Ends the load, and judges what has become of all that was sent.
    pub(crate) fn judge(&mut self, begun: Instant, load: Load) -> Sent {
        let mut sent = load.end();
        say(begun, &sent.told());
        self.judge_sent(begun, &mut sent);
        sent
    }

    /// Judges what has become of all that was sent: it is there once, and in its order.
    pub(crate) fn judge_sent(&mut self, begun: Instant, sent: &mut Sent) {
        let judged = oracle::judge(self, sent);
        say(begun, &judged.told());
        assert_eq!((judged.wrong, &sent.wrong), (Vec::new(), &Vec::new()));
    }

    /// Waits until events are confirmed again and their table gets later rows.
    pub(crate) fn until_it_goes_on(&self, load: &Load, when: &str) {
        self.until_later(load, when, &["SELECT '', max(at) FROM faults.readings"]);
    }

    /// Waits until events are confirmed again and each table gets later rows of every key: no
    /// partition is left behind.
    pub(crate) fn until_all_goes_on(&self, load: &Load, when: &str) {
        let queries = [
            "SELECT sensors, max(ends) FROM faults.group_totals GROUP BY 1",
            "SELECT sensor, max(ends) FROM faults.totals GROUP BY 1",
            "SELECT sensor, max(at) FROM faults.readings GROUP BY 1",
        ];
        self.until_later(load, when, &queries);
    }

    fn until_later(&self, load: &Load, when: &str, queries: &[&str]) {
        let recovery = Duration::from_secs(setting("MILLRACE_RECOVERY", RECOVERY_SECONDS));
        let (begun, confirmed) = (Instant::now(), load.confirmed());
        let mut before: Vec<Option<BTreeMap<String, i64>>> = vec![None; queries.len()];
        loop {
            let mut behind = None;
            for (query, before) in queries.iter().zip(&mut before) {
                let now = self.latest(query);
                let later = before.as_ref().is_some_and(|before| {
                    let later = |(key, time)| now.get(key).is_some_and(|now| now > time);
                    !now.is_empty() && before.iter().all(later)
                });
                if !later {
                    behind = Some(format!("{query}: {before:?} and then {now:?}"));
                    // The first answer is what is compared with.
                    if before.is_none() && !now.is_empty() {
                        *before = Some(now);
                    }
                }
            }
            if load.confirmed() >= confirmed + ENOUGH && behind.is_none() {
                return;
            }
            assert!(
                begun.elapsed() < recovery,
                "nothing goes on {when}: confirmed {confirmed} and then {}; {behind:?}; {}",
                load.confirmed(),
                self.namespace.told(NAME),
            );
            pause(Duration::from_millis(500));
        }
    }

    /// The time of each key's latest row in milliseconds; nothing if the server does not answer.
    fn latest(&self, query: &str) -> BTreeMap<String, i64> {
        let rows = self.postgres.sql(query).unwrap_or_default();
        let rows = rows.lines().filter_map(|row| row.split_once('|'));
        rows.filter_map(|(key, time)| Some((key.to_owned(), time.parse().ok()?))).collect()
    }

    /// Keeps what a failure may be found by.
    fn keep_logs(&self) {
        let keep = |name: &str, arguments: &[&str]| {
            let text = self.namespace.kubectl(arguments).unwrap_or_else(|error| error);
            // What cannot be kept is not kept.
            let _ = std::fs::write(self.folder.join(name), text);
        };
        keep("pods.txt", &["get", "pods", "--output", "wide"]);
        keep("resource.yaml", &["get", "tp", NAME, "--output", "yaml"]);
        keep("events.txt", &["get", "events", "--sort-by", ".lastTimestamp"]);
        let pods = self.namespace.kubectl(&["get", "pods", "--output", "name"]).unwrap_or_default();
        for pod in pods.lines() {
            let name = format!("{}.log", pod.replace('/', "-"));
            keep(&name, &["logs", pod, "--all-containers", "--tail", "3000"]);
            let before = format!("{}.before.log", pod.replace('/', "-"));
            keep(&before, &["logs", pod, "--all-containers", "--tail", "1000", "--previous"]);
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_logs();
            say(Instant::now(), &format!("logs are in {}", self.folder.display()));
        } else {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    for (name, value) in fields {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut target[name], value);
        }
    }
}
