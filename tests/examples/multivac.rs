//! `multivac.yaml`: a question, a queue, an answer.

use crate::file;
use crate::support::http::Answer;
use crate::support::http::curl;
use crate::support::kubernetes::over_kubernetes;
use crate::support::process::Pipeline;
use crate::support::secrets;

const INSUFFICIENT: &str = "INSUFFICIENT DATA FOR MEANINGFUL ANSWER.";

struct Multivac {
    pipeline: Pipeline,
    folder: tempfile::TempDir,
    host: String,
}

impl Multivac {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secrets = folder.path().join("secrets");
        secrets::write_multivac_users(&secrets);
        let secrets = secrets.display().to_string();
        let arguments = ["--secrets", &secrets];
        let mut pipeline = Pipeline::spawn(&file("multivac"), folder.path(), &arguments);
        let host = pipeline.https();
        let url = format!("https://{host}/readyz");
        // An edge keeps this to itself; there a pipeline is ready when it has started.
        if !over_kubernetes() {
            pipeline.until("it is ready", |_| curl(&["--insecure", &url]).status == 200);
        }
        Self { pipeline, folder, host }
    }

    fn ask(&self, arguments: &[&str], path: &str) -> Answer {
        let url = format!("https://{}{path}", self.host);
        curl(&[&["--insecure"], arguments, &[&url]].concat())
    }
}

const ALICE: [&str; 2] = ["--user", secrets::ALICE];

#[test]
fn everyone_is_welcome() {
    let multivac = Multivac::start();
    assert_eq!(multivac.ask(&[], "/").told(), (200, "Welcome to MultiVAC!"));
}

#[test]
fn the_first_data_ever_stored_is_the_answer() {
    let mut multivac = Multivac::start();
    let answer = multivac.ask(&ALICE, "/multivac");
    assert_eq!(answer.told(), (200, INSUFFICIENT));
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    for data in ["LET THERE BE LIGHT!", "second"] {
        let form = format!("data={data}");
        let answer =
            multivac.ask(&[&ALICE[..], &["--data-urlencode", &form]].concat(), "/multivac/data");
        assert_eq!(answer.told(), (200, r#"{"response":"MultiVAC updated!"}"#));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    let url = format!("https://{}/multivac", multivac.host);
    multivac.pipeline.until("the answer is there", |_| {
        let answer = curl(&["--insecure", ALICE[0], ALICE[1], &url]);
        assert!(
            [INSUFFICIENT, "LET THERE BE LIGHT!"].contains(&answer.body.as_str()),
            "{answer:?}"
        );
        answer.body != INSUFFICIENT
    });
    assert!(multivac.folder.path().exists());
}

#[test]
fn empty_data_is_data_and_multipart_is_a_form_too() {
    let mut multivac = Multivac::start();
    let answer = multivac.ask(&[&ALICE[..], &["--form", "data="]].concat(), "/multivac/data");
    assert_eq!(answer.told(), (200, r#"{"response":"MultiVAC updated!"}"#));
    let url = format!("https://{}/multivac", multivac.host);
    multivac.pipeline.until("the answer is there", |_| {
        curl(&["--insecure", ALICE[0], ALICE[1], &url]).told() == (200, "")
    });
}

#[test]
fn a_form_without_the_field_is_refused_and_so_is_what_is_no_form() {
    let multivac = Multivac::start();
    let send =
        |arguments: &[&str]| multivac.ask(&[&ALICE[..], arguments].concat(), "/multivac/data");
    let missing = send(&["--data", "other=1"]);
    assert_eq!(missing.problem().0, 400);
    assert!(missing.body.contains("data"), "{missing:?}");
    for wrong in ["application/json", "text/plain", "application/octet-stream"] {
        let header = format!("Content-Type: {wrong}");
        let answer = send(&["-H", &header, "--data", "{\"data\":\"x\"}"]);
        assert_eq!(answer.problem().0, 415, "{wrong}");
    }
    assert_eq!(send(&["-X", "POST", "-H", "Content-Type:"]).problem().0, 415);
}

#[test]
fn without_a_password_nothing_below_multivac_is_reached() {
    let multivac = Multivac::start();
    for (arguments, path) in [
        (vec![], "/multivac"),
        (vec![], "/multivac/"),
        (vec!["--data", "data=x"], "/multivac/data"),
        (vec!["--user", "alice:wrong"], "/multivac"),
        (vec!["--user", "bob:open sesame"], "/multivac"),
        (vec!["--path-as-is"], "/./multivac"),
        (vec![], "/%6dultivac"),
        (vec!["--path-as-is"], "/x/../multivac"),
        (vec!["--path-as-is"], "//multivac"),
    ] {
        let answer = multivac.ask(&arguments, path);
        assert!(!answer.body.contains("INSUFFICIENT"), "{path}: {answer:?}");
        if path.starts_with("/multivac") {
            assert_eq!(answer.problem().0, 401, "{path}");
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(challenge.starts_with("Basic realm=\"MultiVAC\""), "{challenge}");
        }
    }
}

#[test]
fn without_a_password_the_same_data_is_not_read_elsewhere() {
    let multivac = Multivac::start();
    for path in [
        "/api/v1/tables/facts",
        "/api/v1/streams/data/records",
        "/api/v1/events?streams=data",
        "/dashboard",
    ] {
        assert_eq!(multivac.ask(&[], path).problem().0, 401, "{path}");
    }
    // What is for operators alone is not there at an edge.
    let status = if over_kubernetes() { 404 } else { 401 };
    assert_eq!(multivac.ask(&[], "/api/v1/backup").status, status);
    assert_eq!(multivac.ask(&ALICE, "/api/v1/tables/facts").status, 200);
}

#[test]
fn plain_http_is_sent_to_https() {
    let multivac = Multivac::start();
    let answer = curl(&[&format!("http://{}/multivac?a=b", multivac.host)]);
    assert_eq!(answer.status, 301);
    let expected = format!("https://{}/multivac?a=b", multivac.host);
    assert_eq!(answer.header("location"), Some(expected.as_str()));
}

#[test]
fn without_the_secret_it_does_not_start_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = folder.path().join("none").display().to_string();
    let pipeline = Pipeline::spawn(&file("multivac"), folder.path(), &["--secrets", &secrets]);
    let (status, output) = pipeline.wait();
    assert!(!status.success());
    assert!(output.contains("multivac-users"), "{output}");
    assert!(output.contains("millrace hash-password"), "{output}");
}
