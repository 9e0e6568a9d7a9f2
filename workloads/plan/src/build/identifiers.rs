//! SQL identifiers that databases keep for themselves.

/// Reserved words of SQL in Postgres or SQLite, and names of Postgres' own columns, sorted.
const RESERVED: [&str; 97] = [
    "add",
    "all",
    "alter",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "both",
    "case",
    "cast",
    "check",
    "cmax",
    "cmin",
    "collate",
    "column",
    "commit",
    "constraint",
    "create",
    "cross",
    "ctid",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "delete",
    "desc",
    "distinct",
    "do",
    "drop",
    "else",
    "end",
    "escape",
    "except",
    "exists",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "full",
    "grant",
    "group",
    "having",
    "in",
    "index",
    "initially",
    "inner",
    "insert",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "leading",
    "left",
    "like",
    "limit",
    "localtime",
    "natural",
    "not",
    "notnull",
    "null",
    "offset",
    "on",
    "or",
    "order",
    "outer",
    "primary",
    "references",
    "returning",
    "right",
    "select",
    "set",
    "some",
    "table",
    "tableoid",
    "then",
    "to",
    "transaction",
    "true",
    "union",
    "unique",
    "update",
    "user",
    "values",
    "where",
    "xmax",
    "xmin",
];

/// Beginnings of names that databases and the product keep for themselves.
const PREFIXES: [&str; 3] = ["millrace_", "pg_", "sqlite_"];

/// Why an identifier cannot be used, as the end of a sentence about it.
pub(super) fn refused(name: &str) -> Option<String> {
    if RESERVED.contains(&name) {
        return Some("is a reserved word of SQL".to_owned());
    }
    PREFIXES
        .iter()
        .find(|prefix| name.starts_with(**prefix))
        .map(|prefix| format!("begins with `{prefix}`, which is kept for the database"))
}

/// A name in the form of an identifier: `carStatus` is `car_status`.
pub(super) fn from_name(name: &str) -> String {
    let mut identifier = String::new();
    let mut lower_before = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && lower_before {
            identifier.push('_');
        }
        identifier.push(if c == '-' { '_' } else { c.to_ascii_lowercase() });
        lower_before = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    // Names are checked elsewhere: one of other letters than these must not end within one.
    identifier.truncate(identifier.floor_char_boundary(63));
    identifier
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_an_identifier() {
        assert_eq!(from_name("carStatus"), "car_status");
        assert_eq!(from_name("laps"), "laps");
        assert_eq!(from_name("all-trips2Go"), "all_trips2_go");
    }

    #[test]
    fn what_databases_keep_for_themselves_is_refused() {
        assert_eq!(refused("order").unwrap(), "is a reserved word of SQL");
        assert!(refused("pg_x").is_some());
        assert_eq!(refused("position"), None);
        assert!(RESERVED.is_sorted());
    }

    #[test]
    fn a_long_name_of_any_letters_ends_with_a_whole_one() {
        let name = format!("{}ä", "a".repeat(62));
        assert_eq!(from_name(&name), "a".repeat(62));
        assert_eq!(from_name(&"b".repeat(70)), "b".repeat(63));
    }
}
