//! `hoverboards.yaml`: a fleet's data platform.

use serde_json::Value;
use serde_json::json;

use crate::Example;
use crate::support::http::post_json;
use crate::support::process::over_services;

fn board() -> Value {
    json!({
        "id": 7, "elevation": 12.5, "temperature": 21.0, "humidity": 40.0, "charge": 80.0,
        "speed": 3.5, "weight": 70.0, "acceleration": 0.1, "magneticfield": 45.0,
        "isdocked": false, "location": {"longitude": -121.89, "latitude": 39.73},
    })
}

fn customer() -> Value {
    json!({
        "id": 3, "customer_name": {"first_name": "Ada", "last_name": "Lovelace"},
        "customer_email": "ada@example.com",
        "customer_location": {"longitude": -0.1, "latitude": 51.5},
    })
}

fn trip() -> Value {
    json!({
        "hoverboard_id": 7, "customer_id": 3, "trip_duration": 600,
        "start_location": {"longitude": 1.0, "latitude": 2.0},
        "end_location": {"longitude": 3.0, "latitude": 4.0},
        "start_time_and_date": "2026-01-01T10:00:00Z",
        "end_time_and_date": "2026-01-01T12:10:00+02:00",
    })
}

fn without(mut event: Value, field: &str) -> Value {
    event.as_object_mut().unwrap().remove(field);
    event
}

fn rows(example: &mut Example, table: &str, count: usize) -> Vec<Value> {
    let path = format!("/api/v1/tables/{table}");
    let answer = example.until(&path, "the rows are there", |answer| {
        answer.json()["rows"].as_array().is_some_and(|rows| rows.len() >= count)
    });
    answer.json()["rows"].as_array().unwrap().clone()
}

fn dead_letters(example: &mut Example, count: usize) -> Vec<Value> {
    let url = format!("{}/api/v1/dead-letters", example.pipeline.operators_url());
    let answer = example.until_at(&url, "the dead letters are there", |answer| {
        answer.json()["deadLetters"].as_array().is_some_and(|letters| letters.len() >= count)
    });
    answer.json()["deadLetters"].as_array().unwrap().clone()
}

#[test]
fn what_is_sent_is_in_its_table_under_the_names_of_its_columns() {
    let mut example = Example::start("hoverboards");
    for (path, event) in [
        ("/ingest/hoverboard", board()),
        ("/ingest/customer", customer()),
        ("/ingest/trip", trip()),
    ] {
        let answer = post_json(&example.at(path), &event.to_string());
        assert_eq!(answer.told(), (202, ""), "{path}");
    }
    assert_eq!(
        rows(&mut example, "hoverboard", 1),
        [json!({
            "id": 7, "elevation": 12.5, "temperature": 21.0, "humidity": 40.0, "charge": 80.0,
            "speed": 3.5, "weight": 70.0, "acceleration": 0.1, "magnetic_field": 45.0,
            "is_docked": false, "location_longitude": -121.89, "location_latitude": 39.73,
        })]
    );
    assert_eq!(
        rows(&mut example, "customer", 1),
        [json!({
            "id": 3, "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com",
            "location_longitude": -0.1, "location_latitude": 51.5,
        })]
    );
    assert_eq!(
        rows(&mut example, "trip", 1),
        [json!({
            "hoverboard_id": 7, "customer_id": 3, "duration": 600.0,
            "start_location_longitude": 1.0, "start_location_latitude": 2.0,
            "end_location_longitude": 3.0, "end_location_latitude": 4.0,
            "start_time_and_date": "2026-01-01T10:00:00Z",
            "end_time_and_date": "2026-01-01T10:10:00Z",
        })]
    );
}

#[test]
fn the_latest_of_a_board_stays_and_every_trip_does_but_a_repeated_one() {
    let mut example = Example::start("hoverboards");
    for charge in [80.0, 79.0, 78.5] {
        let mut board = board();
        board["charge"] = json!(charge);
        assert_eq!(post_json(&example.at("/ingest/hoverboard"), &board.to_string()).status, 202);
    }
    let mut longer = trip();
    longer["trip_duration"] = json!(601);
    for trip in [trip(), trip(), longer] {
        assert_eq!(post_json(&example.at("/ingest/trip"), &trip.to_string()).status, 202);
    }
    let path = "/api/v1/tables/hoverboard";
    example.until(path, "the latest is there", |answer| {
        answer.json()["rows"][0]["charge"] == json!(78.5)
    });
    assert_eq!(rows(&mut example, "hoverboard", 1).len(), 1);
    let mut durations: Vec<_> =
        rows(&mut example, "trip", 2).iter().map(|row| row["duration"].as_f64().unwrap()).collect();
    durations.sort_by(f64::total_cmp);
    assert_eq!(durations, [600.0, 601.0]);
}

