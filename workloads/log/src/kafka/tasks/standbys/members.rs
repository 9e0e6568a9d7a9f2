//! The members of a group, in the order in which the `range` assignor takes them.

use rdkafka::consumer::Consumer;

use super::super::partition_ends::unreachable;
use super::super::readers::PATIENCE;
use super::super::readers::ReadChangelogError;
use super::super::readers::Reader;

/// The states of a group whose members are known.
const SETTLED: [&str; 3] = ["Stable", "Empty", "Dead"];

/// A member of a group as the brokers know it. It sorts as the assignor sorts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Listed {
    /// What the brokers call it: its process's name and a number that is no other's.
    pub(in super::super) id: String,
    /// The name of its process.
    pub(in super::super) process: String,
}

/// The members of a group, in order; none while it is being shared out.
pub(in super::super) fn list(
    reader: &Reader,
    group: &str,
) -> Result<Option<Vec<Listed>>, ReadChangelogError> {
    let groups = reader
        .fetch_group_list(Some(group), PATIENCE)
        .map_err(|error| unreachable(group, 0, error))?;
    let Some(found) = groups.groups().iter().find(|found| found.name() == group) else {
        return Ok(Some(Vec::new()));
    };
    if !SETTLED.contains(&found.state()) {
        return Ok(None);
    }
    let members = found.members().iter();
    let mut members: Vec<_> = members
        .map(|member| Listed { id: member.id().to_owned(), process: member.client_id().to_owned() })
        .collect();
    members.sort_unstable();
    Ok(Some(members))
}

/// The place of a process's member among all of them.
pub(super) fn place_of(members: &[Listed], process: &str) -> Option<usize> {
    members.iter().position(|member| member.process == process)
}

/// The place that a process will have once it has joined, and among how many others. A member that
/// has its name is one of before, which is about to go.
pub(super) fn place_to_be(members: &[Listed], process: &str) -> (usize, usize) {
    let id = format!("{process}-");
    let others = members.iter().filter(|member| member.process != process);
    let before = others.clone().filter(|member| member.id < id).count();
    (before, others.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(processes: &[&str]) -> Vec<Listed> {
        let listed = |process: &&str| Listed {
            id: format!("{process}-9f0c"),
            process: (*process).to_owned(),
        };
        let mut members: Vec<_> = processes.iter().map(listed).collect();
        members.sort_unstable();
        members
    }

    #[test]
    fn a_process_knows_its_place_by_its_name() {
        let members = members(&["w-2", "w-0", "w-10"]);
        assert_eq!(place_of(&members, "w-0"), Some(0));
        assert_eq!(place_of(&members, "w-10"), Some(1));
        assert_eq!(place_of(&members, "w-2"), Some(2));
        assert_eq!(place_of(&members, "w-1"), None);
    }

    #[test]
    fn a_process_that_comes_or_comes_back_knows_where_it_will_stand() {
        let members = members(&["w-0", "w-2"]);
        assert_eq!(place_to_be(&members, "w-1"), (1, 2));
        assert_eq!(place_to_be(&members, "w-3"), (2, 2));
        assert_eq!(place_to_be(&members, "w-2"), (1, 1));
        assert_eq!(place_to_be(&[], "w-0"), (0, 0));
    }
}
