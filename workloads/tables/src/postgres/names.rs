//! Names in the database, quoted and with their schema.

use std::hash::DefaultHasher;
use std::hash::Hash as _;
use std::hash::Hasher as _;

use jiff::Timestamp;
use ring::digest;

use crate::sql::quote;

/// Longest name in Postgres, in bytes; longer ones are cut off by it.
const LONGEST: usize = 63;

/// A schema, and the names of what the store keeps in it for itself.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// The schema, as it is.
    pub(super) schema: String,
    /// The version of what the store keeps.
    pub(super) format: String,
    /// How far sinks have come.
    pub(super) positions: String,
    /// Which generation of a table is served.
    pub(super) served: String,
    /// What tables look like.
    pub(super) tables: String,
    /// What their columns look like.
    pub(super) columns: String,
    /// Numbers of changes of what tables look like.
    pub(super) revisions: String,
}

impl Names {
    pub(super) fn new(schema: &str) -> Self {
        let name = |name: &str| format!("{}.{}", quote(schema), quote(name));
        Self {
            schema: schema.to_owned(),
            format: name("_millrace_format"),
            positions: name("_millrace_positions"),
            served: name("_millrace_served"),
            tables: name("_millrace_tables"),
            columns: name("_millrace_columns"),
            revisions: name("_millrace_revisions"),
        }
    }

    /// A table of this name in the schema.
    pub(super) fn of(&self, name: &str) -> String {
        format!("{}.{}", quote(&self.schema), quote(name))
    }
}

/// The name in the database of a generation that is not served; the served one has the table's own
/// name. Declared names have no `@`, so generations cannot collide.
pub(super) fn waiting_name(table: &str, generation: i32) -> String {
    let name = format!("{table}@{generation}");
    if name.len() <= LONGEST {
        return name;
    }
    let mut hasher = DefaultHasher::new();
    table.hash(&mut hasher);
    let end = format!("~{:08x}@{generation}", hasher.finish() & 0xffff_ffff);
    let mut cut = LONGEST - end.len();
    while !table.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{end}", &table[..cut])
}

/// The name of a partition: of a table's generation, from a time on, in UTC. It stays when the
/// generation comes to be served.
pub(super) fn partition_name(table: &str, generation: i32, start: i64) -> String {
    let start = Timestamp::from_microsecond(start).unwrap_or_default();
    let is_midnight = start.as_second().rem_euclid(86_400) == 0;
    let form = if is_midnight { "%Y%m%d" } else { "%Y%m%dt%H%M" };
    with_end(table, &format!("@{generation}_{}", start.strftime(form)))
}

/// The name of the partition for rows of all other times.
pub(super) fn rest_name(table: &str, generation: i32) -> String {
    with_end(table, &format!("@{generation}_rest"))
}

/// A table's name with an end, short enough for a number behind it. What is cut off is told by a
/// hash, the same in every program.
fn with_end(table: &str, end: &str) -> String {
    const NUMBER: usize = 4;
    if table.len() + end.len() + NUMBER <= LONGEST {
        return format!("{table}{end}");
    }
    let hash = digest::digest(&digest::SHA256, table.as_bytes());
    let first = hash.as_ref().iter().take(8);
    let hash = first.fold(0_u64, |hash, byte| (hash << 8) | u64::from(*byte));
    let end = format!("~{hash:016x}{end}");
    let cut = table.floor_char_boundary(LONGEST - NUMBER - end.len());
    format!("{}{end}", &table[..cut])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_called_by_the_generation_and_the_beginning_of_its_time() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_microsecond();
        let day = partition_name("laps", 0, at("2026-11-21T00:00:00Z"));
        assert_eq!(day, "laps@0_20261121");
        let hour = partition_name("laps", 12, at("2026-11-21T07:30:00Z"));
        assert_eq!(hour, "laps@12_20261121t0730");
        assert_eq!(rest_name("laps", 1), "laps@1_rest");
    }

    #[test]
    fn a_long_name_of_a_partition_fits_and_is_its_own() {
        let (one, other) = ("a".repeat(62) + "x", "a".repeat(62) + "y");
        let start = 1_763_712_000_000_000;
        let name = partition_name(&one, 1_000_000, start + 60_000_000);
        assert_eq!(name, "aaaaaaaaaaaaaaaaaaaa~c7590d22e515a39a@1000000_20251121t0801");
        assert!(name.len() <= 59);
        assert_ne!(partition_name(&one, 0, start), partition_name(&other, 0, start));
    }

    #[test]
    fn a_generation_that_waits_has_a_name_that_fits_and_is_its_own() {
        assert_eq!(waiting_name("laps", 12), "laps@12");
        let (one, other) = ("a".repeat(62) + "x", "a".repeat(62) + "y");
        let names = [waiting_name(&one, 1), waiting_name(&other, 1), waiting_name(&one, 2)];
        assert!(names.iter().all(|name| name.len() == 63), "{names:?}");
        assert!(names[0] != names[1] && names[0] != names[2]);
    }
}
