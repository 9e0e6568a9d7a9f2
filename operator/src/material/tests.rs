#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::Timestamp;
use millrace_api::DeletionPolicy;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring::default_provider;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::ServerName;
use rustls_pki_types::UnixTime;
use rustls_pki_types::pem::PemObject;

use super::*;
use crate::fixture;
use crate::names::Names;
use crate::names::Part;
use crate::pipeline::Pipeline;

const NODE: &str = "race-kafka-2.race-kafka.factory.svc.cluster.local";

/// A namespace, and a controller that has been there at certain times.
struct Cluster {
    existing: Existing,
    wanted: Wanted,
    now: Timestamp,
    pipeline: Pipeline,
    /// What others have written on Secrets: annotations by the Secret's name.
    others: BTreeMap<String, BTreeMap<String, String>>,
}

impl Cluster {
    fn new() -> Self {
        let wanted = Wanted {
            kafka_nodes: Some(3),
            postgres: true,
            edge: Some(vec!["race.example.com".to_owned(), "10.0.0.1".to_owned()]),
        };
        let mut cluster = Self {
            existing: Existing::default(),
            wanted,
            now: "2026-11-21T12:00:00Z".parse().unwrap(),
            pipeline: fixture::with_three_nodes(),
            others: BTreeMap::new(),
        };
        cluster.pass().unwrap();
        cluster
    }

    /// A pass: what is complete then is what there is afterwards. Pods keep what they have begun
    /// with.
    fn pass(&mut self) -> Result<Material, MaterialError> {
        let names = Names::new("factory", "race");
        let material = complete(&self.existing, &self.wanted, &names, self.now)?;
        self.pipeline.material = material.clone();
        for mut secret in build_secrets(&self.pipeline) {
            let name = secret.metadata.name.clone().unwrap();
            // What others have written on it stays where it is not overwritten.
            for (key, value) in self.others.get(&name).into_iter().flatten() {
                let notes = secret.metadata.annotations.get_or_insert_default();
                notes.entry(key.clone()).or_insert_with(|| value.clone());
            }
            self.existing.secrets.insert(name, secret);
        }
        for config_map in build_config_maps(&self.pipeline) {
            let name = config_map.metadata.name.clone().unwrap();
            self.existing.config_maps.insert(name, config_map);
        }
        Ok(material)
    }

    /// All pods start anew.
    fn roll(&mut self) {
        let parts = [Part::Ingest, Part::Workers, Part::Query, Part::Edge, Part::Kafka];
        let material = &self.pipeline.material;
        self.existing.pods = parts.iter().map(|part| marks(*part, material)).collect();
    }

    fn later(&mut self, hours: i64) {
        self.now += SignedDuration::from_hours(hours);
    }

    fn ask(&mut self, secret: &str, value: &str) {
        self.annotate(secret, ROTATE, value);
    }

    fn annotate(&mut self, secret: &str, key: &str, value: &str) {
        let others = self.others.entry(secret.to_owned()).or_default();
        others.insert(key.to_owned(), value.to_owned());
        let secret = self.existing.secrets.get_mut(secret).unwrap();
        let notes = secret.metadata.annotations.get_or_insert_default();
        notes.insert(key.to_owned(), value.to_owned());
    }

    fn text(&self, secret: &str, key: &str) -> String {
        let data = self.existing.secrets[secret].data.as_ref().unwrap();
        String::from_utf8(data[key].0.clone()).unwrap()
    }
}

/// Whether somebody who trusts this bundle accepts the certificate for this name.
fn accepts(bundle: &str, certificate: &str, name: &str, now: Timestamp) -> bool {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(root.unwrap()).unwrap();
    }
    let provider = Arc::new(default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let leaf = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let seconds = std::time::Duration::from_secs(now.as_second().try_into().unwrap());
    let now = UnixTime::since_unix_epoch(seconds);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier.verify_server_cert(&leaf, &[], &name, &[], now).is_ok()
}

fn node(material: &Material) -> &Leaf {
    &material.broker.as_ref().unwrap().node
}

fn client(material: &Material) -> &Login {
    &material.broker.as_ref().unwrap().client
}

fn spare(material: &Material) -> &Login {
    &material.broker.as_ref().unwrap().spare
}

