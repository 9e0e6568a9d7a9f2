//! A log that does not accept, dead letters that are asked for, and requests that wait together.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millrace_log::EmbeddedLog;
use millrace_log::EmbeddedLogOptions;
use millrace_log::Log;
use millrace_log::StreamConfig;
use millrace_plan::model::*;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::client::answer;
use crate::client::request;
use crate::client::send;
use crate::server::*;
use crate::support;

#[tokio::test]
async fn a_log_that_does_not_accept_is_503_for_events_batches_and_dead_letters() {
    let server = serve(HttpIngest { dead_letter: true, ..http() }).await;
    server.log.refuse(1_000_000);
    let detail = "nothing is stored: the log does not accept at present";
    for answer in
        [server.post(EVENT).await, server.post_as(NDJSON, EVENT).await, server.post("{}").await]
    {
        assert_eq!(answer.problem(), (503, detail.into()));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    server.log.refuse(0);
    assert!(server.values().is_empty() && server.log.dead_letters().is_empty());
    assert_eq!(server.post(EVENT).await.status, 202);
    let metrics = server.metrics();
    for line in [
        r#"millrace_http_events_received_total{route="cpu",result="unavailable"} 3"#,
        r#"millrace_http_ingest_requests_total{route="cpu",status="503"} 3"#,
        r#"millrace_http_ingest_requests_total{route="cpu",status="202"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn invalid_events_are_kept_where_that_is_declared() {
    let server = serve(HttpIngest { dead_letter: true, ..http() }).await;
    assert_eq!(server.post("{}").await.status, 422);
    assert_eq!(server.post("{").await.status, 400);
    let body = format!("{EVENT}\n{{\"device\":\"x\",\"cpu\":-1}}");
    assert_eq!(server.post_as(NDJSON, body).await.status, 207);
    let letters = server.log.dead_letters();
    let originals: Vec<_> = letters.iter().map(|letter| &letter.original[..]).collect();
    assert_eq!(originals, [&b"{}"[..], b"{", br#"{"device":"x","cpu":-1}"#]);
    assert!(letters.iter().all(|letter| letter.stage == "ingest/cpu"));
    assert_eq!(
        letters[2].reason,
        "the event does not match the schema of stream `coordinates`: /cpu: -1 is less than the minimum of 0"
    );
    // The last batch was one append.
    assert_eq!(server.log.attempts.load(Ordering::SeqCst), 3);
    assert_eq!(server.values(), [EVENT]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_wait_together_share_one_fsync() {
    let folder = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = EmbeddedLog::open(EmbeddedLogOptions::new(folder.path())).unwrap();
    let plan = support::plan(measurements(), 1, vec![way(IngestSource::Http(http()))]);
    let streams = plan.streams.iter().map(|stream| StreamConfig {
        name: stream.name.clone(),
        partitions: stream.partitions,
        retention: stream.retention,
    });
    log.ensure_streams(&streams.collect::<Vec<_>>()).await.unwrap();
    let (address, ..) = listen(&plan, Arc::clone(&log)).await;
    let before = log.statistics();
    let clients: Vec<_> = (0..64)
        .map(|_| {
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                for _ in 0..20 {
                    let request = request("POST /cpu", &[JSON], EVENT.as_bytes());
                    stream.write_all(&request).await.unwrap();
                    assert_eq!(answer(&mut stream).await.status, 202);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    let after = log.statistics();
    assert_eq!(after.records - before.records, 1280);
    let syncs = after.syncs - before.syncs;
    assert!(syncs <= 640, "{syncs} groups for 1280 requests");
    assert_eq!(send(address, "POST /cpu", &[JSON], EVENT).await.status, 202);
    log.close().await;
    assert_eq!(send(address, "POST /cpu", &[JSON], EVENT).await.status, 503);
}
