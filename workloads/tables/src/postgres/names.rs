//! Names in the database, quoted and with their schema.

use std::hash::DefaultHasher;
use std::hash::Hash as _;
use std::hash::Hasher as _;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_that_waits_has_a_name_that_fits_and_is_its_own() {
        assert_eq!(waiting_name("laps", 12), "laps@12");
        let (one, other) = ("a".repeat(62) + "x", "a".repeat(62) + "y");
        let names = [waiting_name(&one, 1), waiting_name(&other, 1), waiting_name(&one, 2)];
        assert!(names.iter().all(|name| name.len() == 63), "{names:?}");
        assert!(names[0] != names[1] && names[0] != names[2]);
    }
}
