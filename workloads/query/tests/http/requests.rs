//! The HTTP port over real sockets: look-ups, health, problems and protection.

use millrace_core::Mark;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_observe::ComponentKind;
use millrace_observe::State;
use serde_json::json;

use crate::fixtures::Served;
use crate::fixtures::event;
use crate::fixtures::letter;
use crate::fixtures::standing;

#[tokio::test]
async fn a_process_is_ready_when_every_part_runs_and_the_log_accepts() {
    let served = Served::new().await;
    let task = served.observer.component(ComponentKind::Task, "motion", None, Some(0));
    assert_eq!(served.get("/livez").await.status, 200);
    let waiting = served.get("/readyz").await;
    assert_eq!(waiting.status, 503);
    assert_eq!(
        waiting.json(),
        json!({"ready": false, "reasons": ["task motion partition 0 is starting"]})
    );
    task.set(State::Running);
    let ready = served.get("/readyz").await;
    assert_eq!((ready.status, ready.json()), (200, json!({"ready": true})));
    served.log.close().await;
    let closed = served.get("/readyz").await;
    assert_eq!(closed.status, 503);
    assert_eq!(closed.json()["reasons"], json!(["the log is closed"]));
}

#[tokio::test]
async fn the_pipeline_and_its_status_are_shown() {
    let served = Served::new().await;
    let sink =
        served.observer.component(ComponentKind::Sink, "standings", Some("positions"), Some(1));
    sink.set(State::Waiting("disk full".into()));
    sink.set_lag(4);
    served.append("positions", 1, vec![standing(1, 2), standing(2, 1)]).await;

    let pipeline = served.get("/api/v1/pipeline").await.json();
    assert_eq!(pipeline["name"], "race");
    assert_eq!(pipeline["mqtt"], json!({"address": "127.0.0.1:1883"}));
    assert_eq!(
        pipeline["streams"],
        json!([
            {"name": "positions", "kind": "derived", "partitions": 2},
            {"name": "dead-letters", "kind": "deadLetters", "partitions": 1},
        ])
    );
    assert_eq!(
        pipeline["sinks"],
        json!([
            {"name": "standings", "kind": "table", "from": ["positions"], "table": "standings"}
        ])
    );
    assert_eq!(pipeline["tables"][0]["primaryKey"], json!(["race", "car"]));
    assert_eq!(pipeline["tables"][0]["columns"][3], json!({"name": "seen", "type": "timestamp"}));
    assert_eq!(
        pipeline["dashboard"],
        json!({"map": null, "board": null, "feed": null, "charts": []})
    );

    let status = served.get("/api/v1/status").await.json();
    assert_eq!(status["ready"], false);
    assert_eq!(
        status["components"],
        json!([{
            "kind": "sink", "name": "standings", "stream": "positions", "partition": 1,
            "state": "waiting", "reason": "disk full", "lag": 4, "watermark": null,
        }])
    );
    assert_eq!(status["streams"][0]["records"], 2);
    assert_eq!(
        status["streams"][0]["partitions"][1],
        json!({"partition": 1, "start": 0, "end": 2, "highestEventTime": 2000})
    );
    assert!(status["streams"][0]["recordsPerSecond"].is_number());
    assert!(status["log"]["syncs"].as_u64().unwrap() >= 1);
}

