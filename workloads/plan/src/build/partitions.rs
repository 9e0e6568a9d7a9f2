//! Partitions of tables by time.

use std::time::Duration;

use millrace_api as api;

use super::checks::Checks;
use super::checks::hint_for;
use crate::model::TablePartitions;

/// The shortest and the longest time of a partition.
const SHORTEST: Duration = Duration::from_hours(1);
const LONGEST: Duration = Duration::from_hours(366 * 24);
const MINUTE: u128 = 60_000;

/// How a table is divided. That the column is one of the primary key is a rule of the resource.
pub(super) fn partitions(
    at: &str,
    spec: &api::PartitionsSpec,
    table: &api::TableSpec,
    checks: &mut Checks,
) -> TablePartitions {
    check_column(&format!("{at}.by"), spec, table, checks);
    let every_at = format!("{at}.every");
    let every = checks.positive_duration(&every_at, &spec.every);
    let is_every =
        (SHORTEST..=LONGEST).contains(&every) && every.as_millis().is_multiple_of(MINUTE);
    if !is_every && !every.is_zero() {
        checks.error_with_hint(
            every_at,
            format!("`{}` is no time of a partition", spec.every),
            "write 1h to 366d in whole minutes, such as `1d`",
        );
    }
    let retention = spec.retention.as_ref().map(|text| {
        let at = format!("{at}.retention");
        let retention = checks.positive_duration(&at, text);
        if is_every && !retention.is_zero() {
            check_retention(&at, text, retention, (&spec.every, every), checks);
        }
        retention
    });
    TablePartitions { by: spec.by.to_string(), every, retention }
}

fn check_column(at: &str, spec: &api::PartitionsSpec, table: &api::TableSpec, checks: &mut Checks) {
    let by = &spec.by;
    match table.columns.iter().find(|column| column.name == *by) {
        None => {
            let times = table.columns.iter();
            let times = times.filter(|column| column.kind == api::ColumnTypeSpec::Timestamp);
            let names = times.map(|column| column.name.as_str());
            checks.error_with_hint(
                at,
                format!("the table has no column `{by}`"),
                hint_for(by, names),
            );
        }
        Some(column) if column.kind != api::ColumnTypeSpec::Timestamp => checks.error_with_hint(
            at,
            format!("the column `{by}` is not of type timestamp"),
            "write a column of type timestamp, such as one with `source: eventTime`",
        ),
        Some(_) => {}
    }
}

fn check_retention(
    at: &str,
    text: &str,
    retention: Duration,
    (every_text, every): (&str, Duration),
    checks: &mut Checks,
) {
    if retention < every {
        checks.error_with_hint(
            at,
            format!("`{text}` is shorter than a partition of `{every_text}`"),
            format!("write `{every_text}` or more, or a shorter `every`"),
        );
    } else if retention > every * TablePartitions::MOST {
        checks.error_with_hint(
            at,
            format!(
                "`{text}` takes more than {} partitions of `{every_text}`",
                TablePartitions::MOST
            ),
            "write a longer `every`, or a shorter retention",
        );
    }
}
