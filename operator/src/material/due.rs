//! When something is to be done next without anything else happening.

use jiff::Timestamp;

use super::Leaf;
use super::Material;
use super::certificate::Facts;
use super::stored::RETIRE;

/// When [`complete`](super::complete) is to be called next at the latest. It may be over already
/// where pods have not started anew yet: ask again in a minute then.
#[must_use]
pub fn next_renewal(material: &Material) -> Timestamp {
    let broker = material.broker.iter().flat_map(|broker| [&broker.node, &broker.admin]);
    let server = material.database.iter().map(|database| &database.server);
    let leaves = broker.chain(server).chain(&material.edge).map(due);
    let authority = &material.authority;
    let signer = match authority.successor {
        Some(_) => None,
        None => Facts::read(&authority.certificate).map(|facts| facts.due()),
    };
    let retired = material.notes.values().filter_map(|notes| notes.get(RETIRE)?.parse().ok());
    leaves.chain(signer).chain(retired).min().unwrap_or(authority.expires)
}

fn due(leaf: &Leaf) -> Timestamp {
    Facts::read(&leaf.certificate).map_or(leaf.expires, |facts| facts.due())
}
