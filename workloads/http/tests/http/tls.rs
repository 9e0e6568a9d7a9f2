//! TLS: what is spoken, the way to it, and certificates that change.

use std::path::Path;

use millrace_plan::model::ExposurePlan;
use millrace_plan::model::TlsSource;
use tokio::io::AsyncWriteExt as _;

use crate::support::Served;
use crate::support::ask;
use crate::support::is_closed;

/// Writes a new certificate for `localhost` as the Secret `web`, and a copy to trust.
fn make_certificate(folder: &Path, trusted: &Path) {
    let secret = folder.join("secrets/web");
    std::fs::create_dir_all(&secret).unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(secret.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(secret.join("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(trusted, made.cert.pem()).unwrap();
}

fn exposure(source: TlsSource) -> ExposurePlan {
    ExposurePlan { tls: Some(source), ..ExposurePlan::default() }
}

#[tokio::test]
async fn a_self_signed_certificate_is_for_localhost() {
    let served = Served::new(&exposure(TlsSource::SelfSigned)).await;
    let certificate = served.folder.path().join("tls/self-signed.crt");
    let mut connection = served.connect_tls(&certificate, &[]).await.unwrap();
    assert_eq!(ask(&mut connection, "GET", "/who", &[]).await.body, "nobody");
    let expiry = served.metric("millrace_http_tls_certificate_expiry_seconds");
    assert!(expiry > 1_700_000_000.0, "{expiry}");
}

#[tokio::test]
async fn both_versions_of_http_are_offered() {
    let served = Served::new(&exposure(TlsSource::SelfSigned)).await;
    let certificate = served.folder.path().join("tls/self-signed.crt");
    for (offered, chosen) in [(["h2", "http/1.1"], "h2"), (["http/1.1", "http/1.0"], "http/1.1")] {
        let connection = served.connect_tls(&certificate, &offered).await.unwrap();
        assert_eq!(connection.get_ref().1.alpn_protocol(), Some(chosen.as_bytes()));
    }
}

#[tokio::test]
async fn plain_http_is_shown_the_way() {
    let served = Served::new(&exposure(TlsSource::SelfSigned)).await;
    let answer = served.request("POST", "/who?a=b", &["Host: example.com:8080"]).await;
    assert_eq!(answer.status, 301);
    assert_eq!(answer.header("location"), Some("https://example.com:8080/who?a=b"));
    let mut connection = served.connect().await;
    connection.write_all(b"GET /who HTTP/1.0\r\n\r\n").await.unwrap();
    assert_eq!(crate::support::read(&mut connection).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_go_on_ends() {
    let served = Served::new(&exposure(TlsSource::SelfSigned)).await;
    let mut connection = served.connect().await;
    connection.write_all(&[0x16, 3, 1]).await.unwrap();
    let begin = tokio::time::Instant::now();
    assert!(is_closed(&mut connection).await);
    let taken = begin.elapsed().as_secs();
    assert!((9..=12).contains(&taken), "{taken}");
}

#[tokio::test]
async fn a_certificate_that_changes_is_used_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first.crt"), folder.path().join("second.crt"));
    make_certificate(folder.path(), &first);
    let served = Served::with(&exposure(TlsSource::Secret("web".into())), folder).await;
    served.connect_tls(&first, &[]).await.unwrap();

    let certificate = served.folder.path().join("secrets/web/tls.crt");
    std::fs::write(&certificate, "not a certificate").unwrap();
    served.metric_becomes("millrace_http_tls_certificate_reload_failures_total", 1.0).await;
    let mut before = served.connect_tls(&first, &[]).await.unwrap();

    make_certificate(served.folder.path(), &second);
    let mut tries = 0;
    while served.connect_tls(&second, &[]).await.is_err() {
        tries += 1;
        assert!(tries < 600, "the certificate is not used");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(served.connect_tls(&first, &[]).await.is_err());
    // Connections that are open stay.
    assert_eq!(ask(&mut before, "GET", "/who", &[]).await.status, 200);
}
