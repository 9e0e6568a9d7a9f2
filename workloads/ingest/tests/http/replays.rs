//! What is fed in again: dead letters of requests, and recorded requests.

use millrace_core::EventId;
use millrace_ingest::Accepted;
use millrace_ingest::FeedProgress;
use millrace_ingest::feed_reader;
use millrace_plan::model::*;

use crate::client::send;
use crate::server::*;

/// A way in that needs path, query, headers and user to make its event.
fn demanding(limit: u32) -> IngestPlan {
    let http = HttpIngest {
        path: path("/at/{place}"),
        dead_letter: true,
        headers: vec![RequestHeader {
            name: "Site".into(),
            required: true,
            format: HeaderFormat::Text,
            carry: true,
        }],
        ..http()
    };
    let map = format!(
        "assert!(.cpu < {limit} ?? false)\n. = {{\"device\": %path.place, \"cpu\": .cpu, \"q\": %query.q, \"site\": %headers.site, \"id\": %id}}"
    );
    mapped(http, &map)
}

#[tokio::test]
async fn a_dead_letter_of_a_request_is_made_again_with_all_that_it_was_made_of() {
    let server = serve_all(measurements(), vec![demanding(10)]).await;
    let headers =
        [NDJSON, ("site", "fra"), ("authorization", "Basic eDp5"), ("idempotency-key", "k")];
    let body = "{\"cpu\":50}";
    assert_eq!(send(server.address, "POST /at/a%20b?q=7", &headers, body).await.status, 422);
    let [letter] = &server.log.dead_letters()[..] else { panic!() };
    // The way in, nobody, the key, and the place in the batch, each with its length before it.
    let key = [
        b"\0\0\0\0\0\0\0\x03cpu\xff\xff\xff\xff\xff\xff\xff\xff".as_slice(),
        b"\0\0\0\0\0\0\0\x01k\0\0\0\0\0\0\0\x010",
    ];
    let id = EventId::declared("coordinates", &key.concat());
    assert_eq!(
        letter.context,
        format!(
            r#"{{"path":"/at/a%20b?q=7","headers":{{"content-type":"application/json","host":"test","site":"fra"}},"id":"{id}"}}"#
        )
    );
    // The pipeline is mended since.
    let mended = serve_all(measurements(), vec![demanding(90)]).await;
    let accepted = mended.acceptor.replay(letter, 1_700_000_000_000).await.unwrap();
    assert_eq!(accepted, Accepted::Stored { id, partition: 0, offset: 0 });
    assert_eq!(
        mended.values(),
        [format!(r#"{{"cpu":50,"device":"a b","id":"{id}","q":"7","site":"fra"}}"#)]
    );
    let record = &mended.log.records("coordinates", 0)[0];
    assert_eq!(record.headers.text("Site"), Some("fra"));
    // As it was, it is refused again, as the same dead letter.
    let error = server.acceptor.replay(letter, letter.ingest_time).await.unwrap_err();
    assert_eq!(error.to_string(), "assertion failed");
    let letters = server.log.dead_letters();
    assert_eq!((letters.len(), letters[0].id), (2, letters[1].id));
}

#[tokio::test]
async fn a_form_is_replayed_as_a_form() {
    let form = |cpu: &str| {
        let http = HttpIngest { accept: vec![BodyKind::Form], dead_letter: true, ..http() };
        mapped(http, &format!(".cpu = to_int!(.cpu) {cpu}"))
    };
    let server = serve_all(measurements(), vec![form("+ 1000")]).await;
    let kind = ("content-type", "application/x-www-form-urlencoded");
    assert_eq!(server.post_as(kind, "device=d1&cpu=7").await.status, 422);
    let mended = serve_all(measurements(), vec![form("")]).await;
    mended.acceptor.replay(&server.log.dead_letters()[0], 0).await.unwrap();
    assert_eq!(mended.values(), [r#"{"cpu":7,"device":"d1"}"#]);
}

#[tokio::test]
async fn recorded_requests_are_fed_like_those_that_come_in() {
    let server = serve_all(measurements(), vec![demanding(90)]).await;
    let id = "018f4d1e-7a3b-7c52-9d1e-0a1b2c3d4e5f";
    let lines = format!(
        "{}\n{}\n{}\n",
        format_args!(
            r#"{{"path":"/at/x?q=1","headers":{{"Site":"fra"}},"id":"{id}","payload":{{"cpu":1}}}}"#
        ),
        r#"{"path":"/at/x","headers":{},"payload":{"cpu":1}}"#,
        r#"{"path":"/at/x","headers":{"Site":"fra"},"payload":{"cpu":99}}"#,
    );
    let done = feed_reader(&server.acceptor, "cpu", lines.as_bytes(), |_| {}).await.unwrap();
    assert_eq!(done, FeedProgress { lines: 3, bytes: lines.len() as u64, refused: 2 });
    assert_eq!(
        server.values(),
        [format!(r#"{{"cpu":1,"device":"x","id":"{id}","q":"1","site":"fra"}}"#)]
    );
    assert_eq!(server.log.dead_letters().len(), 2);
}

#[tokio::test]
async fn a_recorded_line_needs_only_its_payload_where_the_path_has_no_parameters() {
    let server = serve(http()).await;
    let lines = format!("{{\"payload\":{EVENT}}}\n{{\"payload\":{{}}}}\n");
    let done = feed_reader(&server.acceptor, "cpu", lines.as_bytes(), |_| {}).await.unwrap();
    assert_eq!(done.refused, 1);
    assert_eq!(server.values(), [EVENT]);
    // The way in keeps no dead letters.
    assert!(server.log.dead_letters().is_empty());
    let error = feed_reader(&server.acceptor, "cpu", &b"[]"[..], |_| {}).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 1 is not `{\"path\": \u{2026}, \"headers\": {\u{2026}}, \"payload\": \u{2026}}`"
    );
}