#[test]
fn certificates_are_accepted_by_who_trusts_the_authority() {
    let cluster = Cluster::new();
    let material = &cluster.pipeline.material;
    let trusted = &material.authority.trusted;
    assert!(accepts(trusted, &node(material).certificate, NODE, cluster.now));
    let edge = &material.edge.as_ref().unwrap().certificate;
    assert!(accepts(trusted, edge, "race.example.com", cluster.now));
    assert!(accepts(trusted, edge, "10.0.0.1", cluster.now));
    assert!(!accepts(trusted, edge, "other.example.com", cluster.now));
    let server = &material.database.as_ref().unwrap().server.certificate;
    assert!(accepts(trusted, server, "race-postgres.factory.svc.cluster.local", cluster.now));
    let other = Cluster::new();
    assert!(!accepts(
        &other.pipeline.material.authority.trusted,
        edge,
        "race.example.com",
        other.now
    ));
}

#[test]
fn who_is_only_connected_to_cannot_connect_as_a_node() {
    use x509_parser::pem::Pem;
    let cluster = Cluster::new();
    let material = &cluster.pipeline.material;
    let usage = |certificate: &str| {
        let pem = Pem::iter_from_buffer(certificate.as_bytes()).next().unwrap().unwrap();
        let certificate = pem.parse_x509().unwrap();
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        (certificate.subject().to_string(), usage.server_auth, usage.client_auth)
    };
    assert_eq!(usage(&node(material).certificate), ("CN=kafka-node".to_owned(), true, true));
    let broker = material.broker.as_ref().unwrap();
    assert_eq!(usage(&broker.admin.certificate), ("CN=kafka-admin".to_owned(), false, true));
    let server = &material.database.as_ref().unwrap().server;
    assert_eq!(usage(&server.certificate), ("CN=postgres".to_owned(), true, false));
    let edge = material.edge.as_ref().unwrap();
    assert_eq!(usage(&edge.certificate), ("CN=edge".to_owned(), true, false));
}

#[test]
fn what_is_there_and_good_stays() {
    let mut cluster = Cluster::new();
    let before = cluster.existing.secrets.clone();
    let config_maps = cluster.existing.config_maps.clone();
    for _ in 0..3 {
        cluster.later(24);
        cluster.pass().unwrap();
    }
    assert_eq!(cluster.existing.secrets, before);
    assert_eq!(cluster.existing.config_maps, config_maps);
}

#[test]
fn a_certificate_is_renewed_after_two_thirds_of_its_life() {
    let mut cluster = Cluster::new();
    let first = cluster.pipeline.material.clone();
    let due = next_renewal(&first);
    assert_eq!(due.to_string(), "2027-01-20T11:00:00Z");
    cluster.now = due - SignedDuration::from_secs(1);
    let kept = cluster.pass().unwrap();
    assert_eq!(node(&kept).certificate, node(&first).certificate);
    cluster.now = due;
    let renewed = cluster.pass().unwrap();
    assert_ne!(node(&renewed).certificate, node(&first).certificate);
    assert_eq!(node(&renewed).expires.to_string(), "2027-04-20T10:00:00Z");
    assert_eq!(renewed.authority.certificate, first.authority.certificate);
}

#[test]
fn other_names_make_another_certificate() {
    let mut cluster = Cluster::new();
    cluster.wanted.edge = Some(vec!["race.example.org".to_owned()]);
    let material = cluster.pass().unwrap();
    let edge = &material.edge.as_ref().unwrap().certificate;
    assert!(accepts(&material.authority.trusted, edge, "race.example.org", cluster.now));
}

#[test]
fn a_new_authority_is_trusted_by_all_before_it_signs() {
    let mut cluster = Cluster::new();
    cluster.roll();
    let first = cluster.pipeline.material.clone();
    cluster.ask("race-authority", "now");
    let announced = cluster.pass().unwrap();
    let successor = announced.authority.successor.clone().unwrap();
    assert_eq!(announced.authority.certificate, first.authority.certificate);
    assert_eq!(node(&announced).certificate, node(&first).certificate);
    assert_eq!(
        announced.authority.trusted,
        format!("{}{}", first.authority.certificate, successor.certificate)
    );

    // Pods that have not started anew do not trust it yet, however long it takes.
    cluster.later(100);
    let waiting = cluster.pass().unwrap();
    assert_eq!(waiting.authority.certificate, first.authority.certificate);

    cluster.roll();
    let signing = cluster.pass().unwrap();
    assert_eq!(signing.authority.certificate, successor.certificate);
    assert!(accepts(&successor.certificate, &node(&signing).certificate, NODE, cluster.now));
    // Who has not started anew since is still trusted.
    assert!(accepts(&signing.authority.trusted, &node(&first).certificate, NODE, cluster.now));

    // The nodes still show the former certificate.
    cluster.later(1);
    let both = cluster.pass().unwrap();
    assert_eq!(certificate::split(&both.authority.trusted).len(), 2);
    cluster.roll();
    let done = cluster.pass().unwrap();
    assert_eq!(done.authority.trusted, successor.certificate);
}

