//! The resource as pods read it: what computes, without what is of the cluster alone, so that a
//! change of replicas, say, starts no pod anew.

use millrace_api::GROUP;
use millrace_api::KIND;
use millrace_api::TelemetryPipelineSpec;
use millrace_api::VERSION;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// Sections that pods read.
const SECTIONS: [&str; 6] = ["streams", "ingest", "processors", "sinks", "query", "exposure"];

/// What of `exposure` pods read: who may reach what. TLS ends at the edge.
const EXPOSURE: [&str; 3] = ["auth", "origins", "limits"];

/// The document, in YAML.
///
/// # Errors
/// None for a resource that has been read.
pub(crate) fn document(
    name: &str,
    spec: &TelemetryPipelineSpec,
) -> Result<String, serde_yaml_ng::Error> {
    let mut spec =
        serde_yaml_ng::to_value(spec).and_then(serde_yaml_ng::from_value::<Map<String, Value>>)?;
    spec.retain(|section, _| SECTIONS.contains(&section.as_str()));
    if let Some(exposure) = spec.get_mut("exposure").and_then(Value::as_object_mut) {
        exposure.retain(|field, _| EXPOSURE.contains(&field.as_str()));
    }
    serde_yaml_ng::to_string(&json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": KIND,
        "metadata": { "name": name },
        "spec": spec,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document_of(example: &str, change: impl FnOnce(&mut TelemetryPipelineSpec)) -> String {
        let mut pipeline = millrace_api::load(example, "example").unwrap().remove(0);
        change(&mut pipeline.spec);
        document(pipeline.metadata.name.as_deref().unwrap(), &pipeline.spec).unwrap()
    }

    const RACE: &str = include_str!("../../../examples/race.yaml");

    #[test]
    fn pods_read_what_the_resource_says() {
        for example in [
            RACE,
            include_str!("../../../examples/cpu.yaml"),
            include_str!("../../../examples/hoverboards.yaml"),
            include_str!("../../../examples/multivac.yaml"),
            include_str!("../../../examples/timestamps.yaml"),
        ] {
            let written = millrace_api::load(example, "example").unwrap().remove(0);
            let read = document_of(example, |_| {});
            let read = millrace_api::load(&read, "document").unwrap().remove(0);
            assert_eq!(read.metadata.name, written.metadata.name);
            assert_eq!(read.spec.streams, written.spec.streams);
            assert_eq!(read.spec.ingest, written.spec.ingest);
            assert_eq!(read.spec.processors, written.spec.processors);
            assert_eq!(read.spec.sinks, written.spec.sinks);
            assert_eq!(read.spec.query, written.spec.query);
            assert_eq!(read.spec.exposure.auth, written.spec.exposure.auth);
        }
    }

    #[test]
    fn what_is_of_the_cluster_alone_changes_nothing_for_pods() {
        let before = document_of(RACE, |_| {});
        let after = document_of(RACE, |spec| {
            spec.paused = true;
            spec.scaling.workers = Some(serde_yaml_ng::from_str("{max: 5}").unwrap());
            spec.exposure.hosts = vec!["race.example.com".into()];
            spec.exposure.tls = Some(serde_yaml_ng::from_str("{secret: {name: site}}").unwrap());
            spec.images.nginx = Some("nginx:2".into());
        });
        assert_eq!(before, after);
        let after = document_of(RACE, |spec| spec.streams[0].disorder = "60ms".into());
        assert_ne!(before, after);
    }
}