#[test]
fn malformed_json_is_400_and_what_the_schema_forbids_is_422_with_all_reasons() {
    let example = Example::start("hoverboards");
    for path in ["/ingest/hoverboard", "/ingest/customer", "/ingest/trip"] {
        for body in ["", "{", "{\"id\": 1,}", "nonsense", "{\"id\": NaN}"] {
            assert_eq!(post_json(&example.at(path), body).problem().0, 400, "{path} {body:?}");
        }
        assert_eq!(post_json(&example.at(path), "{}").problem().0, 422, "{path}");
    }
    let answer = post_json(
        &example.at("/ingest/customer"),
        r#"{"id": "x", "customer_email": "nobody", "customer_name": {"first_name": 1}}"#,
    );
    assert_eq!(answer.problem().0, 422);
    let body = answer.json();
    let mut pointers: Vec<_> = body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/customer_email", "/customer_name/first_name", "/id"]);
    let mut wrong_time = trip();
    wrong_time["start_time_and_date"] = json!("yesterday");
    let answer = post_json(&example.at("/ingest/trip"), &wrong_time.to_string());
    assert_eq!(answer.problem().0, 422);
    assert_eq!(answer.json()["errors"][0]["pointer"], "/start_time_and_date");
}

#[test]
fn key_fields_alone_are_required_and_unknown_fields_are_allowed() {
    let example = Example::start("hoverboards");
    for (path, body) in [
        ("/ingest/hoverboard", json!({"id": 1, "colour": "pink"})),
        ("/ingest/customer", json!({"id": 1, "shoes": {"size": 38}})),
        ("/ingest/trip", json!({"hoverboard_id": 1, "customer_id": 2, "note": null})),
    ] {
        assert_eq!(post_json(&example.at(path), &body.to_string()).told(), (202, ""), "{path}");
    }
}

#[test]
fn what_is_valid_but_cannot_be_stored_is_a_dead_letter_and_holds_nothing_up() {
    let mut example = Example::start("hoverboards");
    let send = |example: &Example, path: &str, event: &Value| {
        assert_eq!(post_json(&example.at(path), &event.to_string()).status, 202);
    };
    send(&example, "/ingest/hoverboard", &without(board(), "charge"));
    send(&example, "/ingest/hoverboard", &without(board(), "temperature"));
    send(&example, "/ingest/trip", &without(trip(), "end_time_and_date"));
    send(&example, "/ingest/trip", &without(trip(), "start_time_and_date"));
    let boards = rows(&mut example, "hoverboard", 1);
    assert_eq!(boards[0]["temperature"], Value::Null);
    assert_eq!(boards[0]["charge"], json!(80.0));
    assert_eq!(rows(&mut example, "trip", 1)[0]["start_time_and_date"], Value::Null);
    let letters = dead_letters(&mut example, 2);
    let mut told: Vec<_> = letters
        .iter()
        .map(|letter| {
            let reason = letter["reason"].as_str().unwrap();
            let column = ["charge", "end_time_and_date"].into_iter().find(|c| reason.contains(c));
            (letter["stage"].as_str().unwrap(), column)
        })
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [("sink/hoverboard", Some("charge")), ("sink/trip", Some("end_time_and_date"))]
    );
}

#[test]
fn other_clients_agree_on_the_partition_of_a_key() {
    let mut example = Example::start("hoverboards");
    post_json(&example.at("/ingest/hoverboard"), &board().to_string());
    rows(&mut example, "hoverboard", 1);
    // What Kafka's Java client computes: toPositive(murmur2("7")) % 100.
    let partition = murmur2(b"7") % if over_services() { 4 } else { 100 };
    let path = format!("/api/v1/streams/hoverboard/records?partition={partition}");
    // Another process than the one that wrote the row learns a little later how far the log goes.
    example.until(&path, "the partition has the record", |answer| {
        answer.json()["records"].as_array().is_some_and(|records| records.len() == 1)
    });
}

/// murmur2 as Kafka's Java client has it, written anew from its description, positive.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ u32::try_from(bytes.len()).unwrap();
    let mut chunks = bytes.chunks_exact(4);
    for chunk in &mut chunks {
        let mut word = u32::from_le_bytes(chunk.try_into().unwrap()).wrapping_mul(M);
        word = (word ^ (word >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ word;
    }
    let rest = chunks.remainder();
    for (place, byte) in rest.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * place);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    (hash ^ (hash >> 15)) & 0x7fff_ffff
}
