//! Changes of the right resource that concern its sections for clusters, and the errors that
//! follow.

use crate::cases::Case;

pub(crate) const CLUSTER_CASES: &[Case] = &[
    (
        "a_host_that_is_an_address",
        &[("  query:\n", "  exposure: {hosts: [10.0.0.1]}\n  query:\n")],
        &[
            "spec.exposure.hosts[0]: `10.0.0.1` is an address; write a name, such as `race.example.com`",
        ],
    ),
    (
        "a_range_with_too_many_bits",
        &[(
            "  query:\n",
            "  exposure: {edge: {service: {type: LoadBalancer, sourceRanges: [10.0.0.0/64]}}}\n  query:\n",
        )],
        &[
            "spec.exposure.edge.service.sourceRanges[0]: `10.0.0.0/64` is no range of addresses; write an address and how many of its bits count, such as `10.0.0.0/8`",
        ],
    ),
    (
        "a_port_that_there_is_not",
        &[("  query:\n", "  broker: {external: {bootstrapServers: ['k:99999']}}\n  query:\n")],
        &[
            "spec.broker.external.bootstrapServers[0]: `k:99999` has no port of 1 to 65535; write a host and a port, such as `kafka.example.com:9093`",
        ],
    ),
    (
        "a_volume_of_ten_bytes",
        &[("  query:\n", "  broker: {managed: {storage: {size: 10}}}\n  query:\n")],
        &[
            "spec.broker.managed.storage.size: `10` is no size of a volume; write an amount such as `10Gi`",
        ],
    ),
    (
        "a_time_that_cron_does_not_know",
        &[("  query:\n", "  database: {managed: {backup: {schedule: '0 25 * * *'}}}\n  query:\n")],
        &[
            "spec.database.managed.backup.schedule: `0 25 * * *` is no time that cron knows; write minute, hour, day of the month, month and day of the week, such as `0 3 * * *`",
        ],
    ),
    (
        "a_schema_that_postgres_keeps",
        &[(
            "  query:\n",
            "  database: {external: {host: db, database: race, schema: pg_race, credentials: {name: db}}}\n  query:\n",
        )],
        &[
            "spec.database.external.schema: `pg_race` is a name that Postgres keeps for itself; write another one",
        ],
    ),
    (
        "half_a_byte_of_memory_and_more_than_the_limit",
        &[(
            "  query:\n",
            "  resources: {ingest: {requests: {memory: 500m, cpu: 2}, limits: {cpu: 1500m}}}\n  query:\n",
        )],
        &[
            "spec.resources.ingest.requests.cpu: is above the limit; write at most what limits.cpu says",
            "spec.resources.ingest.requests.memory: `500m` is too small; write an amount such as `256Mi`",
        ],
    ),
    (
        "a_label_with_a_space",
        &[("  query:\n", "  placement: {labels: {'my team': a}}\n  query:\n")],
        &[
            "spec.placement.labels: `my team` is no key of a label or annotation; write one such as `team` or `example.com/team`",
        ],
    ),
    (
        "half_a_processor_as_a_number",
        &[("  query:\n", "  resources: {query: {requests: {cpu: 0.5}}}\n  query:\n")],
        &[
            "a.yaml: spec.resources.query.requests.cpu: expected a text or a whole number, found 0.5",
        ],
    ),
    (
        "a_schema_in_a_config_map_that_is_not_given",
        &[("{inline: {type: object}}", "{configMap: {name: car-schema, key: schema.json}}")],
        &["spec.streams[0].schema.configMap: ConfigMap car-schema is not known here"],
    ),
    (
        "a_secret_header_twice",
        &[(
            "      mqtt: {topic: out}\n",
            "      webhook: {url: 'https://example.com', headers: [{name: x-a, value: '\"a\"'}], secretHeaders: [{name: X-A, value: {file: a}}]}\n",
        )],
        &["spec.sinks[0].webhook.secretHeaders[0].name: `X-A` stands twice; leave one out"],
    ),
];
