//! Bodies: which are taken, what is stored of them, and what is wrong with the others.

use std::io::Write as _;

use millrace_plan::model::*;
use serde_json::json;

use crate::client::send;
use crate::server::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_valid_event_is_stored_as_it_came_and_answered_by_202_without_a_body() {
    let server = serve(http()).await;
    let answer = server.post(r#" {"device": "d1", "cpu": 42.50}  "#).await;
    assert_eq!(answer.told(), (202, ""));
    assert_eq!(server.values(), [r#"{"device": "d1", "cpu": 42.50}"#]);
    let [record] = &server.log.records("coordinates", 0)[..] else { panic!() };
    assert_eq!(record.key, "d1");
    assert_eq!(record.id.as_uuid().get_version_num(), 7);
    assert!(record.headers.0.is_empty());
}

#[tokio::test]
async fn all_that_is_wrong_with_an_event_is_told_at_once() {
    let mut stream = measurements();
    stream.key = vec![".device".parse().unwrap(), ".rack".parse().unwrap()];
    stream.event_time = Some(EventTimeField {
        path: ".at".parse().unwrap(),
        format: millrace_core::time::TimeFormat::Rfc3339,
    });
    let server = serve_all(stream, vec![way(IngestSource::Http(http()))]).await;
    let answer = server.post(r#"{"device": null, "cpu": 101, "at": "noon"}"#).await;
    assert_eq!(answer.problem(), (422, "the event has 5 errors".into()));
    assert_eq!(
        answer.json()["errors"],
        json!([
            {"pointer": "/cpu", "detail": "101 is greater than the maximum of 100"},
            {"pointer": "/device", "detail": "null is not of type \"string\""},
            {"pointer": "/at", "detail": "the event time `.at` is not an RFC 3339 time with an offset"},
            {"pointer": "/device", "detail": "the key field `.device` is missing or null"},
            {"pointer": "/rack", "detail": "the key field `.rack` is missing or null"},
        ])
    );
    assert!(server.values().is_empty() && server.log.dead_letters().is_empty());
}

#[tokio::test]
async fn what_is_no_event_is_refused_with_its_position() {
    let server = serve(HttpIngest { invalid_status: 418, ..http() }).await;
    let deep = |open: &str, close: &str| {
        format!("{{\"a\":{}{}}}", open.repeat(200), close.repeat(200)).into_bytes()
    };
    let cases: Vec<(Vec<u8>, u16, &str)> = vec![
        (b"".to_vec(), 400, "the body is not JSON: EOF while parsing a value at line 1 column 0"),
        (
            b"\n {".to_vec(),
            400,
            "the body is not JSON: EOF while parsing an object at line 2 column 2",
        ),
        (
            b"{\"cpu\": NaN}".to_vec(),
            400,
            "the body is not JSON: expected value at line 1 column 9",
        ),
        (
            b"{\"cpu\": 1e999}".to_vec(),
            400,
            "the body is not JSON: number out of range at line 1 column 13",
        ),
        (b"{}{}".to_vec(), 400, "the body is not JSON: trailing characters at line 1 column 3"),
        (b"{\"a\":\"\xff\"}".to_vec(), 400, "the body is not UTF-8 at line 1 column 7"),
        (
            deep("[", "]"),
            400,
            "the body is not JSON: recursion limit exceeded at line 1 column 132",
        ),
        (b"3".to_vec(), 418, "the event is not a JSON object"),
    ];
    for (body, status, detail) in cases {
        let answer = server.post(&body).await;
        let (told, mut why) = answer.problem();
        if told == 418 {
            assert_eq!(answer.json()["errors"][0]["pointer"], "");
            why = "the event is not a JSON object".to_owned();
        }
        assert_eq!((told, &*why), (status, detail), "{:?}", String::from_utf8_lossy(&body));
    }
    assert!(server.values().is_empty());
}

#[tokio::test]
async fn other_types_are_refused_with_those_that_are_taken() {
    let server = serve(http()).await;
    let detail =
        "the content type `text/csv` is not taken: send application/json or application/x-ndjson";
    assert_eq!(
        server.post_as(("content-type", "text/csv"), EVENT).await.problem(),
        (415, detail.into())
    );
    assert_eq!(
        send(server.address, "POST /cpu", &[], EVENT).await.problem(),
        (415, "the content type is missing: send application/json or application/x-ndjson".into())
    );
    assert_eq!(
        server.post_as(("content-type", "application/json; charset=latin1"), EVENT).await.problem(),
        (
            415,
            "the charset `latin1` is not UTF-8: send application/json or application/x-ndjson"
                .into()
        )
    );
    for kind in ["application/vnd.cpu+json", "Application/JSON ; charset=\"UTF-8\""] {
        assert_eq!(server.post_as(("content-type", kind), EVENT).await.told(), (202, ""));
    }
}

#[tokio::test]
async fn other_methods_are_refused_with_those_that_are_taken() {
    let put = IngestPlan {
        name: "put".into(),
        ..way(IngestSource::Http(HttpIngest { method: HttpMethod::Put, ..http() }))
    };
    let server = serve_all(measurements(), vec![way(IngestSource::Http(http())), put]).await;
    let answer = send(server.address, "GET /cpu", &[], "").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST,PUT")));
    assert_eq!(send(server.address, "PUT /cpu", &[JSON], EVENT).await.told(), (202, ""));
    assert_eq!(send(server.address, "POST /cp", &[JSON], EVENT).await.status, 404);
}

#[tokio::test]
async fn signs_of_other_routers_mean_themselves_in_a_path() {
    let server = serve(HttpIngest { path: path("/:a/*b"), ..http() }).await;
    assert_eq!(send(server.address, "POST /:a/*b", &[JSON], EVENT).await.told(), (202, ""));
    assert_eq!(send(server.address, "POST /x/y", &[JSON], EVENT).await.status, 404);
}

#[tokio::test]
async fn compressed_bodies_are_taken_and_others_refused() {
    let server = serve(http()).await;
    let encoded = async |encoding: &str, body: Vec<u8>| {
        send(server.address, "POST /cpu", &[JSON, ("content-encoding", encoding)], body).await
    };
    assert_eq!(encoded("gzip", gzip(EVENT.as_bytes())).await.told(), (202, ""));
    let zstd = zstd::encode_all(EVENT.as_bytes(), 3).unwrap();
    assert_eq!(encoded("zstd", zstd).await.told(), (202, ""));
    assert_eq!(server.values(), [EVENT, EVENT]);
    let answer = encoded("br", EVENT.into()).await;
    assert_eq!(
        answer.problem(),
        (415, "the content encoding `br` is not taken: send gzip or zstd".into())
    );
    assert_eq!(answer.header("accept-encoding"), Some("gzip, zstd"));
    let (status, detail) = encoded("gzip", EVENT.into()).await.problem();
    assert_eq!((status, &detail[..34]), (400, "the body cannot be decompressed: i"));
    let mut cut = gzip(EVENT.as_bytes());
    cut.truncate(cut.len() - 9);
    assert_eq!(encoded("gzip", cut).await.status, 400);
}

#[tokio::test]
async fn a_gibibyte_of_zeros_in_a_mebibyte_is_not_taken_apart() {
    let server = serve(http()).await;
    // Each of 1024 members is 1 MiB of zeros.
    let member = gzip(&vec![b' '; 1 << 20]);
    let bomb = member.repeat(1024);
    assert!(bomb.len() > 1 << 20, "{}", bomb.len());
    let bomb = &bomb[..1 << 20];
    let before = resident();
    let headers = [JSON, ("content-encoding", "gzip")];
    let answer = send(server.address, "POST /cpu", &headers, bomb).await;
    assert_eq!(
        answer.problem(),
        (413, "the body has more than 1048576 bytes after decompression".into())
    );
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
    let zeros = zstd::encode_all(&vec![b' '; 32 << 20][..], 3).unwrap();
    let headers = [JSON, ("content-encoding", "zstd")];
    assert_eq!(send(server.address, "POST /cpu", &headers, zeros).await.status, 413);
}

/// Memory of this process that is resident, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[tokio::test]
async fn a_body_of_16_mib_of_brackets_is_refused_in_time() {
    let plan = IngestPlan { max_body_bytes: 16 << 20, ..way(IngestSource::Http(http())) };
    let server = serve_all(measurements(), vec![plan]).await;
    assert_eq!(
        server.post("[".repeat(16 << 20)).await.problem(),
        (400, "the body is not JSON: recursion limit exceeded at line 1 column 129".into())
    );
}

#[tokio::test]
async fn fields_of_forms_are_texts() {
    let plan = mapped(
        HttpIngest { accept: vec![BodyKind::Form], ..http() },
        ". = {\"device\": .device, \"cpu\": 1, \"tags\": .tag}",
    );
    let server = serve_all(measurements(), vec![plan]).await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    let answer = server.post_as(form, "device=d+%C3%A4&tag=a%26b&tag=").await;
    assert_eq!(answer.told(), (202, ""));
    assert_eq!(server.values(), [r#"{"cpu":1,"device":"d ä","tags":["a&b",""]}"#]);
    assert_eq!(
        server.post_as(form, "device=%FF").await.problem(),
        (400, "the form cannot be read: a field is not UTF-8".into())
    );
    assert_eq!(
        server.post(EVENT).await.problem(),
        (415, "the content type `application/json` is not taken: send application/x-www-form-urlencoded or multipart/form-data".into())
    );
}

#[tokio::test]
async fn multipart_forms_are_taken_without_files() {
    let server = serve_all(
        IngestedStream { schema: None, ..measurements() },
        vec![way(IngestSource::Http(HttpIngest { accept: vec![BodyKind::Form], ..http() }))],
    )
    .await;
    let kind = ("content-type", "multipart/form-data; boundary=XX");
    let part = |disposition: &str, text: &str| {
        format!("--XX\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{text}\r\n")
    };
    let form = part("name=\"device\"", "d1") + &part("name=\"note\"", "a\r\nb") + "--XX--\r\n";
    assert_eq!(server.post_as(kind, form).await.told(), (202, ""));
    assert_eq!(server.values(), [r#"{"device":"d1","note":"a\r\nb"}"#]);
    let form = part("name=\"up\"; filename=\"a.txt\"", "x") + "--XX--\r\n";
    let answer = server.post_as(kind, form).await;
    assert_eq!(answer.problem(), (422, "the field `up` is a file; only texts are taken".into()));
    assert_eq!(answer.json()["errors"][0]["pointer"], "/up");
    assert_eq!(server.post_as(kind, "--XX\r\nContent-Disposition").await.status, 400);
}

#[tokio::test]
async fn a_way_in_without_a_body_makes_its_event_of_the_path() {
    let http =
        HttpIngest { path: path("/at/{place}/{ts}"), accept: vec![BodyKind::None], ..http() };
    let map = ". = {\"device\": %path.place, \"cpu\": 1, \"ts\": %path.ts, \"q\": %query, \"m\": %method}";
    let server = serve_all(measurements(), vec![mapped(http, map)]).await;
    let post = async |line: &str| send(server.address, line, &[], "not read").await;
    assert_eq!(post("POST /at/a%2Fb%20c/noon?x=1&x=2&y=%20+").await.told(), (202, ""));
    assert_eq!(post("POST /at/b/").await.told(), (202, ""));
    assert_eq!(
        server.values(),
        [
            r#"{"cpu":1,"device":"a/b c","m":"POST","q":{"x":["1","2"],"y":"  "},"ts":"noon"}"#,
            r#"{"cpu":1,"device":"b","m":"POST","q":{},"ts":""}"#,
        ]
    );
    assert_eq!(
        post("POST /at/%FF/noon").await.problem(),
        (400, "the part `place` of the path is not UTF-8 after percent-decoding".into())
    );
    assert_eq!(post("POST /at/b").await.status, 404);
}
