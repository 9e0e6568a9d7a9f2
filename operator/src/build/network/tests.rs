use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

use super::*;
use crate::fixture;

fn policies(pipeline: &Pipeline) -> BTreeMap<String, Value> {
    let policies = build_network_policies(pipeline).into_iter();
    let value = |policy: NetworkPolicy| {
        (policy.metadata.name.clone().unwrap(), serde_json::to_value(policy.spec).unwrap())
    };
    policies.map(value).collect()
}

/// Who may speak to whom, by which port: `edge > ingest 8080`. What is not a part of the pipeline is
/// called after what it is.
fn allowed(pipeline: &Pipeline) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    let inward =
        directed(pipeline, "ingress", "from", |of, peer, port| format!("{peer} > {of} {port}"));
    let outward =
        directed(pipeline, "egress", "to", |of, peer, port| format!("{of} > {peer} {port}"));
    for path in &inward {
        let (from, _) = path.split_once(" > ").unwrap();
        // Within the pipeline both ends have to allow it.
        if outward.contains(path) || !is_part(from) {
            allowed.insert(path.clone());
        }
    }
    for path in &outward {
        let to = path.split_once(" > ").unwrap().1.split(' ').next().unwrap();
        if !is_part(to) {
            allowed.insert(path.clone());
        } else if !inward.contains(path) {
            panic!("{path} is allowed to leave, and not to arrive");
        }
    }
    allowed
}

fn is_part(name: &str) -> bool {
    ["ingest", "workers", "query", "edge", "provision", "kafka", "postgres", "backup"]
        .contains(&name)
}

fn directed(
    pipeline: &Pipeline,
    direction: &str,
    peers: &str,
    path: impl Fn(&str, &str, &str) -> String,
) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, spec) in policies(pipeline) {
        let of = name.trim_start_matches("race-");
        for rule in spec[direction].as_array().into_iter().flatten() {
            let anyone = vec![json!({})];
            let peers = rule[peers].as_array().unwrap_or(&anyone);
            for peer in peers.iter().map(called) {
                for port in rule["ports"].as_array().unwrap() {
                    found.insert(path(of, &peer, &port["port"].to_string()));
                }
            }
        }
    }
    found
}

fn called(peer: &Value) -> String {
    let labels = &peer["podSelector"]["matchLabels"];
    if let Some(part) = labels["app.kubernetes.io/component"].as_str() {
        assert_eq!(labels["millrace.dev/pipeline"], "race");
        return part.to_owned();
    }
    if let Some(block) = peer["ipBlock"]["cidr"].as_str() {
        let except = peer["ipBlock"]["except"][0].as_str();
        return except.map_or(block.to_owned(), |except| format!("{block}-{except}"));
    }
    let labels = labels.as_object().into_iter().flatten();
    let of = peer["namespaceSelector"]["matchLabels"].as_object().into_iter().flatten();
    let names: Vec<&str> = labels.chain(of).filter_map(|(_, value)| value.as_str()).collect();
    match (names.as_slice(), peer["namespaceSelector"].is_object()) {
        ([], true) => "cluster".to_owned(),
        ([], false) => "anyone".to_owned(),
        (names, _) => names.join(" "),
    }
}

fn without_scrapers(allowed: BTreeSet<String>) -> Vec<String> {
    let scrapers = ["prometheus > ", "true > ", "gmp-system > "];
    allowed
        .into_iter()
        .filter(|path| !scrapers.iter().any(|scraper| path.starts_with(scraper)))
        .filter(|path| !path.ends_with("> anyone 53"))
        .collect()
}

#[test]
fn nothing_is_allowed_but_what_a_pipeline_is_made_of() {
    assert_eq!(
        without_scrapers(allowed(&fixture::pipeline())),
        [
            "anyone > edge 8080",
            "anyone > edge 8443",
            "anyone > edge 8883",
            "edge > ingest 1883",
            "edge > ingest 8080",
            "edge > query 8080",
            "ingest > kafka 9092",
            "kafka > kafka 9093",
            "kafka > kafka 9094",
            "millrace-operator > query 8080",
            "provision > kafka 9092",
            "provision > kafka 9094",
            "provision > postgres 5432",
            "query > kafka 9092",
            "query > postgres 5432",
            "workers > kafka 9092",
            "workers > postgres 5432",
        ]
    );
}

