//! Annotations of pods that say which certificates and passwords they have started with. They start
//! pods anew when these change, and show when all have them.

use std::collections::BTreeMap;

use super::DatabaseMaterial;
use super::Login;
use super::Material;
use super::Notes;
use super::certificate;
use super::certificate::Facts;
use crate::names::Part;

/// Annotation of a pod: which authorities it trusts.
pub const TRUST: &str = "millrace.dev/trusts";

/// Annotation of a pod: as which user it speaks to a managed Kafka.
pub const CLIENT: &str = "millrace.dev/kafka-user";

/// Annotation of a pod: which certificate the nodes of a managed Kafka show.
pub const CERTIFICATE: &str = "millrace.dev/kafka-certificate";

/// Annotations of a part's pods. A part that reads nothing of it at its start alone has none.
pub(crate) fn marks(part: Part, material: &Material) -> Notes {
    let trust = (TRUST.to_owned(), trusts(&material.authority.trusted));
    let broker = material.broker.as_ref();
    let mut marks = Notes::new();
    match part {
        Part::Ingest | Part::Workers | Part::Query => {
            if let Some(broker) = broker {
                marks.insert(CLIENT.to_owned(), user(&broker.client));
            }
            if broker.is_some() || material.database.is_some() {
                marks.extend([trust]);
            }
        }
        Part::Kafka => {
            if let Some(broker) = broker {
                marks.extend([trust]);
                marks.insert(CERTIFICATE.to_owned(), shown(&broker.node.certificate));
            }
        }
        Part::Edge | Part::Provision | Part::Postgres | Part::Backup => {}
    }
    marks
}

/// Hash of all users and passwords that have to be made in a managed Kafka and Postgres: another one
/// asks for another run of the provision Job.
pub(crate) fn users_hash(material: &Material) -> String {
    let broker = material.broker.iter().flat_map(|broker| [&broker.client, &broker.spare]);
    let database = material.database.iter().flat_map(users);
    let users = broker.chain(database);
    let texts = users.flat_map(|login| [login.username.as_str(), login.password.reveal()]);
    hash(texts)
}

fn users(database: &DatabaseMaterial) -> [&Login; 7] {
    let spares = &database.spares;
    [
        &database.owner,
        &database.worker,
        &database.query,
        &database.analyst,
        &spares.worker,
        &spares.query,
        &spares.analyst,
    ]
}

/// Whether no pod trusts anything else than this bundle.
pub(super) fn all_trust(pods: &[Notes], bundle: &str) -> bool {
    all_have(pods, TRUST, &trusts(bundle))
}

/// Whether no pod speaks to a managed Kafka as another user.
pub(super) fn all_are(pods: &[Notes], login: &Login) -> bool {
    all_have(pods, CLIENT, &user(login))
}

/// Whether all nodes of a managed Kafka show this certificate, and the authority has signed it.
pub(super) fn all_show(pods: &[Notes], certificate: &str, authority: &str) -> bool {
    let signed = Facts::read(certificate)
        .zip(Facts::read(authority))
        .is_some_and(|(leaf, authority)| leaf.is_signed_by(&authority));
    signed && all_have(pods, CERTIFICATE, &shown(certificate))
}

fn all_have(pods: &[BTreeMap<String, String>], key: &str, wanted: &str) -> bool {
    pods.iter().filter_map(|pod| pod.get(key)).all(|value| value == wanted)
}

/// The order of certificates makes no difference.
fn trusts(bundle: &str) -> String {
    let mut certificates = certificate::split(bundle);
    certificates.sort_unstable();
    hash(certificates.iter().map(String::as_str))
}

fn user(login: &Login) -> String {
    hash([login.username.as_str(), login.password.reveal()])
}

fn shown(certificate: &str) -> String {
    hash([certificate])
}

fn hash<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = blake3::Hasher::new();
    for text in texts {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}
