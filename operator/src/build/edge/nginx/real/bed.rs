//! A running edge, with its pods and their names, on free ports of this machine.

use std::collections::BTreeSet;
use std::fs::File;
use std::fs::Permissions;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls_pki_types::ServerName;
use tempfile::TempDir;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::build::edge::START;
use crate::build::edge::nginx::places::Places;
use crate::build::edge::nginx::real::dns::Names;
use crate::build::edge::nginx::real::pods::Pod;
use crate::build::edge::nginx::real::pods::echoing;
use crate::build::edge::nginx::real::pods::until;
use crate::build::edge::nginx::real::program::nginx;
use crate::build::edge::nginx::written;
use crate::pipeline::Pipeline;

/// Where the pods of a bed are.
pub(super) const INGEST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
pub(super) const QUERY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// A running edge. Dropping it ends it.
pub(super) struct Bed {
    pub(super) names: Names,
    pub(super) query: Pod,
    pub(super) places: Places,
    folder: TempDir,
    process: Child,
}

/// An answer, taken apart.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    /// What a pod has told.
    pub(super) fn told(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Bed {
    /// Starts an edge, an ingest pod and a query pod.
    pub(super) async fn start(pipeline: &Pipeline) -> Self {
        let bed = Self::begin(pipeline, &[INGEST], "60").await;
        bed.ready().await;
        bed
    }

    /// The same without waiting for it. Addresses of pods are what the script finds, and waits for this
    /// many seconds for.
    pub(super) async fn begin(pipeline: &Pipeline, addresses: &[Ipv4Addr], patience: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::default();
        let dns = names.serve().await;
        let path = |name: &str| folder.path().join(name);
        for name in ["configuration", "certificate", "temporary"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let pods = free_port();
        let places = Places {
            http: free_port(),
            https: free_port(),
            mqtt: free_port(),
            certificate: text(path("certificate")),
            temporary: text(path("temporary")),
            log: text(path("access.log")),
            ingest_http: pods,
            ingest_mqtt: free_port(),
            query_http: pods,
        };
        Pod::serve("ingest", INGEST, pods).await;
        let query = Pod::serve("query", QUERY, pods).await;
        echoing(INGEST, places.ingest_mqtt).await;
        names.set("race-ingest.factory.svc.cluster.local", &[INGEST]);
        names.set("race-query.factory.svc.cluster.local", &[QUERY]);
        write_certificate(&path("certificate"));
        std::fs::write(path("configuration/nginx.conf"), written(pipeline, &places)).unwrap();
        std::fs::write(path("configuration/start.sh"), START).unwrap();
        std::fs::write(path("resolv.conf"), format!("search x\nnameserver {dns}\n")).unwrap();
        // In place of the system's, which asks the machine's own DNS.
        let getent = format!("#!/bin/sh\nsed 's/$/ STREAM x/' '{}'\n", text(path("ingest")));
        std::fs::write(path("getent"), getent).unwrap();
        std::fs::set_permissions(path("getent"), Permissions::from_mode(0o755)).unwrap();
        std::fs::write(path("ingest"), lines(addresses)).unwrap();
        let program = nginx();
        let search = format!(
            "{}:{}:{}",
            folder.path().display(),
            program.parent().unwrap().display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let arguments = ["configuration/start.sh", "configuration", "certificate", "temporary"];
        // A shell cannot heed what it was begun to ignore: INT and QUIT, where tests run in the
        // background of a script.
        let process = Command::new("env")
            .args(["--default-signal=INT,QUIT", "/bin/sh"])
            .args(arguments.map(path))
            .arg(path("resolv.conf"))
            .env("PATH", search)
            .env("EDGE_WATCH_SECONDS", "0.2")
            .env("EDGE_AWAIT_SECONDS", patience)
            .stdin(Stdio::null())
            .stderr(File::create(path("errors.log")).unwrap())
            .spawn()
            .unwrap();
        Self { names, query, places, folder, process }
    }

    pub(super) async fn ready(&self) {
        // It begins to listen on one port after the other.
        for port in [self.places.http, self.places.https, self.places.mqtt] {
            let mut listens = false;
            for _ in 0..400 {
                listens = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok();
                if listens {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            assert!(listens, "{}", self.errors());
        }
        // Names are asked for once it runs.
        until("pods are found", async || {
            self.get("/ready-to-test").await.status == 200
                && self.ask("POST /cars HTTP/1.1\r\nContent-Length: 0\r\n").await.status == 200
        })
        .await;
    }

    /// What nginx has complained about.
    pub(super) fn errors(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("errors.log")).unwrap()
    }

    /// The log of requests.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default()
    }

    /// The workers that take connections. One that only ends what it has says so in its title.
    pub(super) fn workers(&self) -> BTreeSet<String> {
        let master = std::fs::read_to_string(self.folder.path().join("temporary/nginx.pid"));
        let master = master.unwrap();
        let mut workers = BTreeSet::new();
        for entry in std::fs::read_dir("/proc").unwrap() {
            let folder = entry.unwrap().path();
            // Processes come and go meanwhile.
            let Ok(status) = std::fs::read_to_string(folder.join("status")) else { continue };
            let Ok(title) = std::fs::read_to_string(folder.join("cmdline")) else { continue };
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
            if parent.map(str::trim) == Some(master.trim()) && title.contains("worker process\0") {
                workers.insert(folder.file_name().unwrap().to_str().unwrap().to_owned());
            }
        }
        workers
    }

    /// Waits until none of these workers takes connections any more.
    pub(super) async fn retired(&self, workers: &BTreeSet<String>) {
        assert!(!workers.is_empty());
        until("others have taken over", async || self.workers().is_disjoint(workers)).await;
    }

    /// The addresses of pods that the script finds are these from now on.
    pub(super) fn find(&self, addresses: &[Ipv4Addr]) {
        let (new, file) = (self.folder.path().join("new"), self.folder.path().join("ingest"));
        std::fs::write(&new, lines(addresses)).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    /// The same, and nobody asks others.
    pub(super) async fn followed(&self, addresses: &[Ipv4Addr]) {
        let workers = self.workers();
        self.find(addresses);
        self.retired(&workers).await;
    }

    /// Another certificate than before, in files that say that they are as old.
    pub(super) fn renew_certificate(&self) {
        let folder = self.folder.path().join("certificate");
        let files = ["tls.crt", "tls.key"].map(|name| folder.join(name));
        let times = files.each_ref().map(|file| file.metadata().unwrap().modified().unwrap());
        write_certificate(&folder);
        for (file, time) in files.iter().zip(times) {
            File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
        }
    }

    /// A certificate that is none.
    pub(super) fn spoil_certificate(&self) {
        std::fs::write(self.folder.path().join("certificate/tls.crt"), "none").unwrap();
    }

    /// The certificate in its file.
    pub(super) fn certificate(&self) -> Vec<u8> {
        certificate_of(
            &std::fs::read_to_string(self.folder.path().join("certificate/tls.crt")).unwrap(),
        )
    }

    /// A connection.
    pub(super) async fn connect(&self, port: u16) -> TlsStream<TcpStream> {
        self.try_connect(port).await.unwrap()
    }

    /// A connection, if there is one to be had.
    pub(super) async fn try_connect(&self, port: u16) -> std::io::Result<TlsStream<TcpStream>> {
        let authorities = std::fs::read_to_string(self.folder.path().join("certificate/all.crt"));
        let mut roots = RootCertStore::empty();
        for certificate in authorities.unwrap().split_inclusive("-----END CERTIFICATE-----\n") {
            roots.add(certificate_of(certificate).into()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let name = ServerName::try_from("race.example.com").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// The certificate that is served now.
    pub(super) async fn served(&self) -> Vec<u8> {
        let stream = self.connect(self.places.https).await;
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    /// Asks over HTTPS for a path.
    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\n")).await
    }

    /// Asks over HTTPS by these lines; the host is added, and that the connection ends.
    pub(super) async fn ask(&self, lines: &str) -> Answer {
        self.ask_with_body(lines, "").await
    }

    /// The same with a body.
    pub(super) async fn ask_with_body(&self, lines: &str, body: &str) -> Answer {
        let request = format!("{lines}Host: race.example.com\r\nConnection: close\r\n\r\n{body}");
        self.exchange(&request).await
    }

    /// Sends this over HTTPS, as it is, and reads to the end.
    pub(super) async fn exchange(&self, request: &str) -> Answer {
        let stream = self.connect(self.places.https).await;
        exchange(stream, request).await
    }

    /// Sends this by plain HTTP, as it is, and reads to the end.
    pub(super) async fn exchange_plainly(&self, request: &str) -> Answer {
        self.exchange_plainly_at(self.places.http, request).await
    }

    /// The same to another port.
    pub(super) async fn exchange_plainly_at(&self, port: u16, request: &str) -> Answer {
        exchange(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap(), request).await
    }

    /// The process that started nginx is told to end.
    pub(super) fn tell_to_end(&self) {
        signal("-QUIT", &self.process.id().to_string());
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Ok(pid) = std::fs::read_to_string(self.folder.path().join("temporary/nginx.pid")) {
            signal("-TERM", pid.trim());
        }
        let _ = self.process.wait();
    }
}

fn signal(signal: &str, process: &str) {
    let _ = Command::new("kill").args([signal, process]).stderr(Stdio::null()).status();
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Answer {
    // Whoever is refused early may find the connection closed for writing.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        unchunked(body)
    } else {
        body.to_owned()
    };
    Answer { status: status.unwrap_or_else(|| panic!("{head}")), head: head.to_owned(), body }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        whole.push_str(&rest[..length]);
        body = rest[length..].trim_start_matches("\r\n");
    }
    whole
}

fn lines(addresses: &[Ipv4Addr]) -> String {
    let mut lines: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    lines.push(String::new());
    lines.join("\n")
}

/// Beside it all certificates that there have been, for who trusts them.
fn write_certificate(folder: &std::path::Path) {
    let names = vec!["race.example.com".to_owned(), "localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let all = std::fs::read_to_string(folder.join("all.crt")).unwrap_or_default();
    std::fs::write(folder.join("all.crt"), all + &made.cert.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
}

fn certificate_of(pem: &str) -> Vec<u8> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

/// A port below those that connections of this machine begin at: they could take it before nginx.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(61);
    loop {
        let number = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(10_000 + number % 20_000).unwrap();
        if std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
}
