//! The overlays of the examples for clusters: what comes out is right. Those of the API server are
//! checked by `tests/cluster/crd.sh`; here their patches are applied as kustomize does it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

use std::path::Path;
use std::path::PathBuf;

use millrace_api::TelemetryPipeline;
use serde_json::Value;

fn read(path: &Path) -> Value {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn merge(value: &mut Value, patch: &Value) {
    match patch {
        Value::Object(fields) => {
            for (name, field) in fields {
                merge(&mut value[name.as_str()], field);
            }
        }
        other => *value = other.clone(),
    }
}

/// An operation of JSON Patch (RFC 6902) that the overlays use.
fn operate(resource: &mut Value, operation: &Value) {
    let path = operation["path"].as_str().unwrap();
    match (operation["op"].as_str().unwrap(), path.strip_suffix("/-")) {
        ("replace", None) => *resource.pointer_mut(path).unwrap() = operation["value"].clone(),
        ("add", Some(list)) => {
            let list = resource.pointer_mut(list).unwrap().as_array_mut().unwrap();
            list.push(operation["value"].clone());
        }
        (other, _) => panic!("{other} of {path} is not known here"),
    }
}

/// The pipelines of an overlay.
fn rendered(overlay: &str) -> Vec<TelemetryPipeline> {
    let folder: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "../examples/clusters", overlay].iter().collect();
    let kustomization = read(&folder.join("kustomization.yaml"));
    let resources = kustomization["resources"].as_array().unwrap();
    let rendered = resources.iter().map(|file| {
        let mut resource = read(&folder.join(file.as_str().unwrap()));
        let name = resource["metadata"]["name"].clone();
        for patch in kustomization["patches"].as_array().unwrap() {
            let target = &patch["target"]["name"];
            if !target.is_null() && *target != name {
                continue;
            }
            if let Some(file) = patch["path"].as_str() {
                merge(&mut resource["spec"], &read(&folder.join(file))["spec"]);
            }
            if let Some(text) = patch["patch"].as_str() {
                let operations: Vec<Value> = serde_yaml_ng::from_str(text).unwrap();
                for operation in &operations {
                    operate(&mut resource, operation);
                }
            }
        }
        let mut pipelines = millrace_api::load(&resource.to_string(), overlay).unwrap();
        pipelines.remove(0)
    });
    rendered.collect()
}

#[test]
fn the_overlay_of_a_small_cluster_asks_for_little() {
    let pipelines = rendered("minikube");
    assert_eq!(pipelines.len(), 2);
    for pipeline in pipelines {
        let resources = &pipeline.spec.resources;
        let parts = [
            &resources.ingest,
            &resources.workers,
            &resources.query,
            &resources.edge,
            &resources.broker,
            &resources.database,
        ];
        let requests = parts.map(|part| part.as_ref().unwrap().requests.clone());
        let memory: i64 =
            requests.iter().map(|part| part.memory.as_ref().unwrap().value().unwrap()).sum();
        let cpu: i128 =
            requests.iter().map(|part| part.cpu.as_ref().unwrap().thousandths().unwrap()).sum();
        assert_eq!((memory >> 20, cpu), (864, 470));
    }
}

#[test]
fn the_overlay_of_gke_says_what_the_sketches_say() {
    let pipelines = rendered("gke");
    let [timestamps, cpu] = &pipelines[..] else { panic!("{} pipelines", pipelines.len()) };
    let workers = timestamps.spec.scaling.workers.as_ref().unwrap();
    assert_eq!((workers.min, workers.max, workers.lag), (Some(0), Some(12), Some(1000)));
    let schema = cpu.spec.streams[0].schema.as_ref().unwrap();
    assert_eq!(schema.config_map.as_ref().unwrap().name.as_str(), "cpu-schema");
    assert_eq!(cpu.spec.sinks.len(), 3);
    assert_eq!(
        cpu.spec.cluster_sections(),
        [
            "exposure.hosts",
            "exposure.edge",
            "exposure.tls.certManager",
            "broker",
            "database",
            "resources",
            "scaling",
            "placement",
            "deletionPolicy"
        ]
    );
}