#[tokio::test]
async fn metrics_are_open_metrics_and_count_requests_by_route() {
    let served = Served::new().await;
    served.append("positions", 1, vec![standing(1, 2)]).await;
    served.get("/api/v1/tables/standings").await;
    served.get("/no/such/path").await;
    let answer = served.get("/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = String::from_utf8(answer.body).unwrap();
    for line in [
        r#"millrace_stream_end_offset{stream="positions",partition="1"} 1"#,
        r#"millrace_http_requests_total{method="GET",route="/api/v1/tables/{table}",status="200"} 1"#,
        r#"millrace_http_requests_total{method="GET",route="other",status="404"} 1"#,
        "millrace_log_records_total 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn rows_are_filtered_ordered_and_paged() {
    let served = Served::new().await;
    served.append("positions", 0, (1..=5).map(|car| standing(car, 6 - car)).collect()).await;
    served.fill_tables().await;

    let rows = served.get("/api/v1/tables/standings?race=spa&car=3").await;
    assert_eq!(
        String::from_utf8(rows.body).unwrap(),
        r#"{"rows":[{"race":"spa","car":3,"position":3,"seen":"1970-01-01T00:00:03Z"}],"next":null}"#
    );
    let range = "/api/v1/tables/standings?timeColumn=seen&from=2000&to=1970-01-01T00:00:04Z";
    let cars = |answer: &serde_json::Value| -> Vec<i64> {
        answer["rows"].as_array().unwrap().iter().map(|row| row["car"].as_i64().unwrap()).collect()
    };
    assert_eq!(cars(&served.get(range).await.json()), [2, 3]);
    let first = served.get("/api/v1/tables/standings?order=position&limit=2").await.json();
    assert_eq!(cars(&first), [5, 4]);
    let cursor = first["next"].as_str().unwrap();
    let path = format!("/api/v1/tables/standings?order=position&limit=2&cursor={cursor}");
    assert_eq!(cars(&served.get(&path).await.json()), [3, 2]);
    let tables = served.get("/api/v1/tables").await.json();
    assert_eq!(tables["tables"][0]["name"], "standings");
}

#[tokio::test]
async fn records_are_read_from_an_offset_or_back_from_the_end_without_marks() {
    let served = Served::new().await;
    let mark = || Entry::Mark(Mark::Task { task: 0, watermark: 1 });
    let entries = (1..=6).flat_map(|car| [standing(car, car), mark()]).collect();
    served.append("positions", 1, entries).await;
    let offsets = async |query: &str| {
        let path = format!("/api/v1/streams/positions/records?partition=1&{query}");
        let answer = served.get(&path).await.json();
        let offsets: Vec<i64> = answer["records"]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| record["offset"].as_i64().unwrap())
            .collect();
        (offsets, answer["next"].as_i64().unwrap())
    };
    assert_eq!(offsets("from=start&limit=2").await, (vec![0, 2], 3));
    assert_eq!(offsets("from=3&limit=2").await, (vec![4, 6], 7));
    assert_eq!(offsets("from=end-2").await, (vec![8, 10], 12));
    assert_eq!(offsets("from=end-1000&limit=1").await, (vec![0], 1));
    assert_eq!(offsets("from=end").await, (vec![], 12));

    let record = &served.get("/api/v1/streams/positions/records?partition=1&limit=1").await.json();
    assert_eq!(
        record["records"][0],
        json!({
            "partition": 1, "offset": 0, "key": "spa", "eventTime": 1000, "ingestTime": 1001,
            "id": "07070707-0707-0707-0707-070707070707", "headers": {"trace": "abc"},
            "value": {"race": "spa", "car": 1, "position": 1, "seen": 1000},
        })
    );
}

#[tokio::test]
async fn the_last_records_leave_nothing_out_however_large_they_are() {
    let served = Served::new().await;
    // The last 280 records of 30 kB are more than an answer holds, and more than a step back.
    let wide = format!(r#"{{"filling":"{}"}}"#, "x".repeat(30_000));
    for _ in 0..30 {
        served.append("positions", 0, (0..10).map(|time| event(&wide, time)).collect()).await;
    }
    let mut offsets = Vec::new();
    let mut answers = 0;
    let mut from = "end-280".to_owned();
    while from != "300" {
        let path = format!("/api/v1/streams/positions/records?from={from}&limit=1000");
        let answer = served.get(&path).await.json();
        let records = answer["records"].as_array().unwrap();
        offsets.extend(records.iter().map(|record| record["offset"].as_i64().unwrap()));
        from = answer["next"].to_string();
        answers += 1;
    }
    assert_eq!(offsets, (20..300).collect::<Vec<i64>>());
    assert_eq!(answers, 2);
}

#[tokio::test]
async fn numbers_come_out_with_every_digit() {
    let served = Served::new().await;
    served.append("positions", 0, vec![event(r#"{"lat":51.349937311969725}"#, 1)]).await;
    let answer = served.get("/api/v1/streams/positions/records").await;
    assert!(String::from_utf8(answer.body).unwrap().contains(r#""lat":51.349937311969725"#));
}

#[tokio::test]
async fn dead_letters_are_listed_shown_and_replayed() {
    let served = Served::new().await;
    let letters = vec![letter("ingest/cars", b"\xff{no"), letter("stream/coordinates", b"{}")];
    served.append("dead-letters", 0, letters).await;

    let list = served.get("/api/v1/dead-letters").await.json();
    assert_eq!(list["next"], 2);
    let first = &list["deadLetters"][0];
    assert_eq!(first["offset"], 0);
    assert_eq!(first["stage"], "ingest/cars");
    assert_eq!(first["reason"], "it is not JSON");
    assert_eq!(first["context"], "carCoordinates");
    assert_eq!(first["bytes"], 4);
    assert_eq!(first["preview"], "\u{fffd}{no");
    let filtered = served.get("/api/v1/dead-letters?stage=stream/coordinates").await.json();
    assert_eq!(filtered["deadLetters"].as_array().unwrap().len(), 1);
    assert_eq!(filtered["deadLetters"][0]["offset"], 1);

    let shown = served.get("/api/v1/dead-letters/0").await.json();
    assert_eq!(shown["originalBase64"], "/3tubw==");
    assert_eq!(shown["originalText"], json!(null));
    assert_eq!(served.get("/api/v1/dead-letters/1").await.json()["originalText"], "{}");
    assert_eq!(
        served.get("/api/v1/dead-letters/9").await.detail(),
        "there is no dead letter at offset 9"
    );

    let json_type = ["Content-Type: application/json"];
    let accepted = served.request("POST", "/api/v1/dead-letters/1/replay", &json_type).await;
    assert_eq!(accepted.status, 200);
    assert_eq!(accepted.json()["accepted"], true);
    assert_eq!(accepted.json()["offset"], 5);
    let refused = served.request("POST", "/api/v1/dead-letters/0/replay", &json_type).await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.detail(), "the body is still not JSON");
}

#[tokio::test]
async fn a_wrong_request_gets_a_problem_that_names_what_is_wrong() {
    let served = Served::new().await;
    for (path, status, detail) in [
        ("/api/v2", 404, "there is nothing at `/api/v2`"),
        (
            "/api/v1/streams/nothing/records",
            404,
            "there is no stream `nothing`; there are positions, dead-letters",
        ),
        ("/api/v1/tables/nothing", 404, "there is no table `nothing`"),
        (
            "/api/v1/streams/positions/records?limit=1001",
            400,
            "parameter `limit`: `1001` is not a whole number from 1 to 1000",
        ),
        (
            "/api/v1/streams/positions/records?limit=0",
            400,
            "parameter `limit`: `0` is not a whole number from 1 to 1000",
        ),
        (
            "/api/v1/streams/positions/records?partition=2",
            404,
            "`2` is not a partition of `positions`: write 0 to 1",
        ),
        (
            "/api/v1/streams/positions/records?from=-1",
            400,
            "parameter `from`: `-1` is not an offset, `start`, `end` or `end-N`",
        ),
        (
            "/api/v1/streams/positions/records?form=1",
            400,
            "parameter `form`: there is no such parameter here; there are partition, from, limit",
        ),
        (
            "/api/v1/streams/positions/events?from=0:1",
            400,
            "parameter `from`: `0:1` is not `now`, `start` or the id of an event",
        ),
        (
            "/api/v1/tables/standings?driver=1",
            400,
            "parameter `driver`: no column `driver`; there are race, car, position, seen",
        ),
        ("/api/v1/tables/standings?car=x", 400, "parameter `car`: `x` is not an integer"),
        (
            "/api/v1/tables/standings?order=-x",
            400,
            "parameter `order`: no column `x`; there are race, car, position, seen",
        ),
        ("/api/v1/tables/standings?from=1", 400, "parameter `timeColumn`: `from` and `to` need it"),
        (
            "/api/v1/tables/standings?timeColumn=car&from=1",
            400,
            "parameter `timeColumn`: column `car` is not a timestamp",
        ),
        (
            "/api/v1/tables/standings?cursor=x",
            400,
            "parameter `cursor`: the cursor does not belong to this look-up: start without one",
        ),
        (
            "/api/v1/tables/standings?limit=1&limit=2",
            400,
            "parameter `limit`: is given more than once",
        ),
        ("/api/v1/dead-letters/x", 400, "parameter `offset`: `x` is not an offset"),
    ] {
        let answer = served.get(path).await;
        assert_eq!((answer.status, &*answer.detail()), (status, detail), "{path}");
    }
    let deleted = served
        .request("DELETE", "/api/v1/tables/standings", &["Content-Type: application/json"])
        .await;
    assert_eq!(deleted.status, 405);
    assert_eq!(deleted.detail(), "this address does not take this method");
}

#[tokio::test]
async fn an_address_that_is_too_long_is_refused() {
    let served = Served::new().await;
    let query = served.get(&format!("/api/v1/tables/standings?race={}", "x".repeat(8192))).await;
    assert_eq!(query.status, 414);
    assert_eq!(query.detail(), "the query string has more than 8192 bytes");
    let path = served.get(&format!("/{}", "x".repeat(1024))).await;
    assert_eq!(path.status, 414);
    assert_eq!(path.detail(), "the path has more than 1024 bytes");
}

#[tokio::test]
async fn a_page_of_another_site_cannot_replay() {
    let served = Served::new().await;
    served.append("dead-letters", 0, vec![letter("ingest/cars", b"{}")]).await;
    let path = "/api/v1/dead-letters/0/replay";
    let json_type = "Content-Type: application/json";
    for (headers, status) in [
        (vec![], 415),
        (vec!["Content-Type: text/plain"], 415),
        (vec![json_type, "Origin: https://elsewhere.example"], 403),
        (vec![json_type, "Origin: null"], 403),
        (vec![json_type, "Sec-Fetch-Site: cross-site"], 403),
        (vec![json_type, "Sec-Fetch-Site: same-site"], 403),
        (vec![json_type, "Host: rebound.example", "Origin: http://rebound.example"], 403),
        (vec![json_type, "Host: localhost:8080", "Origin: http://localhost:8080"], 200),
        (vec![json_type, "Host: [::1]:8080", "Sec-Fetch-Site: same-origin"], 200),
    ] {
        let answer = served.request("POST", path, &headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
    }
}

#[tokio::test]
async fn answers_carry_the_headers_that_browsers_heed() {
    let served = Served::new().await;
    let api = served.get("/api/v1/status").await;
    assert_eq!(api.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(api.header("x-frame-options"), Some("DENY"));
    assert_eq!(api.header("cache-control"), Some("no-store"));
    assert_eq!(
        api.header("content-security-policy"),
        Some("default-src 'none'; frame-ancestors 'none'")
    );
    let page = served.get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    assert!(page.header("content-security-policy").unwrap().contains("script-src 'self'"));
    let etag = format!("If-None-Match: {}", page.header("etag").unwrap());
    let unchanged = served.request("GET", "/", &[&etag]).await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    let head = served.request("HEAD", "/", &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn long_json_is_compressed_for_those_who_ask() {
    let served = Served::new().await;
    served.append("positions", 0, (0..50).map(|car| standing(car, 1)).collect()).await;
    let path = "/api/v1/streams/positions/records";
    let plain = served.get(path).await;
    assert_eq!(plain.header("content-encoding"), None);
    let compressed = served.request("GET", path, &["Accept-Encoding: gzip"]).await;
    assert_eq!(compressed.header("content-encoding"), Some("gzip"));
    assert!(compressed.body.len() < plain.body.len() / 4);
    assert!(compressed.body.windows(2).any(|window| window == [0x1f, 0x8b]));
}

#[tokio::test]
async fn metrics_tell_nothing_of_a_part_that_is_gone() {
    let served = Served::new().await;
    let part = served.observer.component(ComponentKind::Task, "moved", None, Some(3));
    let metrics = async || String::from_utf8(served.get("/metrics").await.body).unwrap();
    let line =
        r#"millrace_component_lag_records{kind="task",name="moved",stream="",partition="3"} 0"#;
    assert!(metrics().await.contains(line));
    served.observer.forget(&part.id);
    assert!(!metrics().await.contains(r#"name="moved""#));
}
