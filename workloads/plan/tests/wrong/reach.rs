//! Changes of the right resource that concern ways in, and the errors that follow.

use crate::cases::Case;

pub(crate) const REACH_CASES: &[Case] = &[
    (
        "two_protocols",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: /cars}\n      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
        )],
        &["a.yaml: spec.ingest[0]: write exactly one of http, websocket, mqtt and kafka"],
    ),
    (
        "a_path_that_is_none",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: \"cars\"}\n",
        )],
        &[
            "a.yaml: spec.ingest[0].http.path: `cars` does not have the right form; write a path such as `/telemetry/cpu` or `/devices/{id}`",
        ],
    ),
    (
        "a_path_with_half_a_parameter",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: \"/cars/x{id}\"}\n",
        )],
        &[
            "a.yaml: spec.ingest[0].http.path: `/cars/x{id}` does not have the right form; write a path such as `/telemetry/cpu` or `/devices/{id}`",
        ],
    ),
    (
        "a_parameter_that_stands_twice",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: \"/cars/{id}/{id}\"}\n",
        )],
        &["spec.ingest[0].http.path: the parameter `id` stands twice; write another name"],
    ),
    (
        "a_path_that_every_pipeline_answers",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: \"/metrics/cars\"}\n",
        )],
        &[
            "spec.ingest[0].http.path: `/metrics` is answered by every pipeline itself; write another path",
        ],
    ),
    (
        "parameters_that_take_a_path_of_every_pipeline",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: \"/api/{version}/{what}\"}\n",
        )],
        &[
            "spec.ingest[0].http.path: takes `POST /api/v1/rebuilds` by a parameter, which every pipeline answers itself; begin the path with a name, such as `/devices`",
        ],
    ),
    (
        "a_websocket_that_takes_paths_of_every_pipeline",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      websocket: {path: \"/{device}\"}\n",
        )],
        &[
            "spec.ingest[0].websocket.path: takes `GET /livez` by a parameter, which every pipeline answers itself; begin the path with a name, such as `/devices`",
        ],
    ),
    (
        "a_parameter_that_the_path_does_not_have",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: \"/cars/{race}\"}\n      map: .race = %path.rac\n",
        )],
        &["spec.ingest[0].map: the path has no parameter `rac`; write one of `%path.race`"],
    ),
    (
        "a_header_in_capital_letters",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: \"/cars\"}\n      map: .race = %headers.Race\n",
        )],
        &["spec.ingest[0].map: header names are in lower case here; write `%headers.race`"],
    ),
    (
        "the_same_body_twice",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: /cars, accept: [json, json]}\n",
        )],
        &["spec.ingest[0].http.accept[1]: stands twice; leave one out"],
    ),
    (
        "none_beside_other_bodies",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: /cars, accept: [none, json]}\n",
        )],
        &[
            "spec.ingest[0].http.accept: `none` does not read the body, and so takes all types; write `none` alone, or leave it out",
        ],
    ),
    (
        "no_body_at_all",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: /cars, accept: []}\n",
        )],
        &["a.yaml: spec.ingest[0].http.accept: is empty; write at least 1"],
    ),
    (
        "a_header_that_stands_twice",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: /cars, headers: [{name: Race}, {name: race}]}\n",
        )],
        &["spec.ingest[0].http.headers[1].name: `race` stands twice; leave one out"],
    ),
    (
        "a_header_that_the_server_reads",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: /cars, headers: [{name: Traceparent}, {name: Content-Type}, {name: Authorization}]}\n",
        )],
        &[
            "spec.ingest[0].http.headers[0].name: `Traceparent` is read by the server itself; it is always taken and carried; leave it out",
            "spec.ingest[0].http.headers[1].name: `Content-Type` is read by the server itself; say what is taken by `accept`",
            "spec.ingest[0].http.headers[2].name: `Authorization` is read by the server itself; say who may come in by `exposure.auth`; `%user` is who it was",
        ],
    ),
    (
        "an_answer_that_has_no_body",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: /cars, respond: {status: 204, body: .}}\n",
        )],
        &[
            "spec.ingest[0].http.respond.body: an answer of status 204 has no body; write another status, or leave the body out",
        ],
    ),
    (
        "a_type_of_no_body",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: /cars, respond: {contentType: text/plain}}\n",
        )],
        &[
            "spec.ingest[0].http.respond.contentType: an answer without a body has no type; write `body` as well, or leave it out",
        ],
    ),
    (
        "a_header_of_an_answer_that_is_no_text",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: /cars, respond: {headers: [{name: x, value: .a}]}}\n",
        )],
        &[
            "spec.ingest[0].http.respond.headers[0].value: the last expression is not always a text; end the program with a text, such as `\"max-age=60\"`",
        ],
    ),
    (
        "a_header_of_an_answer_that_the_server_writes",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: /cars, respond: {headers: [{name: Content-Length, value: \"\\\"1\\\"\"}, {name: Content-Type, value: \"\\\"a\\\"\"}]}}\n",
        )],
        &[
            "spec.ingest[0].http.respond.headers[0].name: `Content-Length` is written by the server itself; leave it out",
            "spec.ingest[0].http.respond.headers[1].name: the type has a field of its own; write `contentType`",
        ],
    ),
    (
        "an_answer_that_asks_for_the_time",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: /cars, respond: {body: now()}}\n",
        )],
        &[
            "spec.ingest[0].http.respond.body: the program does not compile:\nerror[E610]: function compilation error: error[E105] `now` gives another result each time and is allowed only in the `map` of an ingest; use `%eventTime`, `%ingestTime` or `%id` here\n  ┌─ :1:1\n  │\n1 │ now()\n  │ ^^^^^ not allowed here\n  │",
        ],
    ),
    (
        "a_status_of_an_invalid_event_that_is_no_refusal",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: /cars, onInvalid: {status: 200}}\n",
        )],
        &["a.yaml: spec.ingest[0].http.onInvalid.status: 200 is too small; write 400 or more"],
    ),
    (
        "an_identity_that_is_declared_already",
        &[
            (
                "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
                "      http: {path: /cars, identity: content}\n",
            ),
            ("key: [.race]", "key: [.race]\n      eventId: .id"),
        ],
        &[
            "spec.ingest[0].http.identity: `.id` identifies the events of `cars` already; leave `identity` out, or `eventId` of the stream",
        ],
    ),
    (
        "no_time_for_a_request",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      http: {path: /cars, limits: {timeout: 0s}}\n",
        )],
        &["spec.ingest[0].http.limits.timeout: `0s` is no time at all; write `1ms` or more"],
    ),
    (
        "two_ways_in_at_one_address",
        &[
            (
                "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
                "      http: {path: /cars}\n",
            ),
            (
                "  processors:\n",
                "    - {name: more, http: {path: /cars}, to: cars}\n  processors:\n",
            ),
        ],
        &[
            "spec.ingest[1].http.path: POST /cars is taken by spec.ingest[0].http.path already; write another path or method",
        ],
    ),
    (
        "parameters_alone_do_not_make_addresses_different",
        &[
            (
                "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
                "      http: {path: \"/cars/{race}\"}\n",
            ),
            (
                "  processors:\n",
                "    - {name: more, http: {path: \"/cars/{id}\"}, to: cars}\n  processors:\n",
            ),
        ],
        &[
            "spec.ingest[1].http.path: POST /cars/{id} is taken by spec.ingest[0].http.path already; write another path or method",
        ],
    ),
    (
        "a_parameter_takes_an_empty_segment_too",
        &[
            (
                "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
                "      http: {path: \"/cars/{race}\"}\n",
            ),
            (
                "  processors:\n",
                "    - {name: more, http: {path: /cars/}, to: cars}\n  processors:\n",
            ),
        ],
        &[
            "spec.ingest[1].http.path: POST /cars/ is taken by spec.ingest[0].http.path already; write another path or method",
        ],
    ),
    (
        "a_route_and_a_websocket_at_one_address",
        &[
            (
                "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
                "      websocket: {path: /live}\n",
            ),
            (
                "  query:\n",
                "  query:\n    routes:\n      - {path: /live, constant: {}, respond: {body: \"1\"}}\n",
            ),
        ],
        &[
            "spec.query.routes[0].path: GET /live is taken by spec.ingest[0].websocket.path already; write another path or method",
        ],
    ),
    (
        "mqtt_and_kafka",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      kafka: {topic: cars}\n      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
        )],
        &["a.yaml: spec.ingest[0]: write exactly one of http, websocket, mqtt and kafka"],
    ),
    (
        "a_topic_of_kafka_with_a_slash",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      kafka: {topic: plant/meters}\n      map: .race = %topic\n",
        )],
        &[
            "a.yaml: spec.ingest[0].kafka.topic: `plant/meters` does not have the right form; write the topic's whole name: letters, digits, `.`, `_` and `-`",
        ],
    ),
    (
        "a_topic_that_is_a_point",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      kafka: {topic: .}\n      map: .race = %topic\n",
        )],
        &[
            "spec.ingest[0].kafka.topic: `.` is no topic: Kafka has none of this name; write the topic's name",
        ],
    ),
    (
        "a_start_that_is_none",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      kafka: {topic: cars, from: beginning}\n      map: .race = %topic\n",
        )],
        &[
            "a.yaml: spec.ingest[0].kafka.from: `beginning` is not a choice; write one of earliest, latest",
        ],
    ),
    (
        "a_user_of_a_topic",
        &[(
            "      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "      kafka: {topic: cars}\n      map: .race = %user\n",
        )],
        &[
            "spec.ingest[0].map: `%user` does not exist here; write one of `%headers`, `%ingestTime`, `%key`, `%topic`",
        ],
    ),
    (
        "a_long_name_of_a_way_in_from_kafka",
        &[(
            "    - name: in\n      mqtt: {listen: {topics: [cars/+]}}\n      map: .race = %topic\n",
            "    - name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n      kafka: {topic: cars}\n",
        )],
        &["spec.ingest[0].name: is too long for a way in from Kafka; write at most 56 characters"],
    ),
];
