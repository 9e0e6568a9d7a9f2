//! The table: changes of the right resource, and the errors that follow.

/// A name, replacements in the base, and the errors.
pub(crate) type Case =
    (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

pub(crate) const CASES: &[Case] = &[
    (
        "a_misspelt_field",
        &[("disorder: 50ms", "disoder: 50ms")],
        &["a.yaml: spec.streams[0].disoder: is not a known field; did you mean `disorder`?"],
    ),
    (
        "an_unknown_field_without_a_near_name",
        &[("disorder: 50ms", "zzz: 1")],
        &[
            "a.yaml: spec.streams[0].zzz: is not a known field; known here: deduplicate, disorder, eventId, eventTime, generation, heartbeat, idle, key, maxAhead, maxBehind, name, onLate, partitions, retention, schema",
        ],
    ),
    (
        "a_misspelt_section",
        &[("  sinks:", "  sink:")],
        &["a.yaml: spec.sink: is not a known field; did you mean `sinks`?"],
    ),
    (
        "an_unknown_field_of_metadata",
        &[("{name: base}", "{name: base, label: {}}")],
        &["a.yaml: metadata.label: is not a known field; did you mean `labels`?"],
    ),
    (
        "a_name_that_is_no_label",
        &[("{name: base}", "{name: Base}")],
        &[
            "a.yaml: metadata.name: `Base` is not a name; write the pipeline's name: 1 to 63 lower-case letters, digits and `-`, such as `race`",
        ],
    ),
    (
        "no_name",
        &[("{name: base}", "{}")],
        &[
            "a.yaml: metadata.name: is missing; write the pipeline's name: 1 to 63 lower-case letters, digits and `-`, such as `race`",
        ],
    ),
    (
        "a_text_where_a_list_belongs",
        &[("key: [.race]", "key: .race")],
        &["a.yaml: spec.streams[0].key: expected a list, found `.race`"],
    ),
    (
        "a_number_where_a_text_belongs",
        &[("disorder: 50ms", "disorder: 50")],
        &["a.yaml: spec.streams[0].disorder: expected a text, found 50"],
    ),
    (
        "a_text_where_a_boolean_belongs",
        &[("heartbeat: true", r#"heartbeat: "yes""#)],
        &["a.yaml: spec.streams[0].heartbeat: expected true or false, found `yes`"],
    ),
    (
        "a_duration_without_unit",
        &[("disorder: 50ms", r#"disorder: "50""#)],
        &[
            "a.yaml: spec.streams[0].disorder: `50` does not have the right form; write a number and a unit (ms, s, m, h, d), such as `500ms` or `1m30s`",
        ],
    ),
    (
        "an_unknown_choice",
        &[("format: unixMillis", "format: unixMilis")],
        &[
            "a.yaml: spec.streams[0].eventTime.format: `unixMilis` is not a choice; did you mean `unixMillis`?",
        ],
    ),
    (
        "a_choice_far_from_all",
        &[("keep: latest", "keep: sometimes")],
        &[
            "a.yaml: spec.sinks[1].table.keep: `sometimes` is not a choice; write one of all, first, latest",
        ],
    ),
    (
        "too_many_partitions",
        &[("key: [.race]", "key: [.race]\n      partitions: 2000")],
        &["a.yaml: spec.streams[0].partitions: 2000 is too large; write 1024 or less"],
    ),
    (
        "no_partitions",
        &[("key: [.race]", "key: [.race]\n      partitions: 0")],
        &["a.yaml: spec.streams[0].partitions: 0 is too small; write 1 or more"],
    ),
    (
        "an_empty_key",
        &[("key: [.race]", "key: []")],
        &["a.yaml: spec.streams[0].key: is empty; write at least 1"],
    ),
    (
        "a_path_without_dot",
        &[("key: [.race]", "key: [race]")],
        &[
            "a.yaml: spec.streams[0].key[0]: `race` does not have the right form; write a path with a dot before each field, such as `.location.lat` or `.wheels[0]`",
        ],
    ),
    (
        "no_key",
        &[("      key: [.race]\n", "")],
        &[
            "a.yaml: spec.streams[0].key: is missing; write it: fields that make the ordering key, in this order; 1 to 8",
        ],
    ),
    (
        "a_heartbeat_without_idle",
        &[("      idle: 500ms\n", "")],
        &[
            "a.yaml: spec.streams[0]: heartbeat releases what idle partitions hold back; write idle as well, such as idle: 500ms",
        ],
    ),
    (
        "max_behind_without_event_time",
        &[("eventTime: {path: .t, format: unixMillis}", "maxBehind: 1h")],
        &[
            "a.yaml: spec.streams[0]: maxBehind compares the event time with the arrival; write eventTime, or leave maxBehind out",
        ],
    ),
    (
        "two_operations",
        &[(
            "rank: {group: .race",
            r#"filter: "true"
      rank: {group: .race"#,
        )],
        &[
            "a.yaml: spec.processors[1]: write exactly one of map, filter, window, motion, rank, laps, geofence, dedupe, enrich and alert",
        ],
    ),
    (
        "no_operation",
        &[(
            r#"      map: .text = "x"
"#,
            "",
        )],
        &[
            "a.yaml: spec.processors[3]: write exactly one of map, filter, window, motion, rank, laps, geofence, dedupe, enrich and alert",
        ],
    ),
    (
        "both_topics",
        &[("mqtt: {topic: out}", r#"mqtt: {topic: out, topicProgram: "%key"}"#)],
        &[
            "a.yaml: spec.sinks[0].mqtt: write exactly one of topic (always the same) and topicProgram (a program that gives it)",
        ],
    ),
    (
        "listen_and_connect",
        &[(
            "{listen: {topics: [cars/+]}}",
            r#"{listen: {topics: [a]}, connect: {broker: {url: "mqtt://b"}, topics: [a]}}"#,
        )],
        &[
            "a.yaml: spec.ingest[0].mqtt: write exactly one of listen (clients connect to us) and connect (we connect to a broker)",
        ],
    ),
    (
        "a_broker_of_another_protocol",
        &[(
            "{listen: {topics: [cars/+]}}",
            r#"{connect: {broker: {url: "http://b"}, topics: [a]}}"#,
        )],
        &[
            "a.yaml: spec.ingest[0].mqtt.connect.broker.url: `http://b` does not have the right form; write `mqtt://host:1883`, or `mqtts://host:8883` for TLS",
        ],
    ),
    (
        "trust_without_tls",
        &[(
            "{listen: {topics: [cars/+]}}",
            r#"{connect: {broker: {url: "mqtt://b", certificateAuthority: {file: /ca}}, topics: [a]}}"#,
        )],
        &[
            "a.yaml: spec.ingest[0].mqtt.connect.broker: certificateAuthority is used with TLS alone; write the url as mqtts://host:8883",
        ],
    ),
    (
        "latest_without_primary_key",
        &[("        primaryKey: [race, car]\n", "")],
        &[
            "a.yaml: spec.sinks[1].table: keep: first and keep: latest choose among rows of one primary key; write primaryKey",
        ],
    ),
    (
        "a_gate_and_a_length",
        &[(
            "length: 5km",
            "length: 5km, gate: {from: {latitude: 1, longitude: 1}, to: {latitude: 1, longitude: 2}, latitude: .a, longitude: .b}",
        )],
        &[
            "a.yaml: spec.processors[2].laps: write exactly one of length (a lap by distance) and gate (a lap by crossing a line)",
        ],
    ),
    (
        "a_latitude_beyond_the_pole",
        &[(
            "length: 5km",
            "gate: {from: {latitude: 91, longitude: 1}, to: {latitude: 1, longitude: 2}, latitude: .a, longitude: .b}",
        )],
        &["a.yaml: spec.processors[2].laps.gate.from.latitude: 91 is too large; write 90 or less"],
    ),
    (
        "a_length_without_unit",
        &[("length: 5km", r#"length: "5""#)],
        &[
            "a.yaml: spec.processors[2].laps.length: `5` does not have the right form; write a number and a unit (m, km, mi), such as `5119.77m`",
        ],
    ),
    (
        "no_columns",
        &[(
            "columns:\n          - {name: race, type: text, path: .group}\n          - {name: car, type: integer, path: .entity}",
            "columns: []",
        )],
        &["a.yaml: spec.sinks[1].table.columns: is empty; write at least 1"],
    ),
    (
        "a_column_with_two_sources",
        &[("path: .group}", "path: .group, source: key}")],
        &["a.yaml: spec.sinks[1].table.columns[0]: write at most one of path, source and header"],
    ),
    (
        "two_columns_of_one_name",
        &[("{name: car, type: integer", "{name: race, type: integer")],
        &[
            "a.yaml: spec.sinks[1].table.columns[1].name: `race` stands already at spec.sinks[1].table.columns[0]; write another name",
        ],
    ),
    (
        "two_streams_of_one_name",
        &[("    - name: cars\n", "    - {name: cars, key: [.a]}\n    - name: cars\n")],
        &[
            "a.yaml: spec.streams[1].name: `cars` stands already at spec.streams[0]; write another name",
        ],
    ),
    (
        "the_same_input_twice",
        &[("from: [order, laps]", "from: [order, order]")],
        &[
            "a.yaml: spec.processors[3].from[1]: `order` stands already at spec.processors[3].from[0]; leave one out",
        ],
    ),
    (
        "a_topic_with_a_wildcard",
        &[("mqtt: {topic: out}", "mqtt: {topic: out/+}")],
        &[
            "a.yaml: spec.sinks[0].mqtt.topic: `out/+` does not have the right form; write a topic without `+` and `#`; several topics need a topicProgram",
        ],
    ),
    (
        "an_empty_dashboard",
        &[("      feed: {from: texts, text: .text}\n", "      {}\n")],
        &[
            "a.yaml: spec.query.dashboard: write at least one of map, board, feed and charts, or leave dashboard out",
        ],
    ),
    (
        "a_processor_named_like_a_stream",
        &[("name: motion\n", "name: cars\n")],
        &[
            "spec.processors[0].name: a stream is named `cars` already; write another name; streams and processors share one space of names",
            "spec.processors[1].from[0]: no stream or processor is named `motion`; write one of cars, laps, order, texts",
            "spec.processors[2].from[0]: no stream or processor is named `motion`; write one of cars, laps, order, texts",
        ],
    ),
    (
        "a_stream_named_dead_letters",
        &[("name: texts\n", "name: dead-letters\n")],
        &[
            "spec.processors[3].name: `dead-letters` is the stream of what could not be processed; write another name",
            "spec.sinks[0].from[0]: no stream or processor is named `texts`; write one of cars, dead-letters, laps, motion, order",
            "spec.query.dashboard.feed.from: no stream or processor is named `texts`; write one of cars, dead-letters, laps, motion, order",
        ],
    ),
    (
        "an_unknown_input",
        &[("from: [order, laps]", "from: [ordr, laps]")],
        &[
            "spec.processors[3].from[0]: no stream or processor is named `ordr`; did you mean `order`?",
        ],
    ),
    (
        "an_unknown_stream_of_an_ingest",
        &[("to: cars", "to: car")],
        &["spec.ingest[0].to: no stream is named `car`; did you mean `cars`?"],
    ),
    (
        "an_ingest_into_a_processor",
        &[("to: cars", "to: motion")],
        &["spec.ingest[0].to: `motion` is a processor and takes no events; write one of cars"],
    ),
    (
        "an_unknown_input_of_a_sink",
        &[("from: [texts]", "from: [text]")],
        &["spec.sinks[0].from[0]: no stream or processor is named `text`; did you mean `texts`?"],
    ),
    (
        "an_unknown_input_of_a_view",
        &[("feed: {from: texts", "feed: {from: nothing")],
        &[
            "spec.query.dashboard.feed.from: no stream or processor is named `nothing`; write one of cars, laps, motion, order, texts",
        ],
    ),
    (
        "a_processor_that_reads_itself",
        &[("      from: [motion]\n      rank", "      from: [order]\n      rank")],
        &[
            "spec.processors[1].from: reads its own output: `order` reads `order`; take one of them out of the other's `from`",
        ],
    ),
    (
        "a_cycle_of_three",
        &[("      from: [cars]", "      from: [texts]")],
        &[
            "spec.processors[0].from: reads its own output: `motion` reads `texts` reads `order` reads `motion`; take one of them out of the other's `from`",
        ],
    ),
    (
        "a_program_that_may_fail",
        &[(r#"map: .text = "x""#, "map: .text = to_int(.x)")],
        &[
            "spec.processors[3].map: the program does not compile:\nerror[E103]: unhandled fallible assignment\n  ┌─ :1:9\n  │\n1 │ .text = to_int(.x)\n  │ ------- ^^^^^^^^^^ this expression is fallible because at least one argument's type cannot be verified to be valid\n  │ │\n  │ or change this to an infallible assignment:\n  │ .text, err = to_int(.x)\n  │\n  = see documentation about error handling at https://errors.vrl.dev/#handling\n  = see functions characteristics documentation at https://vrl.dev/expressions/#function-call-characteristics\n  = learn more about error code 103 at https://errors.vrl.dev/103",
        ],
    ),
    (
        "a_program_that_asks_for_the_time",
        &[(r#"map: .text = "x""#, "map: .text = now()")],
        &[
            "spec.processors[3].map: the program does not compile:\nerror[E610]: function compilation error: error[E105] `now` gives another result each time and is allowed only in the `map` of an ingest; use `%eventTime`, `%ingestTime` or `%id` here\n  ┌─ :1:9\n  │\n1 │ .text = now()\n  │         ^^^^^ not allowed here\n  │",
        ],
    ),
    (
        "a_context_that_is_only_at_ingest",
        &[(r#"map: .text = "x""#, "map: .text = %topic")],
        &[
            "spec.processors[3].map: `%topic` does not exist here; write one of `%eventTime`, `%id`, `%ingestTime`, `%key`, `%stream`",
        ],
    ),
    (
        "a_context_that_is_only_in_the_pipeline",
        &[("map: .race = %topic", "map: .race = %key")],
        &[
            "spec.ingest[0].map: `%key` does not exist here; write one of `%clientId`, `%ingestTime`, `%topic`, `%user`",
        ],
    ),
    (
        "a_filter_that_is_no_condition",
        &[(r#"map: .text = "x""#, "filter: .text")],
        &[
            r#"spec.processors[3].filter: the last expression is not always true or false; end the program with a comparison, such as `.kind == "lap"`"#,
        ],
    ),
    (
        "a_topic_that_is_no_text",
        &[("mqtt: {topic: out}", "mqtt: {topicProgram: .a}")],
        &[
            r#"spec.sinks[0].mqtt.topicProgram: the last expression is not always a text; end the program with a text, such as `"events/" + %key`"#,
        ],
    ),
    (
        "a_schema_that_is_none",
        &[("{inline: {type: object}}", "{inline: {properties: {a: {type: strin}}}}")],
        &[
            r#"spec.streams[0].schema.inline.properties.a.type: "strin" is not valid under any of the schemas listed in the 'anyOf' keyword"#,
        ],
    ),
    (
        "a_schema_of_another_document",
        &[("{inline: {type: object}}", r#"{inline: {$ref: "http://a/b"}}"#)],
        &[
            "spec.streams[0].schema.inline: `http://a/b` refers to another document; put the definition under `$defs` and write `#/$defs/<name>`",
        ],
    ),
    (
        "a_topic_filter_with_a_wildcard_inside",
        &[("topics: [cars/+]", "topics: [cars+]")],
        &[
            "spec.ingest[0].mqtt.listen.topics[0]: `cars+` has `+` within a level; write `+` as a whole level, such as `cars/+`",
        ],
    ),
    (
        "a_topic_filter_that_is_taken",
        &[(
            "      to: cars\n",
            "      to: cars\n    - {name: more, mqtt: {listen: {topics: [cars/+]}}, to: cars}\n",
        )],
        &[
            "spec.ingest[1].mqtt.listen.topics[0]: `cars/+` goes to `in` already, which comes first; write a topic filter of its own",
        ],
    ),
    (
        "a_primary_key_that_is_no_column",
        &[("primaryKey: [race, car]", "primaryKey: [race, cart]")],
        &["spec.sinks[1].table.primaryKey[1]: the table has no column `cart`; did you mean `car`?"],
    ),
    (
        "a_primary_key_that_may_be_null",
        &[("path: .entity}", "path: .entity, nullable: true}")],
        &[
            "spec.sinks[1].table.primaryKey[1]: the column `car` may be null; leave `nullable` out of the column",
        ],
    ),
    (
        "a_column_with_a_reserved_word",
        &[(
            "primaryKey: [race, car]\n        columns:",
            "primaryKey: [race, car]\n        columns:\n          - {name: order, type: text}",
        )],
        &[
            "spec.sinks[1].table.columns[0].name: `order` is a reserved word of SQL; write another name, such as `my_order`, and its `path`",
        ],
    ),
    (
        "two_tables_of_one_name",
        &[(
            "    - name: rows\n",
            "    - {name: other, from: [laps], table: {name: rows, columns: [{name: a, type: text}]}}\n    - name: rows\n",
        )],
        &[
            "spec.sinks[2].table.name: the sink `other` writes the table `rows` already; write another name, or one sink with both in `from`",
        ],
    ),
    (
        "a_table_named_like_the_databases_own",
        &[("        keep: latest\n", "        name: sqlite_rows\n        keep: latest\n")],
        &[
            "spec.sinks[1].table.name: `sqlite_rows` begins with `sqlite_`, which is kept for the database; write another name, such as `my_sqlite_rows`",
        ],
    ),
    (
        "an_idle_of_nothing",
        &[("idle: 500ms", "idle: 0s")],
        &["spec.streams[0].idle: `0s` is no time at all; write `1ms` or more"],
    ),
    (
        "a_primary_key_without_the_key_of_several_partitions",
        &[
            ("key: [.race]", "key: [.race]\n      partitions: 4"),
            ("primaryKey: [race, car]", "primaryKey: [car]"),
        ],
        &[
            "spec.sinks[1].table.primaryKey: does not contain the key of `order`, which has 4 partitions; add a column of `.group`, or one with `source: key`",
        ],
    ),
    (
        "inputs_of_different_keys",
        &[
            ("  ingest:", "    - {name: boats, key: [.sea]}\n  ingest:"),
            ("from: [cars]", "from: [cars, boats]"),
        ],
        &[
            "spec.processors[0].from: `cars` has the key [.race] and 1 partition, but `boats` has the key [.sea] and 1 partition; give both the same key and number of partitions, by `key` of a processor before this one",
        ],
    ),
    (
        "a_time_as_text",
        &[
            ("path: .entity}", "source: eventTime}"),
            ("{name: car, type: integer", "{name: car, type: text"),
        ],
        &[
            "spec.sinks[1].table.columns[1].type: a time cannot be a column of this type; write timestamp or integer",
        ],
    ),
    (
        "a_gate_that_is_a_point",
        &[(
            "length: 5km",
            "gate: {from: {latitude: 1, longitude: 1}, to: {latitude: 1, longitude: 1}, latitude: .a, longitude: .b}",
        )],
        &[
            "spec.processors[2].laps.gate.to: is the same point as `from`; write the other end of the line",
        ],
    ),
];
