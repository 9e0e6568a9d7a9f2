//! `timestamps.yaml`: accept a command, store it once, ask for it.

use serde_json::json;

use crate::Example;
use crate::support::http::Answer;
use crate::support::http::curl;

const CORRELATION: &str = "correlationId: 0a3c1d1e-7b1c-4c0e-9c1e-0123456789ab";

fn post(example: &Example, path: &str) -> Answer {
    curl(&["-X", "POST", "-H", CORRELATION, &example.at(path)])
}

/// The id that a command was given.
fn id(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    let id = body["id"].as_str().unwrap().to_owned();
    assert_eq!(body, json!({"id": id}));
    assert!(is_uuid(&id), "{id}");
    id
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// What is stored under an id, once it is.
fn stored(example: &mut Example, id: &str) -> serde_json::Value {
    let path = format!("/api/v1/timestamp/{id}");
    example.until(&path, "the command is stored", |answer| answer.status == 200).json()
}

#[test]
fn a_command_is_stored_with_the_id_that_the_client_got() {
    let mut example = Example::start("timestamps");
    for (sent, kept) in [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("2026-01-01T02:30:00.123456+02:30", "2026-01-01T00:00:00.123456Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ("2099-12-31T23:59:59.5-01:00", "2100-01-01T00:59:59.5Z"),
        ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z"),
    ] {
        let path = format!("/api/v1/timestamp/{}", sent.replace('+', "%2B"));
        let id = id(&post(&example, &path));
        let row = stored(&mut example, &id);
        assert_eq!(row["id"], id.as_str());
        assert_eq!(row["event_timestamp"], kept, "{sent}");
        assert!(row["created_at"].as_str().unwrap().ends_with('Z'));
        assert_eq!(row.as_object().unwrap().len(), 3);
    }
}

#[test]
fn nothing_and_blanks_mean_now() {
    let mut example = Example::start("timestamps");
    for path in ["/app", "/api/v1/timestamp/", "/api/v1/timestamp/%20", "/api/v1/timestamp/%20%20"]
    {
        let id = id(&post(&example, path));
        let row = stored(&mut example, &id);
        let time = |name: &str| row[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let apart = time("event_timestamp").duration_since(time("created_at")).abs();
        assert!(apart < jiff::SignedDuration::from_secs(5), "{path}: {row}");
    }
}

#[test]
fn a_text_that_is_no_time_is_refused_with_the_form_to_write() {
    let example = Example::start("timestamps");
    for wrong in ["yesterday", "2026-13-01T00:00:00Z", "2026-01-01", "1767225600"] {
        let answer = post(&example, &format!("/api/v1/timestamp/{wrong}"));
        let expected =
            format!("`{wrong}` is not a time: write RFC 3339, such as 2026-01-01T00:00:00Z");
        assert_eq!(answer.problem(), (400, expected));
    }
}

#[test]
fn the_correlation_id_must_be_there_and_be_a_uuid() {
    let example = Example::start("timestamps");
    for path in ["/app", "/api/v1/timestamp/2026-01-01T00:00:00Z"] {
        let (status, detail) = curl(&["-X", "POST", &example.at(path)]).problem();
        assert_eq!(status, 400);
        assert!(detail.contains("correlationId") && detail.contains("missing"), "{detail}");
        let header = "correlationId: 17";
        let (status, detail) = curl(&["-X", "POST", "-H", header, &example.at(path)]).problem();
        assert_eq!(status, 400);
        assert!(detail.contains("correlationId") && detail.contains("UUID"), "{detail}");
    }
}

#[test]
fn the_correlation_id_is_kept_with_the_row() {
    let mut example = Example::start("timestamps");
    let id = id(&post(&example, "/app"));
    stored(&mut example, &id);
    let rows = curl(&[&example.at(&format!("/api/v1/tables/timestamp_records?id={id}"))]).json();
    assert_eq!(rows["rows"][0]["correlation_id"], "0a3c1d1e-7b1c-4c0e-9c1e-0123456789ab");
}

#[test]
fn what_was_never_sent_is_not_found_and_what_is_no_id_is_refused() {
    let example = Example::start("timestamps");
    let unknown = "/api/v1/timestamp/0a3c1d1e-7b1c-4c0e-9c1e-0123456789ab";
    assert_eq!(curl(&[&example.at(unknown)]).problem().0, 404);
    for wrong in ["17", "not-a-uuid", "0a3c1d1e-7b1c-4c0e-9c1e-0123456789a"] {
        let (status, detail) =
            curl(&[&example.at(&format!("/api/v1/timestamp/{wrong}"))]).problem();
        assert_eq!(status, 400, "{wrong}");
        assert!(detail.contains("UUID"), "{detail}");
    }
}

#[test]
fn health_says_that_it_is_up() {
    let example = Example::start("timestamps");
    let answer = curl(&[&example.at("/health")]);
    assert_eq!(answer.told(), (200, r#"{"Status":"UP"}"#));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[test]
fn a_repeated_request_with_the_same_key_has_the_same_answer_and_one_row() {
    let mut example = Example::start("timestamps");
    let path = example.at("/api/v1/timestamp/2026-01-01T00:00:00Z");
    let send = |key: &str| {
        let key = format!("Idempotency-Key: {key}");
        id(&curl(&["-X", "POST", "-H", CORRELATION, "-H", &key, &path]))
    };
    let first = send("a");
    assert_eq!(send("a"), first);
    let other = send("b");
    assert_ne!(other, first);
    stored(&mut example, &first);
    stored(&mut example, &other);
    let rows = curl(&[&example.at("/api/v1/tables/timestamp_records")]).json();
    assert_eq!(rows["rows"].as_array().unwrap().len(), 2);
}

#[test]
fn other_methods_are_told_what_is_allowed() {
    let example = Example::start("timestamps");
    let answer = curl(&["-X", "DELETE", &example.at("/app")]);
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("allow"), Some("POST"));
}
