//! Rules of programs, each seen from outside.

use std::sync::Arc;

use millrace_core::EventId;
use serde_json::json;

use super::*;

fn value(json: &serde_json::Value) -> Value {
    serde_json::from_value(json.clone()).unwrap()
}

fn event(json: &serde_json::Value) -> Event {
    Event {
        stream: Arc::from("coordinates"),
        key: "spa".into(),
        time: 1_541_693_114_862,
        ingest_time: 1_541_693_114_900,
        id: EventId::from([7; 16]),
        headers: Arc::default(),
        value: value(json),
    }
}

fn error(source: &str, place: Place) -> String {
    Program::compile(source, place).unwrap_err().to_string()
}

#[test]
fn a_map_gives_the_event_that_it_leaves() {
    let program =
        Program::compile(".speed = round(float(.speed) ?? 0.0)", Place::Pipeline).unwrap();
    let Evaluation::Done { event, result } = program.transform(&event(&json!({"speed": 1.6})))
    else {
        panic!("the program neither aborts nor fails");
    };
    assert_eq!(serde_json::to_string(&event).unwrap(), r#"{"speed":2.0}"#);
    assert_eq!(serde_json::to_string(&result).unwrap(), "2.0");
}

#[test]
fn the_context_is_what_is_known_beside_the_event() {
    let source =
        ". = {\"s\": %stream, \"k\": %key, \"t\": %eventTime, \"i\": %ingestTime, \"id\": %id}";
    let program = Program::compile(source, Place::Pipeline).unwrap();
    let event = event(&json!({}));
    let expected = r#"{"i":1541693114900,"id":"07070707-0707-0707-0707-070707070707","k":"spa","s":"coordinates","t":1541693114862}"#;
    for evaluation in
        [program.transform(&event), program.evaluate(event.value.clone(), context_of(&event))]
    {
        let Evaluation::Done { event, .. } = evaluation else { panic!("it cannot fail") };
        assert_eq!(serde_json::to_string(&event).unwrap(), expected);
    }
}

#[test]
fn a_message_is_mapped_with_its_topic() {
    let source = r#".race = split(%topic, "/")[1] || "race""#;
    let program = Program::compile(source, Place::Ingest).unwrap();
    let race = |topic: &str| {
        let context = context_of_message(topic, Some("car-2"), None, 0);
        match program.evaluate(value(&json!({"carIndex": 2})), context) {
            Evaluation::Done { event, .. } => serde_json::to_string(&event).unwrap(),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(race("carCoordinates"), r#"{"carIndex":2,"race":"race"}"#);
    assert_eq!(race("carCoordinates/spa"), r#"{"carIndex":2,"race":"spa"}"#);
}

#[test]
fn doubles_of_17_digits_survive() {
    let text = r#"{"lat":51.349937311969725,"long":-0.544958142167281}"#;
    let program = Program::compile(".", Place::Pipeline).unwrap();
    let parsed: Value = serde_json::from_str(text).unwrap();
    let Evaluation::Done { event, .. } = program.evaluate(parsed, Value::Object([].into())) else {
        panic!("it cannot fail");
    };
    assert_eq!(serde_json::to_string(&event).unwrap(), text);
}

#[test]
fn abort_and_failure_are_told_apart() {
    let program =
        Program::compile("if .drop == true { abort }\n.n = to_int!(.n)", Place::Pipeline).unwrap();
    assert_eq!(program.transform(&event(&json!({"drop": true}))), Evaluation::Aborted);
    assert_eq!(
        program.transform(&event(&json!({"n": "x"}))),
        Evaluation::Failed(
            "Invalid integer \"x\": invalid digit found in string (in `to_int`)".into()
        )
    );
    assert_eq!(program.value_of(&event(&json!({"drop": true}))), Err(Stopped::Aborted));
}

#[test]
fn a_failure_that_is_not_handled_does_not_compile_and_says_where() {
    assert_eq!(
        error(".n = to_int(.n)", Place::Pipeline),
        "\
error[E103]: unhandled fallible assignment
  ┌─ :1:6
  │
1 │ .n = to_int(.n)
  │ ---- ^^^^^^^^^^ this expression is fallible because at least one argument's type cannot be verified to be valid
  │ │
  │ or change this to an infallible assignment:
  │ .n, err = to_int(.n)
  │
  = see documentation about error handling at https://errors.vrl.dev/#handling
  = see functions characteristics documentation at https://vrl.dev/expressions/#function-call-characteristics
  = learn more about error code 103 at https://errors.vrl.dev/103"
    );
}

#[test]
fn clocks_and_random_numbers_are_for_ingest_alone() {
    for source in [
        "now()",
        "uuid_v4()",
        "uuid_v7()",
        "random_int(1, 2) ?? 0",
        "random_float(1.0, 2.0) ?? 0.0",
        "random_bool()",
        "random_bytes(3) ?? \"\"",
        "parse_syslog!(string!(.a))",
        "parse_klog!(string!(.a))",
        "parse_linux_authorization!(string!(.a))",
        "parse_groks!(string!(.a), [\"%{date(\\\"HH:mm\\\"):d}\"])",
    ] {
        let message = error(source, Place::Pipeline);
        assert!(
            message.contains("is allowed only in the `map` of an ingest; use `%eventTime`"),
            "{source}: {message}"
        );
        let at_ingest = Program::compile(source, Place::Ingest);
        assert!(
            !matches!(&at_ingest, Err(error) if error.to_string().contains("allowed only")),
            "{source}: {at_ingest:?}"
        );
    }
}

#[test]
fn a_record_of_a_topic_gives_the_same_whenever_it_is_read() {
    for source in ["now()", "uuid_v4()", "random_bool()", "parse_syslog!(string!(.a))"] {
        let message = error(source, Place::Kafka);
        let expected = "gives another result each time, and a record of a topic must give the \
                        same whenever it is read; use `%ingestTime` here";
        assert!(message.contains(expected), "{source}: {message}");
    }
}

#[test]
fn a_program_sees_topic_key_headers_and_timestamp_of_a_record() {
    let source = "
        .topic = %topic
        .key = %key
        .at = %ingestTime
        .unit = %headers.Unit
        .\"content-type\" = %headers.\"content-type\"
        .none = %headers.none
    ";
    let program = Program::compile(source, Place::Kafka).unwrap();
    let mut headers = millrace_core::Headers::default();
    headers.push("Unit", "mg");
    headers.push("Unit", "kg");
    headers.push("content-type", "application/json");
    headers.push("raw", vec![0xff]);
    let context = |key: &[u8]| context_of_topic("plant.v1", key, &headers, 1_700_000_000_000);
    let seen = serde_json::to_value(context(b"m1")).unwrap();
    assert_eq!(seen["headers"], json!({"Unit": "kg", "content-type": "application/json"}));
    let done = |key| match program.evaluate(Value::Object([].into()), context(key)) {
        Evaluation::Done { event, .. } => serde_json::to_value(&event).unwrap(),
        other => panic!("{other:?}"),
    };
    let mut expected = json!({
        "topic": "plant.v1",
        "key": "m1",
        "at": 1_700_000_000_000_i64,
        "unit": "kg",
        "content-type": "application/json",
        "none": null,
    });
    assert_eq!(done(b"m1"), expected);
    expected["key"] = serde_json::Value::Null;
    assert_eq!(done(b""), expected);
    assert_eq!(done(b"\xff"), expected);
}

#[test]
fn the_world_outside_is_never_asked() {
    for place in [Place::Ingest, Place::Kafka, Place::Pipeline] {
        assert!(error("log(\"x\")", place).contains("acts on or asks the world outside"));
        for source in ["get_env_var!(\"HOME\")", "get_hostname!()", "dns_lookup!(\"a\")"] {
            assert!(error(source, place).contains("undefined function"), "{source}");
        }
    }
}

#[test]
fn what_could_grow_without_bound_is_refused() {
    for place in [Place::Ingest, Place::Kafka, Place::Pipeline] {
        for function in ["gzip", "lz4", "snappy", "zlib", "zstd"] {
            let message = error(&format!(".a = decode_{function}!(.a)"), place);
            let expected = format!(
                "`decode_{function}` can make any amount of data out of a small message; have the data sent uncompressed"
            );
            assert!(message.contains(&expected), "{message}");
        }
    }
}

#[test]
fn the_time_zone_is_never_the_machines() {
    let message = error("format_timestamp!(.t, \"%F\", timezone: \"local\")", Place::Pipeline);
    assert!(message.contains("must be a literal such as \"Europe/London\""), "{message}");
    assert!(
        error("parse_timestamp!(.t, \"%F\", timezone: string!(.z))", Place::Pipeline)
            .contains("must be a literal")
    );
    let source = "to_string(parse_timestamp!(.t, \"%Y-%m-%d %H:%M\"))";
    let program = Program::compile(source, Place::Pipeline).unwrap();
    let result = program.value_of(&event(&json!({"t": "2026-07-01 12:00"})));
    assert_eq!(result, Ok(Value::from("2026-07-01T12:00:00Z")));
}

#[test]
fn a_context_that_does_not_exist_is_refused_with_those_that_do() {
    assert_eq!(
        error(".a = %topic", Place::Pipeline),
        "`%topic` does not exist here; write one of `%eventTime`, `%id`, `%ingestTime`, `%key`, `%stream`"
    );
    assert_eq!(
        error(".a = %topc", Place::Ingest),
        "`%topc` does not exist here; write one of `%clientId`, `%ingestTime`, `%topic`, `%user`"
    );
    assert!(error("%key = \"x\"", Place::Pipeline).contains("read-only"));
}

#[test]
fn parameters_and_headers_that_no_request_has_are_refused() {
    let refused = |source: &str, parameters: &[&str]| {
        let path = parameters.iter().map(|name| (*name).to_owned()).collect();
        let shape = RequestShape { path, headers: vec!["accept".to_owned()] };
        Program::compile_for(source, Place::Http, &shape).unwrap_err().to_string()
    };
    assert_eq!(
        refused(".a = %path.x", &["id", "at"]),
        "the path has no parameter `x`; write one of `%path.id`, `%path.at`"
    );
    assert_eq!(
        refused(".a = %path.x", &[]),
        "the path has no parameter `x`; write it into the path as `{x}`"
    );
    assert_eq!(
        refused(".a = %headers.Accept", &[]),
        "header names are in lower case here; write `%headers.accept`"
    );
    assert_eq!(
        refused(".a = %headers.\"User-Agent\"", &[]),
        "header names are in lower case here; write `%headers.\"user-agent\"`"
    );
}

#[test]
fn an_assertion_that_fails_says_its_own_words() {
    let source = "assert!(.a == 1, \"`\" + to_string!(.a) + \"` is not one: write 1\")";
    let program = Program::compile(source, Place::Pipeline).unwrap();
    assert_eq!(
        program.value_of(&event(&json!({"a": "b"}))),
        Err(Stopped::Failed("`b` is not one: write 1".into()))
    );
}

#[test]
fn what_a_program_returns_is_known_before_it_runs() {
    let compile = |source| Program::compile(source, Place::Pipeline).unwrap();
    assert!(compile(".a == 1").returns_boolean());
    assert!(!compile(".a").returns_boolean());
    assert!(compile("\"events/\" + %key").returns_text());
    assert!(!compile(".a = 1").returns_text());
}

#[test]
fn a_run_has_an_end() {
    let source =
        "n = 0\nfor_each(array!(.a)) -> |_, x| { for_each(array!(.a)) -> |_, y| { n = n + 1 } }\nn";
    let program = Program::compile(source, Place::Pipeline).unwrap();
    assert_eq!(
        program.value_of(&event(&json!({"a": vec![0; 1500]}))),
        Err(Stopped::Failed("stopped after 1000000 steps".into()))
    );
}

#[test]
fn a_program_that_could_exhaust_the_stack_is_refused() {
    let nested = |open: &str, inner: &str, close: &str, n| {
        format!("{}{inner}{}", open.repeat(n), close.repeat(n))
    };
    assert_eq!(
        error(&nested("(", "1", ")", 17), Place::Pipeline),
        "brackets are nested deeper than 16 levels"
    );
    assert_eq!(
        error(&nested("!", "true", "", 101), Place::Pipeline),
        "an expression has more than 100 operators; give its parts names"
    );
    assert_eq!(
        error(&"1;".repeat(10_000), Place::Pipeline),
        "the program has 20000 bytes; at most 16384 are allowed"
    );
    assert_eq!(error(" \n", Place::Pipeline), "the program is empty");
    // What is just within the limits compiles and runs on a test's stack of 2 MiB.
    for source in [
        nested("(", "1", ")", 16),
        nested("[", "1", "]", 16),
        nested("abs(", "1", ")", 16),
        nested("(1 + 1 + 1 + 1 + 1 + 1 + ", "1", ")", 16),
        nested("for_each([1]) -> |_, x| { ", "1", " }", 8),
        nested("!", "true", "", 100),
        nested("", "1", " + 1", 100),
        nested("", ".a", " || 1", 100),
        nested("if .a == 1 { 1 } else ", "{ 2 }", "", 50),
    ] {
        match Program::compile(&source, Place::Pipeline) {
            Ok(program) => drop(program.value_of(&event(&json!({})))),
            Err(error) => assert!(matches!(error, ProgramError::Compile(_)), "{source}: {error}"),
        }
    }
}
