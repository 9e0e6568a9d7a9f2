//! Changes of the right resource that concern windows, the other processors with state, and sinks
//! that lead outward, and the errors that follow.

use crate::cases::Case;

pub(crate) const COMPUTING_CASES: &[Case] = &[
    (
        "two_kinds_of_windows",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], window: {tumbling: 1s, session: {gap: 1s}, compute: [{name: n, count: {}}]}}\n  sinks:\n",
        )],
        &["a.yaml: spec.processors[4].window: write exactly one of tumbling, hopping and session"],
    ),
    (
        "sessions_over_all_keys",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], window: {session: {gap: 1s}, by: [.a], combine: all, compute: [{name: n, count: {}}]}}\n  sinks:\n",
        )],
        &[
            "a.yaml: spec.processors[4].window: combine needs windows that are the same for all keys; write tumbling or hopping",
        ],
    ),
    (
        "groups_of_nothing",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], window: {tumbling: 1s, combine: all, compute: [{name: n, count: {}}]}}\n  sinks:\n",
        )],
        &[
            "a.yaml: spec.processors[4].window: combine lists the groups of by; write by, such as [.clientVersion]",
        ],
    ),
    (
        "a_list_of_groups_named_as_a_field_of_the_report",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], window: {tumbling: 1s, by: [.a], combine: start, compute: [{name: n, count: {}}]}}\n  sinks:\n",
        )],
        &[
            "spec.processors[4].window.combine: the result has a field `start` already; write another name",
        ],
    ),
    (
        "an_aggregate_of_two_kinds",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], window: {tumbling: 1s, compute: [{name: n, count: {}, sum: {of: .a}}]}}\n  sinks:\n",
        )],
        &[
            "a.yaml: spec.processors[4].window.compute[0]: write exactly one of count, sum, min, max, mean, quantile and histogram",
        ],
    ),
    (
        "an_aggregate_with_settings_that_it_has_not",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], window: {tumbling: 1s, compute: [{name: n, count: {of: .a}}]}}\n  sinks:\n",
        )],
        &[
            "a.yaml: spec.processors[4].window.compute[0].count.of: is not a known field; there is nothing to set here; write `{}`",
        ],
    ),
    (
        "two_aggregates_of_one_name",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], window: {tumbling: 1s, compute: [{name: n, count: {}}, {name: n, sum: {of: .a}}]}}\n  sinks:\n",
        )],
        &[
            "a.yaml: spec.processors[4].window.compute[1].name: `n` stands already at spec.processors[4].window.compute[0]; write another name",
        ],
    ),
    (
        "an_aggregate_named_like_a_field_of_the_result",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], window: {tumbling: 1s, by: [.version.a], compute: [{name: start, count: {}}, {name: version, count: {}}]}}\n  sinks:\n",
        )],
        &[
            "spec.processors[4].window.compute[0].name: the result has a field `start` already; write another name",
            "spec.processors[4].window.compute[1].name: the result has a field `version` already; write another name",
        ],
    ),
    (
        "a_group_named_like_a_field_of_the_result",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], window: {tumbling: 1s, by: [.timestamp, .a.b, .c.b, .a, \".\"], compute: [{name: n, count: {}}]}}\n  sinks:\n",
        )],
        &[
            "spec.processors[4].window.by[0]: the result has a field `timestamp` already; give it another name by a `map` before the window",
            "spec.processors[4].window.by[3]: `.a` and `.a.b` lie within each other; leave one out",
            "spec.processors[4].window.by[4]: `.` names no field; write a field",
        ],
    ),
    (
        "an_aggregate_named_like_the_key",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], window: {tumbling: 1s, compute: [{name: race, count: {}}]}}\n  sinks:\n",
        )],
        &[
            "spec.processors[4].window.by: the result has a field `race` already, which is also one of the key; write the fields of the groups, or give what is computed another name",
        ],
    ),
    (
        "a_window_that_is_no_multiple",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], window: {hopping: {size: 10s, every: 3s}, compute: [{name: n, count: {}}]}}\n  sinks:\n",
        )],
        &[
            "spec.processors[4].window.hopping.size: 10000 ms is not a multiple of every (3000 ms); write a multiple, such as size: 1m and every: 1s",
        ],
    ),
    (
        "too_many_hops",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], window: {hopping: {size: 1d, every: 1ms}, compute: [{name: n, count: {}}]}}\n  sinks:\n",
        )],
        &[
            "spec.processors[4].window.hopping.size: 86400000 ms is more than 10000 times every (1 ms); write a shorter size, or a longer every",
        ],
    ),
    (
        "an_offset_of_a_whole_window",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], window: {tumbling: 1s, offset: 1s, compute: [{name: n, count: {}}]}}\n  sinks:\n",
        )],
        &[
            "spec.processors[4].window.offset: 1000 ms shifts windows that begin every 1000 ms by more than one; write less than that",
        ],
    ),
    (
        "a_session_that_is_shifted_and_shorter_than_its_gap",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], window: {session: {gap: 2h, longest: 1h}, offset: 1s, compute: [{name: n, count: {}}]}}\n  sinks:\n",
        )],
        &[
            "spec.processors[4].window.session.longest: `1h` is shorter than the gap of `2h`; write a longer one",
            "spec.processors[4].window.offset: sessions begin with their first event and cannot be shifted; leave it out",
        ],
    ),
    (
        "a_quantile_beyond_one",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], window: {tumbling: 1s, compute: [{name: n, quantile: {of: .a, q: 95}}]}}\n  sinks:\n",
        )],
        &[
            "a.yaml: spec.processors[4].window.compute[0].quantile.q: 95 is too large; write 1 or less",
        ],
    ),
    (
        "bounds_that_do_not_ascend",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], window: {tumbling: 1s, compute: [{name: n, histogram: {of: .a, bounds: [0, 10, 10]}}]}}\n  sinks:\n",
        )],
        &[
            "spec.processors[4].window.compute[0].histogram.bounds: is not ascending; write each bound once, the lowest first",
        ],
    ),
    (
        "one_bound_alone",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], window: {tumbling: 1s, compute: [{name: n, histogram: {of: .a, bounds: [0]}}]}}\n  sinks:\n",
        )],
        &[
            "a.yaml: spec.processors[4].window.compute[0].histogram.bounds: has 1 items; write at least 2",
        ],
    ),
    (
        "two_fences_of_one_name",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], geofence: {entity: .a, latitude: .b, longitude: .c, fences: [{name: x, circle: {center: {latitude: 1, longitude: 1}, radius: 5m}}, {name: x, circle: {center: {latitude: 1, longitude: 1}, radius: 5m}}]}}\n  sinks:\n",
        )],
        &[
            "spec.processors[4].geofence.fences[1].name: another fence is named `x` already; write another name",
        ],
    ),
    (
        "a_fence_of_two_kinds",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], geofence: {entity: .a, latitude: .b, longitude: .c, fences: [{name: x}]}}\n  sinks:\n",
        )],
        &["a.yaml: spec.processors[4].geofence.fences[0]: write exactly one of circle and polygon"],
    ),
    (
        "a_radius_of_nothing",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], geofence: {entity: .a, latitude: .b, longitude: .c, emit: [enter, enter], fences: [{name: x, circle: {center: {latitude: 1, longitude: 1}, radius: 0.5m}}]}}\n  sinks:\n",
        )],
        &[
            "spec.processors[4].geofence.fences[0].circle.radius: `0.5m` is no radius; write `1m` or more",
            "spec.processors[4].geofence.emit[1]: stands twice; leave one out",
        ],
    ),
    (
        "a_polygon_without_area",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], geofence: {entity: .a, latitude: .b, longitude: .c, fences: [{name: x, polygon: [{latitude: 1, longitude: 1}, {latitude: 2, longitude: 1}, {latitude: 1, longitude: 1}]}]}}\n  sinks:\n",
        )],
        &[
            "spec.processors[4].geofence.fences[0].polygon: has fewer than three different points and no area; write its corners, each once",
        ],
    ),
    (
        "a_memory_of_nothing",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], dedupe: {by: .a, within: 0s}}\n  sinks:\n",
        )],
        &["spec.processors[4].dedupe.within: `0s` is no time at all; write `1ms` or more"],
    ),
    (
        "values_of_itself",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], enrich: {with: cars, as: x}}\n  sinks:\n",
        )],
        &["spec.processors[4].enrich.with: `cars` is enriched with itself; take it out of `from`"],
    ),
    (
        "values_of_an_unknown_stream",
        &[(
            "  sinks:\n",
            "    - {name: more, from: [cars], enrich: {with: boats, as: x}}\n  sinks:\n",
        )],
        &[
            "spec.processors[4].enrich.with: no stream or processor is named `boats`; write one of cars, laps, more, motion, order, texts",
        ],
    ),
    (
        "values_of_another_number_of_partitions",
        &[
            (
                "  sinks:\n",
                "    - {name: more, from: [cars], enrich: {with: boats, on: [.boat], as: x}}\n  sinks:\n",
            ),
            ("  ingest:", "    - {name: boats, key: [.id], partitions: 4}\n  ingest:"),
        ],
        &[
            "spec.processors[4].enrich.with: `boats` has the key [.id] and 4 partitions, but what is enriched has the key [.boat] and 1 partition; give both the same number of partitions, and write the fields of the key in `on`",
        ],
    ),
    (
        "values_of_a_longer_key",
        &[
            (
                "  sinks:\n",
                "    - {name: more, from: [cars], enrich: {with: boats, on: [.boat], as: x}}\n  sinks:\n",
            ),
            ("  ingest:", "    - {name: boats, key: [.id, .sea]}\n  ingest:"),
        ],
        &[
            "spec.processors[4].enrich.with: `boats` has the key [.id, .sea] and 1 partition, but what is enriched has the key [.boat] and 1 partition; give both the same number of partitions, and write the fields of the key in `on`",
        ],
    ),
    (
        "a_condition_of_an_alert_that_is_none",
        &[("  sinks:\n", "    - {name: more, from: [cars], alert: {when: .a}}\n  sinks:\n")],
        &[
            "spec.processors[4].alert.when: the last expression is not always true or false; end the program with a comparison, such as `.kind == \"lap\"`",
        ],
    ),
    (
        "an_unknown_input_of_a_chart",
        &[("      feed:", "      charts: [{title: a, from: texs, value: .a}]\n      feed:")],
        &[
            "spec.query.dashboard.charts[0].from: no stream or processor is named `texs`; did you mean `texts`?",
        ],
    ),
    (
        "two_sinks_of_one_kind",
        &[(
            "    - name: out\n",
            "    - {name: new, from: [cars], mqtt: {topic: a}, webhook: {url: \"http://a\"}}\n    - name: out\n",
        )],
        &["a.yaml: spec.sinks[0]: write exactly one of table, mqtt, webhook and archive"],
    ),
    (
        "a_webhook_that_is_no_address",
        &[(
            "    - name: out\n",
            "    - {name: new, from: [cars], webhook: {url: a}}\n    - name: out\n",
        )],
        &[
            "a.yaml: spec.sinks[0].webhook.url: `a` does not have the right form; write `https://host/path`",
        ],
    ),
    (
        "a_password_in_a_webhook",
        &[(
            "    - name: out\n",
            "    - {name: new, from: [cars], webhook: {url: \"http://a:b@c/d\"}}\n    - name: out\n",
        )],
        &[
            "spec.sinks[0].webhook.url: has a user or password, which all who read the resource would see; write the address alone",
        ],
    ),
    (
        "a_header_of_a_webhook_that_the_sink_writes",
        &[(
            "    - name: out\n",
            "    - {name: new, from: [cars], webhook: {url: \"http://a\", headers: [{name: webhook-id, value: \"\\\"a\\\"\"}, {name: a, value: \"\\\"a\\\"\"}, {name: A, value: \"\\\"a\\\"\"}]}}\n    - name: out\n",
        )],
        &[
            "spec.sinks[0].webhook.headers[0].name: `webhook-id` is written by the sink itself; leave it out",
            "spec.sinks[0].webhook.headers[2].name: `A` stands twice; leave one out",
        ],
    ),
    (
        "a_folder_that_is_no_store",
        &[(
            "    - name: out\n",
            "    - {name: new, from: [cars], archive: {url: files, region: a, endpoint: \"http://a\", credentials: {name: a}}}\n    - name: out\n",
        )],
        &[
            "spec.sinks[0].archive.endpoint: `files` is a folder, not an object store; leave it out, or write an address such as `s3://bucket/prefix`",
            "spec.sinks[0].archive.region: `files` is a folder, not an object store; leave it out, or write an address such as `s3://bucket/prefix`",
            "spec.sinks[0].archive.credentials: `files` is a folder, not an object store; leave it out, or write an address such as `s3://bucket/prefix`",
        ],
    ),
    (
        "a_folder_that_leads_out",
        &[(
            "    - name: out\n",
            "    - {name: new, from: [cars], archive: {url: ../files}}\n    - name: out\n",
        )],
        &[
            "spec.sinks[0].archive.url: `../files` leads out of the folder by `..`; write the folder itself",
        ],
    ),
    (
        "two_archives_at_one_place",
        &[
            (
                "    - name: out\n",
                "    - {name: new, from: [cars], archive: {url: files/}}\n    - name: out\n",
            ),
            (
                "    - name: out\n",
                "    - {name: again, from: [cars], archive: {url: files}}\n    - name: out\n",
            ),
        ],
        &[
            "spec.sinks[1].archive.url: the sink `new` writes to `files` already; write another place, or one sink with both in `from`",
        ],
    ),
    (
        "a_column_of_a_header_that_nothing_carries",
        &[
            (
                "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
                "      http: {path: /cars, headers: [{name: Trip, carry: true}]}\n",
            ),
            (
                "{name: race, type: text, path: .group}",
                "{name: race, type: text, path: .group}\n          - {name: trip, type: text, header: trip}",
            ),
        ],
        &[
            "spec.sinks[1].table.columns[1].header: no way in carries a header `trip`; did you mean `Trip`?",
        ],
    ),
];