#[test]
fn dumps_leave_by_the_port_of_their_store_alone() {
    let mut pipeline = fixture::pipeline();
    let Some(Tables::Managed(postgres)) = &mut pipeline.tables else { panic!("another's") };
    let text = "{schedule: '0 3 * * *', copyTo: {url: 's3://b', endpoint: 'https://minio:9000'}}";
    postgres.spec.backup = Some(serde_yaml_ng::from_str(text).unwrap());
    let mut allowed = without_scrapers(allowed(&pipeline));
    allowed.retain(|path| path.starts_with("backup > "));
    assert_eq!(
        allowed,
        [
            "backup > 0.0.0.0/0-169.254.0.0/16 9000",
            "backup > ::/0-fe80::/10 9000",
            "backup > cluster 9000",
            "backup > postgres 5432"
        ]
    );
}

#[test]
fn what_no_policy_speaks_of_is_denied() {
    let denied = &policies(&fixture::pipeline())["race-default-deny"];
    assert_eq!(
        denied,
        &json!({
            "podSelector": {"matchLabels": {"millrace.dev/pipeline": "race"}},
            "policyTypes": ["Ingress", "Egress"],
        })
    );
    for (name, spec) in policies(&fixture::pipeline()) {
        assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]), "{name}");
    }
}

#[test]
fn metrics_are_read_by_who_says_so_and_of_parts_that_have_them() {
    let allowed = allowed(&fixture::pipeline());
    let reads: Vec<_> =
        allowed.iter().filter_map(|path| path.strip_prefix("prometheus > ")).collect();
    assert_eq!(reads, ["ingest 8080", "query 8080", "workers 8080"]);
}

#[test]
fn hosts_outside_are_reached_by_their_ports_and_never_the_link() {
    let mut pipeline = fixture::with_external(
        "{bootstrapServers: ['kafka.example.com:9093', 'other.example.com:9094']}",
        "{host: db.example.com, port: 6432, database: d, credentials: {name: db}}",
    );
    pipeline.outward.workers.insert(443);
    pipeline.outward.ingest.insert(8883);
    let allowed = allowed(&pipeline);
    let link = "0.0.0.0/0-169.254.0.0/16";
    for path in [
        format!("ingest > {link} 8883"),
        format!("ingest > {link} 9093"),
        format!("ingest > {link} 9094"),
        format!("provision > {link} 6432"),
        format!("query > {link} 6432"),
        format!("workers > {link} 443"),
        "workers > ::/0-fe80::/10 443".to_owned(),
        // Some networks take pods for no address.
        "workers > cluster 443".to_owned(),
    ] {
        assert!(allowed.contains(&path), "{path}");
    }
    let wrong = |path: &String| {
        path.starts_with("ingest >") && path.ends_with(" 6432")
            || path.starts_with("query >") && path.ends_with(" 443")
            || path.contains("> 0.0.0.0/0 ")
    };
    assert_eq!(allowed.iter().find(|path| wrong(path)), None);
    assert!(!allowed.iter().any(|path| path.contains("kafka") || path.contains("postgres")));
}

#[test]
fn the_server_of_metadata_is_reached_by_who_stands_for_an_account_of_google() {
    let mut pipeline = fixture::pipeline();
    let link = |pipeline: &Pipeline| -> Vec<String> {
        let allowed = allowed(pipeline).into_iter();
        allowed.filter(|path| path.contains("> 169.254.")).collect()
    };
    assert_eq!(link(&pipeline), Vec::<String>::new());
    pipeline.placement.service_account_annotations = [(
        "iam.gke.io/gcp-service-account".to_owned(),
        "race@project.iam.gserviceaccount.com".into(),
    )]
    .into();
    assert_eq!(
        link(&pipeline),
        ["workers > 169.254.169.252/32 988", "workers > 169.254.169.254/32 80"]
    );
}

#[test]
fn without_an_edge_the_cluster_reaches_ingest_and_query_and_nobody_else() {
    let mut pipeline = fixture::pipeline();
    pipeline.edge = None;
    let allowed = allowed(&pipeline);
    for path in ["cluster > ingest 8080", "cluster > ingest 1883", "cluster > query 8080"] {
        assert!(allowed.contains(path), "{path}");
    }
    assert!(!allowed.iter().any(|path| path.contains("edge") || path.starts_with("anyone")));
}

#[test]
fn keda_asks_query_where_it_decides() {
    let mut pipeline = fixture::pipeline();
    assert!(!allowed(&pipeline).contains("keda > query 8080"));
    pipeline.workers.replicas = WorkerReplicas::ByKeda { min: 0, max: 3, lag: 100 };
    assert!(allowed(&pipeline).contains("keda > query 8080"));
}
