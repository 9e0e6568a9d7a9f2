//! Changes of the right resource that concern routes and who may reach what, and the errors that
//! follow.

use crate::cases::Case;

pub(crate) const ACCESS_CASES: &[Case] = &[
    (
        "a_route_of_an_unknown_table",
        &[("  query:\n", "  query:\n    routes:\n      - {path: /rows, list: {table: row}}\n")],
        &["spec.query.routes[0].list.table: no sink writes a table `row`; did you mean `rows`?"],
    ),
    (
        "a_condition_on_an_unknown_column",
        &[(
            "  query:\n",
            "  query:\n    routes:\n      - {path: \"/rows/{car}\", one: {table: rows, where: [{column: cat}]}}\n",
        )],
        &[
            "spec.query.routes[0].one.where[0].column: the table `rows` has no column `cat`; did you mean `car`?",
            "spec.query.routes[0].one.where: nothing reads the parameter `car` of the path; write a condition with `parameter: car`",
        ],
    ),
    (
        "a_parameter_that_nothing_reads",
        &[(
            "  query:\n",
            "  query:\n    routes:\n      - {path: \"/rows/{id}\", one: {table: rows, where: [{column: car}]}}\n",
        )],
        &[
            "spec.query.routes[0].one.where: nothing reads the parameter `id` of the path; write a condition with `parameter: id`",
        ],
    ),
    (
        "a_parameter_of_a_list_that_is_taken",
        &[(
            "  query:\n",
            "  query:\n    routes:\n      - {path: /rows, list: {table: rows, where: [{column: car, parameter: limit}]}}\n",
        )],
        &[
            "spec.query.routes[0].list.where[0]: the parameter `limit` has a meaning of its own in a list; write another name as its `parameter`",
        ],
    ),
    (
        "a_time_that_is_no_timestamp",
        &[(
            "  query:\n",
            "  query:\n    routes:\n      - {path: /rows, list: {table: rows, time: car}}\n",
        )],
        &[
            "spec.query.routes[0].list.time: the column `car` is no timestamp; write a column of type timestamp",
        ],
    ),
    (
        "an_order_by_an_unknown_column",
        &[(
            "  query:\n",
            "  query:\n    routes:\n      - {path: /rows, list: {table: rows, order: {by: cra}}}\n",
        )],
        &[
            "spec.query.routes[0].list.order.by: the table `rows` has no column `cra`; write one of race, car",
        ],
    ),
    (
        "a_column_that_cannot_be_compared",
        &[
            (
                "  query:\n",
                "  query:\n    routes:\n      - {path: /rows, list: {table: rows, where: [{column: car}], order: {by: car}}}\n",
            ),
            ("{name: car, type: integer", "{name: car, type: json"),
            ("primaryKey: [race, car]", "primaryKey: [race]"),
        ],
        &[
            "spec.query.routes[0].list.where[0].column: the column `car` has the type json, which cannot be compared; write a column of another type",
            "spec.query.routes[0].list.order.by: the column `car` has the type json, which cannot be ordered; write a column of another type",
        ],
    ),
    (
        "a_constant_that_says_nothing",
        &[("  query:\n", "  query:\n    routes:\n      - {path: /x, constant: {}}\n")],
        &[
            "spec.query.routes[0].respond: does not say what is answered; write a body, such as `{\"status\": \"UP\"}`",
        ],
    ),
    (
        "a_constant_with_settings",
        &[(
            "  query:\n",
            "  query:\n    routes:\n      - {path: /x, constant: {a: 1}, respond: {body: \"1\"}}\n",
        )],
        &[
            "a.yaml: spec.query.routes[0].constant.a: is not a known field; there is nothing to set here; write `{}`",
        ],
    ),
    (
        "a_route_with_two_answers",
        &[(
            "  query:\n",
            "  query:\n    routes:\n      - {path: /x, constant: {}, list: {table: rows}, respond: {body: \"1\"}}\n",
        )],
        &["a.yaml: spec.query.routes[0]: write exactly one of one, list and constant"],
    ),
    (
        "a_context_of_requests_in_an_answer_to_a_query",
        &[(
            "  query:\n",
            "  query:\n    routes:\n      - {path: /x, constant: {}, respond: {body: \"%id\"}}\n",
        )],
        &[
            "spec.query.routes[0].respond.body: `%id` does not exist here; write one of `%path`, `%query`",
        ],
    ),
    (
        "a_rule_for_a_parameter",
        &[("  query:\n", "  exposure: {auth: [{path: \"/a/{b}\", open: {}}]}\n  query:\n")],
        &[
            "spec.exposure.auth[0].path: `/a/{b}` has a parameter; write the part of the path before it; the rule holds for all below",
        ],
    ),
    (
        "two_rules_for_one_path",
        &[(
            "  query:\n",
            "  exposure: {auth: [{path: /a/, open: {}}, {path: /a, open: {}}]}\n  query:\n",
        )],
        &["spec.exposure.auth[1].path: `/a` has a rule already; leave one out"],
    ),
    (
        "a_rule_for_what_is_always_open",
        &[(
            "  query:\n",
            "  exposure: {auth: [{path: /metrics, basic: {users: {file: users}}}]}\n  query:\n",
        )],
        &["spec.exposure.auth[0].path: `/metrics` is always open; leave the rule out"],
    ),
    (
        "a_rule_of_two_kinds",
        &[(
            "  query:\n",
            "  exposure: {auth: [{path: /a, open: {}, basic: {users: {file: users}}}]}\n  query:\n",
        )],
        &["a.yaml: spec.exposure.auth[0]: write exactly one of open, basic and bearer"],
    ),
    (
        "a_secret_and_a_file",
        &[(
            "  query:\n",
            "  exposure: {auth: [{path: /a, basic: {users: {file: users, secret: {name: a, key: b}}}}]}\n  query:\n",
        )],
        &[
            "a.yaml: spec.exposure.auth[0].basic.users: write exactly one of secret (name and key of a Secret) and file (a path)",
        ],
    ),
    (
        "no_keys_of_tokens",
        &[("  query:\n", "  exposure: {auth: [{path: /a, bearer: {}}]}\n  query:\n")],
        &[
            "a.yaml: spec.exposure.auth[0].bearer: write exactly one of keys (a Secret or file) and keysUrl",
        ],
    ),
    (
        "a_password_in_an_address",
        &[(
            "  query:\n",
            "  exposure: {auth: [{path: /a, bearer: {keysUrl: \"https://a:b@host/keys\"}}]}\n  query:\n",
        )],
        &[
            "spec.exposure.auth[0].bearer.keysUrl: has a user or password, which all who read the resource would see; write the address alone",
        ],
    ),
    (
        "a_certificate_of_two_kinds",
        &[(
            "  query:\n",
            "  exposure: {tls: {selfSigned: {}, files: {certificate: a, key: b}}}\n  query:\n",
        )],
        &[
            "a.yaml: spec.exposure.tls: write exactly one of secret (with tls.crt and tls.key), files, selfSigned and certManager",
        ],
    ),
    (
        "an_origin_with_a_path",
        &[("  query:\n", "  exposure: {origins: [\"https://a.example/b\"]}\n  query:\n")],
        &[
            "a.yaml: spec.exposure.origins[0]: `https://a.example/b` does not have the right form; write a scheme and a host, such as `https://example.com`",
        ],
    ),
];