#[test]
fn an_authority_is_exchanged_after_two_thirds_of_its_life() {
    let mut cluster = Cluster::new();
    cluster.roll();
    let authority = cluster.pipeline.material.authority.clone();
    assert_eq!(authority.expires.to_string(), "2031-11-20T11:00:00Z");
    cluster.now = "2030-03-22T03:00:00Z".parse().unwrap();
    assert_eq!(cluster.pass().unwrap().authority.certificate, authority.certificate);
    assert!(cluster.pipeline.material.authority.successor.is_some());
}

#[test]
fn a_rotation_is_to_a_user_that_can_log_in_already() {
    let mut cluster = Cluster::new();
    cluster.roll();
    cluster.later(1);
    let first = cluster.pass().unwrap();
    assert_eq!(client(&first).username, "millrace-a");
    assert_eq!(spare(&first).username, "millrace-b");
    cluster.ask("race-kafka-client", "1");
    let rotated = cluster.pass().unwrap();
    assert_eq!(client(&rotated).username, "millrace-b");
    assert!(client(&rotated).password == spare(&first).password);
    assert!(spare(&rotated).password == client(&first).password);
    assert_eq!(users_hash(&first), users_hash(&first));

    // As long as a pod uses the former one it stays.
    cluster.later(100);
    let waiting = cluster.pass().unwrap();
    assert!(spare(&waiting).password == client(&first).password);
    cluster.roll();
    let retired = cluster.pass().unwrap();
    assert_eq!(spare(&retired).username, "millrace-a");
    assert!(spare(&retired).password != client(&first).password);
    assert!(client(&retired).password == client(&rotated).password);
    assert_ne!(users_hash(&retired), users_hash(&rotated));

    // The same value does not ask again.
    cluster.later(100);
    let steady = cluster.pass().unwrap();
    assert!(client(&steady).password == client(&rotated).password);
}

#[test]
fn a_time_that_others_keep_on_a_secret_counts_once() {
    let mut cluster = Cluster::new();
    cluster.roll();
    cluster.later(1);
    let first = cluster.pass().unwrap();
    let an_hour_ago = "2026-11-21T12:00:00Z";
    cluster.annotate("race-kafka-client-spare", "millrace.dev/ready-after", an_hour_ago);
    cluster.annotate(
        "race-kafka-client-spare",
        "millrace.dev/retire-after",
        "2026-11-21T12:30:00Z",
    );
    let retired = cluster.pass().unwrap();
    assert!(spare(&retired).password != spare(&first).password);
    for _ in 0..3 {
        cluster.later(1);
        assert!(spare(&cluster.pass().unwrap()).password == spare(&retired).password);
    }
}

#[test]
fn a_rotation_waits_until_the_spare_is_known() {
    let mut cluster = Cluster::new();
    let first = cluster.pipeline.material.clone();
    cluster.ask("race-postgres-worker", "1");
    let worker = |material: &Material| material.database.as_ref().unwrap().worker.username.clone();
    assert_eq!(worker(&cluster.pass().unwrap()), worker(&first));
    cluster.later(1);
    assert_eq!(worker(&cluster.pass().unwrap()), "worker_b");
}

#[test]
fn a_rotation_that_was_half_written_is_done_again() {
    let mut cluster = Cluster::new();
    cluster.roll();
    cluster.later(1);
    cluster.ask("race-kafka-client", "1");
    let before = cluster.existing.secrets.clone();
    let first = cluster.pipeline.material.clone();
    cluster.pass().unwrap();
    // Only the spare was written.
    let client_secret = before["race-kafka-client"].clone();
    cluster.existing.secrets.insert("race-kafka-client".to_owned(), client_secret);
    let again = cluster.pass().unwrap();
    assert!(client(&again).password == client(&first).password);
    assert_eq!(spare(&again).username, "millrace-b");
    cluster.later(1);
    assert_eq!(client(&cluster.pass().unwrap()).username, "millrace-b");
}

