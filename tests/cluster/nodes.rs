//! Three nodes of Kafka: they roll one at a time, and a lost volume is made good.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use crate::fleet::Fleet;
use crate::fleet::NAME;
use crate::say;
use crate::support::kubernetes::over_kubernetes;

#[test]
fn nodes_roll_one_at_a_time_and_a_lost_volume_comes_back_from_the_others() {
    if !over_kubernetes() {
        return;
    }
    let begun = Instant::now();
    let mut fleet = Fleet::start(&json!({"spec": {"broker": {"managed": {"nodes": 3}}}}));
    say(begun, "ready");
    let load = fleet.load();
    let before = fleet.nodes();

    let size = json!({"requests": {"cpu": "51m"}});
    fleet.patch(&json!({"spec": {"resources": {"broker": size}}})).unwrap();
    fleet.namespace.until("all nodes are new and ready", |_| {
        let now = fleet.nodes();
        let away = 3 - now.values().filter(|node| node.is_ready).count();
        assert!(away <= 1, "{now:?}");
        away == 0 && now.iter().all(|(name, node)| node.uid != before[name].uid)
    });
    fleet.wait_ready();
    fleet.until_all_goes_on(&load, "with new nodes");
    say(begun, &format!("the nodes have rolled; {} requests failed", load.failed()));

    let (claim, node) = (format!("data-{NAME}-kafka-1"), format!("{NAME}-kafka-1"));
    let volume = fleet.volume(&claim);
    let now = ["--wait=false", "--grace-period=0", "--force"];
    fleet.namespace.kubectl(&["delete", "pvc", &claim, "--wait=false"]).unwrap();
    fleet.namespace.kubectl(&[&["delete", "pod", &node], &now[..]].concat()).unwrap();
    fleet.namespace.until("the node has another volume", |_| {
        let now = fleet.volume(&claim);
        !now.is_empty() && now != volume
    });
    say(begun, "a node has lost its volume");
    fleet.until_ready(&node);
    fleet.wait_ready();
    fleet.until_all_goes_on(&load, "with another volume");
    say(begun, &format!("the node is back; {} requests failed", load.failed()));

    // What it has from the others is what it serves: they go, one after the other.
    for other in ["0", "2"] {
        let other = format!("{NAME}-kafka-{other}");
        fleet.namespace.kubectl(&["delete", "pod", &other]).unwrap();
        fleet.until_ready(&other);
        fleet.until_all_goes_on(&load, &other);
        say(begun, &format!("without {other} for a while; {} requests failed", load.failed()));
    }
    fleet.judge(begun, load);
}

#[derive(Debug)]
struct Node {
    uid: String,
    is_ready: bool,
}

impl Fleet {
    /// The nodes by their pods' names, those that are about to go, too.
    fn nodes(&self) -> BTreeMap<String, Node> {
        let labels = format!("millrace.dev/pipeline={NAME},app.kubernetes.io/component=kafka");
        let list = ["get", "pods", "--selector", &labels, "--output", "json"];
        let list = self.namespace.kubectl(&list).unwrap();
        let mut list: Value = serde_json::from_str(&list).unwrap();
        let pods = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let node = |pod: Value| {
            let text = |field: &str| pod["metadata"][field].as_str().unwrap().to_owned();
            let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
            let is_ready = conditions
                .filter(|condition| condition["type"] == "Ready")
                .any(|condition| condition["status"] == "True");
            (text("name"), Node { uid: text("uid"), is_ready })
        };
        pods.into_iter().map(node).collect()
    }

    fn until_ready(&self, node: &str) {
        self.namespace.until(node, |_| self.nodes().get(node).is_some_and(|node| node.is_ready));
    }

    /// The volume of a claim; nothing while it has none.
    fn volume(&self, claim: &str) -> String {
        let path = "jsonpath={.spec.volumeName}";
        self.namespace.kubectl(&["get", "pvc", claim, "--output", path]).unwrap_or_default()
    }
}
