//! Partitions of tables that cannot be.

use crate::cases::Case;

const KEY: &str = "        primaryKey: [race, car]\n        columns:\n";

pub(crate) const PARTITION_CASES: &[Case] = &[
    (
        "partitions_by_a_column_outside_of_the_key",
        &[(
            KEY,
            "        partitions: {by: at}\n        primaryKey: [race, car]\n        columns:\n          - {name: at, type: timestamp}\n",
        )],
        &[
            "a.yaml: spec.sinks[1].table: partitions.by must be one of primaryKey, since each partition has a key of its own; write it there, too",
        ],
    ),
    (
        "partitions_by_no_column",
        &[(
            KEY,
            "        partitions: {by: as}\n        primaryKey: [race, car, as]\n        columns:\n          - {name: at, type: timestamp}\n",
        )],
        &[
            "spec.sinks[1].table.primaryKey[2]: the table has no column `as`; write one of at, race, car",
            "spec.sinks[1].table.partitions.by: the table has no column `as`; write one of at",
        ],
    ),
    (
        "partitions_by_a_number",
        &[(
            KEY,
            "        partitions: {by: car}\n        primaryKey: [race, car]\n        columns:\n",
        )],
        &[
            "spec.sinks[1].table.partitions.by: the column `car` is not of type timestamp; write a column of type timestamp, such as one with `source: eventTime`",
        ],
    ),
    (
        "partitions_that_are_too_short",
        &[(
            KEY,
            "        partitions: {by: at, every: 10m}\n        primaryKey: [race, car, at]\n        columns:\n          - {name: at, type: timestamp}\n",
        )],
        &[
            "spec.sinks[1].table.partitions.every: `10m` is no time of a partition; write 1h to 366d in whole minutes, such as `1d`",
        ],
    ),
    (
        "partitions_of_half_a_minute_more",
        &[(
            KEY,
            "        partitions: {by: at, every: 2h30s}\n        primaryKey: [race, car, at]\n        columns:\n          - {name: at, type: timestamp}\n",
        )],
        &[
            "spec.sinks[1].table.partitions.every: `2h30s` is no time of a partition; write 1h to 366d in whole minutes, such as `1d`",
        ],
    ),
    (
        "a_retention_shorter_than_a_partition",
        &[(
            KEY,
            "        partitions: {by: at, every: 7d, retention: 6d}\n        primaryKey: [race, car, at]\n        columns:\n          - {name: at, type: timestamp}\n",
        )],
        &[
            "spec.sinks[1].table.partitions.retention: `6d` is shorter than a partition of `7d`; write `7d` or more, or a shorter `every`",
        ],
    ),
    (
        "a_retention_of_too_many_partitions",
        &[(
            KEY,
            "        partitions: {by: at, every: 1h, retention: 90d}\n        primaryKey: [race, car, at]\n        columns:\n          - {name: at, type: timestamp}\n",
        )],
        &[
            "spec.sinks[1].table.partitions.retention: `90d` takes more than 500 partitions of `1h`; write a longer `every`, or a shorter retention",
        ],
    ),
];
