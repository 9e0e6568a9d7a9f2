//! Who may commit: whose claim still stands, and whose changelog nobody else has written to.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use millrace_core::Partition;
use millrace_core::with_causes;
use rdkafka::consumer::ConsumerGroupMetadata;

use super::super::super::client::ConfigureKafkaError;
use super::super::membership::Standing;
use super::super::request::Owner;
use super::super::request::Request;
use super::Committer;
use super::Party;
use super::reply;
use super::unavailable;
use crate::CommitTaskError;

/// What becomes of a request.
pub(super) enum Admission {
    Commit,
    Wait,
    Refuse(CommitTaskError),
}

impl Committer {
    /// Whether a request can be committed now; whose group takes part is noted.
    pub(super) fn admit(
        &self,
        request: &Request,
        parties: &mut BTreeMap<String, Party>,
    ) -> Admission {
        let owner = &request.owner;
        let claim = match owner {
            Owner::Task(claim) => match self.surroundings.claims.get(claim) {
                Some(known) => Some(known),
                None => return Admission::Refuse(owner.fenced()),
            },
            Owner::Group { .. } => None,
        };
        let member = self.surroundings.groups.member(owner.stage());
        if let Some(member) = &member {
            let epoch = match &claim {
                Some(claim) => claim.partition_epoch,
                None => member.epoch(owner.partition()),
            };
            match member.standing(owner.partition(), epoch) {
                Standing::Ours => {}
                Standing::Held => return Admission::Wait,
                Standing::Gone => return Admission::Refuse(owner.fenced()),
            }
        }
        if parties.contains_key(owner.stage()) {
            return Admission::Commit;
        }
        let party = match member {
            Some(member) => {
                let Some(pass) = member.begin_commit() else { return Admission::Wait };
                let metadata = Arc::clone(&pass.metadata);
                Party { member: Some((member, pass)), metadata }
            }
            None => match self.outsider(owner.stage()) {
                Ok(metadata) => Party { member: None, metadata },
                Err(error) => {
                    return Admission::Refuse(unavailable(with_causes(&error)));
                }
            },
        };
        parties.insert(owner.stage().to_owned(), party);
        Admission::Commit
    }

    /// What shows the brokers a group to a process that has not joined it.
    fn outsider(&self, stage: &str) -> Result<Arc<ConsumerGroupMetadata>, ConfigureKafkaError> {
        self.surroundings.readers.outsider(&self.surroundings.names.group(stage))
    }

    /// Refuses tasks whose changelog someone else has written to. Between two rebalances a
    /// partition may have been in other hands without this member having been told; so once after
    /// each it is looked whether the partition still ends where this task left it.
    pub(super) fn refuse_overwritten(
        &self,
        requests: &mut Vec<Request>,
        parties: &BTreeMap<String, Party>,
    ) {
        let mut doubtful = Vec::new();
        for (index, request) in requests.iter().enumerate() {
            let Owner::Task(claim) = &request.owner else { continue };
            let party = parties.get(request.owner.stage());
            let Some((_, pass)) = party.and_then(|party| party.member.as_ref()) else { continue };
            let Some(known) = self.surroundings.claims.get(claim) else { continue };
            if let (Some(changelog), true) = (known.changelog, known.rebalances != pass.rebalances)
            {
                doubtful.push((index, changelog.topic, known.end, pass.rebalances));
            }
        }
        if doubtful.is_empty() {
            return;
        }
        let asked: Vec<(&str, Partition)> = doubtful
            .iter()
            .map(|(index, topic, ..)| (&**topic, requests[*index].owner.partition()))
            .collect();
        let ends = self.surroundings.readers.ends(&asked);
        let mut refused = HashMap::new();
        match ends {
            Ok(ends) => {
                for ((index, _, expected, rebalances), end) in doubtful.iter().zip(ends) {
                    let owner = &requests[*index].owner;
                    let Owner::Task(claim) = owner else { continue };
                    if expected.is_some_and(|expected| end <= expected) {
                        self.surroundings
                            .claims
                            .update(claim, |claim| claim.rebalances = *rebalances);
                    } else {
                        refused.insert(*index, owner.fenced());
                    }
                }
            }
            Err(error) => {
                for (index, ..) in &doubtful {
                    refused.insert(*index, unavailable(with_causes(&error)));
                }
            }
        }
        let all = std::mem::take(requests);
        for (index, request) in all.into_iter().enumerate() {
            match refused.remove(&index) {
                Some(error) => reply(request, Err(error)),
                None => requests.push(request),
            }
        }
    }
}
