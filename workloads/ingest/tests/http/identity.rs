//! What identifies an event, and the headers of requests.

use millrace_core::EventId;
use millrace_plan::model::*;
use millrace_plan::program::Place;

use crate::client::send;
use crate::server::*;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn ids(server: &Server) -> Vec<EventId> {
    server.log.records("coordinates", 0).iter().map(|record| record.id).collect()
}

/// Stands for the length of what is not there.
const NONE: &[u8] = &[0xff; 8];

/// The id of a key of nobody in a way in whose name has three letters.
fn of_key(name: &str, key: &[u8], index: &[u8]) -> EventId {
    let name = [&[0, 0, 0, 0, 0, 0, 0, 3], name.as_bytes()].concat();
    EventId::declared("coordinates", &[&name, NONE, key, index].concat())
}

#[tokio::test]
async fn a_retry_with_the_same_key_is_the_same_event_with_the_same_answer() {
    let body = program("{\"id\": %id}", Place::Response, &path("/cpu"));
    let respond =
        ResponsePlan { status: 200, body: Some(body), content_type: None, headers: vec![] };
    let server = serve(HttpIngest { respond: Some(respond), ..http() }).await;
    let headers = [JSON, ("Idempotency-Key", "order-7")];
    server.log.refuse(1);
    let refused = send(server.address, "POST /cpu", &headers, EVENT).await;
    assert_eq!(
        refused.problem(),
        (503, "nothing is stored: the log does not accept at present".into())
    );
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(server.values().is_empty());
    let id = of_key("cpu", b"\0\0\0\0\0\0\0\x07order-7", NONE);
    for _ in 0..2 {
        let answer = send(server.address, "POST /cpu", &headers, EVENT).await;
        assert_eq!(answer.told(), (200, &*format!(r#"{{"id":"{id}"}}"#)));
    }
    assert_eq!(ids(&server), [id, id]);
}

#[tokio::test]
async fn events_of_a_batch_have_the_key_and_their_place() {
    let server = serve(http()).await;
    let headers = [NDJSON, ("Idempotency-Key", "b")];
    send(server.address, "POST /cpu", &headers, format!("{EVENT}\n\n{EVENT}")).await;
    assert_eq!(
        ids(&server),
        [b"\0\0\0\0\0\0\0\x010", b"\0\0\0\0\0\0\0\x011"].map(|index| of_key(
            "cpu",
            b"\0\0\0\0\0\0\0\x01b",
            index
        ))
    );
}

#[tokio::test]
async fn the_same_key_by_another_way_in_is_another_event() {
    let other = IngestPlan {
        name: "gpu".into(),
        ..way(IngestSource::Http(HttpIngest { path: path("/gpu"), ..http() }))
    };
    let server = serve_all(measurements(), vec![way(IngestSource::Http(http())), other]).await;
    let headers = [JSON, ("Idempotency-Key", "b")];
    for line in ["POST /cpu", "POST /gpu"] {
        assert_eq!(send(server.address, line, &headers, EVENT).await.status, 202);
    }
    let key = b"\0\0\0\0\0\0\0\x01b";
    assert_eq!(ids(&server), ["cpu", "gpu"].map(|name| of_key(name, key, NONE)));
}

#[tokio::test]
async fn a_key_that_is_no_visible_text_is_refused() {
    let server = serve(http()).await;
    for key in ["", "a b", "ä", &"k".repeat(256)] {
        let headers = [JSON, ("Idempotency-Key", key)];
        let answer = send(server.address, "POST /cpu", &headers, EVENT).await;
        let detail = "the header `Idempotency-Key` is not 1 to 255 visible ASCII characters";
        assert_eq!(answer.problem(), (400, detail.into()), "{key}");
    }
    let headers = [JSON, ("Idempotency-Key", &*"k".repeat(255))];
    assert_eq!(send(server.address, "POST /cpu", &headers, EVENT).await.status, 202);
}

#[tokio::test]
async fn content_identifies_an_event_where_that_is_declared() {
    let server = serve(HttpIngest { identity: Identity::Content, ..http() }).await;
    server.post(EVENT).await;
    server.post(format!(" {EVENT}\n")).await;
    server.post(EVENT.replace("42.5", "42")).await;
    let [first, again, other] = ids(&server)[..] else { panic!() };
    assert_eq!(first, EventId::of_content("coordinates", b"d1", EVENT.as_bytes()));
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[tokio::test]
async fn a_mapping_that_reads_the_id_is_given_that_of_what_came_in() {
    let http = HttpIngest { identity: Identity::Content, path: path("/cpu/{x}"), ..http() };
    let plan = mapped(http, ".id = %id");
    let server = serve_all(measurements(), vec![plan]).await;
    for line in ["POST /cpu/1?a=b", "POST /cpu/1?a=b", "POST /cpu/2?a=b"] {
        send(server.address, line, &[JSON], EVENT).await;
    }
    let [first, again, other] = ids(&server)[..] else { panic!() };
    assert_eq!(first, EventId::of_content("coordinates", b"/cpu/1?a=b", EVENT.as_bytes()));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert_eq!(server.values()[0], format!(r#"{{"cpu":42.5,"device":"d1","id":"{first}"}}"#));
}

#[tokio::test]
async fn a_declared_path_comes_before_everything() {
    let stream = IngestedStream { event_id: Some(".device".parse().unwrap()), ..measurements() };
    let server = serve_all(stream, vec![way(IngestSource::Http(http()))]).await;
    let headers = [JSON, ("Idempotency-Key", "b")];
    send(server.address, "POST /cpu", &headers, EVENT).await;
    assert_eq!(ids(&server), [EventId::declared("coordinates", b"d1")]);
}

#[tokio::test]
async fn declared_headers_are_checked_and_carried() {
    let header = |name: &str, required, format, carry| RequestHeader {
        name: name.into(),
        required,
        format,
        carry,
    };
    let headers = vec![
        header("correlationId", true, HeaderFormat::Uuid, true),
        header("Note", false, HeaderFormat::Text, true),
    ];
    let server = serve(HttpIngest { headers, ..http() }).await;
    assert_eq!(
        server.post(EVENT).await.problem(),
        (400, "the header `correlationId` is missing: send a UUID, such as 018f4d1e-7a3b-7c52-9d1e-0a1b2c3d4e5f".into())
    );
    let post = async |id: &str, more: (&str, &str)| {
        let headers = [JSON, ("CORRELATIONID", id), ("traceparent", TRACE), more];
        send(server.address, "POST /cpu", &headers, EVENT).await
    };
    let id = "0b0c3d1e-0000-4000-8000-00000000000A";
    assert_eq!(
        post("0b0c3d1e000040008000000000000000", ("x", "y")).await.problem(),
        (400, "the header `correlationId` is not a UUID, such as 018f4d1e-7a3b-7c52-9d1e-0a1b2c3d4e5f".into())
    );
    assert_eq!(
        post(id, ("note", "")).await.problem(),
        (400, "the header `Note` is not a text".into())
    );
    assert_eq!(post(id, ("note", "n")).await.told(), (202, ""));
    let [record] = &server.log.records("coordinates", 0)[..] else { panic!() };
    let carried: Vec<_> =
        record.headers.0.iter().map(|(name, value)| (&**name, &value[..])).collect();
    assert_eq!(
        carried,
        [("correlationId", id.as_bytes()), ("Note", b"n"), ("traceparent", TRACE.as_bytes())]
    );
}

#[tokio::test]
async fn a_trace_that_is_none_is_not_carried() {
    let server = serve(http()).await;
    let headers = [JSON, ("traceparent", "00-1-2-3")];
    assert_eq!(send(server.address, "POST /cpu", &headers, EVENT).await.told(), (202, ""));
    assert!(server.log.records("coordinates", 0)[0].headers.0.is_empty());
}