#[test]
fn a_deleted_user_gives_way_to_its_spare() {
    let mut cluster = Cluster::new();
    let first = cluster.pipeline.material.clone();
    cluster.existing.secrets.remove("race-kafka-client");
    let material = cluster.pass().unwrap();
    assert!(client(&material).password == spare(&first).password);
    assert_eq!(spare(&material).username, "millrace-a");
    assert!(spare(&material).password != client(&first).password);
}

#[test]
fn passwords_are_long_and_not_shown() {
    let cluster = Cluster::new();
    let material = &cluster.pipeline.material;
    assert_eq!(client(material).password.reveal().len(), 43);
    let shown = format!("{material:?}");
    assert!(!shown.contains(client(material).password.reveal()));
    assert!(!shown.contains("PRIVATE KEY"));
}

#[test]
fn an_object_of_somebody_else_is_not_taken() {
    let mut cluster = Cluster::new();
    let secret = cluster.existing.secrets.get_mut("race-kafka-client").unwrap();
    secret.metadata.labels = None;
    assert_eq!(
        cluster.pass().unwrap_err().to_string(),
        "Secret race-kafka-client exists and was not made for this pipeline; delete or rename it, or give the pipeline another name"
    );
}

#[test]
fn a_broken_authority_is_not_replaced_in_silence() {
    let mut cluster = Cluster::new();
    let secret = cluster.existing.secrets.get_mut("race-authority").unwrap();
    secret.data.as_mut().unwrap().remove("tls.key");
    assert_eq!(
        cluster.pass().unwrap_err().to_string(),
        "Secret race-authority has no usable tls.key; put it back, or delete the Secret to have a new one made"
    );
}

#[test]
fn what_kept_volumes_need_stays_without_an_owner() {
    let mut cluster = Cluster::new();
    cluster.pipeline.deletion_policy = DeletionPolicy::Keep;
    let secrets = build_secrets(&cluster.pipeline);
    let kept: Vec<&str> = secrets
        .iter()
        .filter(|secret| secret.metadata.owner_references.is_none())
        .map(|secret| secret.metadata.name.as_deref().unwrap())
        .collect();
    assert_eq!(
        kept,
        [
            "race-authority",
            "race-kafka-client-spare",
            "race-kafka-client",
            "race-postgres-worker-spare",
            "race-postgres-worker",
            "race-postgres-query-spare",
            "race-postgres-query",
            "race-postgres-analyst-spare",
            "race-postgres-analyst",
            "race-postgres-owner",
        ]
    );
    let config_maps = build_config_maps(&cluster.pipeline);
    assert!(config_maps[0].metadata.owner_references.is_some());
    assert!(config_maps[1].metadata.owner_references.is_none());
    cluster.pipeline.deletion_policy = DeletionPolicy::Delete;
    let secrets = build_secrets(&cluster.pipeline);
    assert!(secrets.iter().all(|secret| secret.metadata.owner_references.is_some()));
}

#[test]
fn a_kafka_keeps_its_ids_and_remembers_that_it_was_whole() {
    let mut cluster = Cluster::new();
    let first = cluster.pipeline.material.broker.clone().unwrap();
    assert_eq!(first.cluster_id.len(), 22);
    assert_eq!(first.directory_ids.len(), 3);
    assert!(!first.formed);
    cluster.existing.kafka_is_ready = true;
    cluster.pass().unwrap();
    cluster.existing.kafka_is_ready = false;
    let later = cluster.pass().unwrap().broker.unwrap();
    assert!(later.formed);
    assert_eq!(later.cluster_id, first.cluster_id);
    assert_eq!(later.directory_ids, first.directory_ids);
}

#[test]
fn every_secret_that_is_made_is_read_again() {
    let cluster = Cluster::new();
    let mut made: Vec<_> = cluster.existing.secrets.keys().cloned().collect();
    let mut read = secret_names(&cluster.pipeline.names);
    made.sort();
    read.sort();
    assert_eq!(made, read);
    assert_eq!(cluster.text("race-kafka-node", "keystore.pem").matches("-----BEGIN").count(), 2);
}
