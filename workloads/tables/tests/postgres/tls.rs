//! Connections by TLS.

use std::fs;
use std::path::Path;
use std::process::Command;

use millrace_services::Postgres;
use millrace_tables::TableStore as _;
use millrace_tables::postgres::PostgresStore;
use millrace_tables::postgres::PostgresTls;
use millrace_tables::postgres::PostgresTlsMode;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;

use crate::place::Place;
use crate::place::ask;
use crate::place::until;

/// An authority, and what it issues.
struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate for a host or a user, and its key.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        (certificate, key.serialize_pem())
    }
}

/// Gives a file to the user that the server runs as.
fn give(path: &Path, like: &str) {
    let owner = Command::new("chown").arg("--reference").arg(like).arg(path).status().unwrap();
    assert!(owner.success());
    let mode = Command::new("chmod").arg("600").arg(path).status().unwrap();
    assert!(mode.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_as_protected_as_its_settings_say() {
    let server = Postgres::start().unwrap();
    let authority = Authority::new();
    let (certificate, key) = authority.issue("127.0.0.1");
    let data = server.sql("SHOW data_directory").unwrap();
    for (name, content) in [
        ("server.crt", &certificate),
        ("server.key", &key),
        ("authority.crt", &authority.certificate),
    ] {
        let path = Path::new(&data).join(name);
        fs::write(&path, content).unwrap();
        give(&path, &data);
    }
    // A user by certificate alone, and no one without TLS but by the port that tests use.
    server.sql("CREATE ROLE device LOGIN SUPERUSER").unwrap();
    let rules = Path::new(&data).join("pg_hba.conf");
    let before = fs::read_to_string(&rules).unwrap();
    fs::write(&rules, format!("hostssl all device 127.0.0.1/32 cert\n{before}")).unwrap();
    for setting in ["ssl = on", "ssl_ca_file = 'authority.crt'"] {
        server.sql(&format!("ALTER SYSTEM SET {setting}")).unwrap();
    }
    server.sql("SELECT pg_reload_conf()").unwrap();
    until("TLS is on", async || server.sql("SHOW ssl").unwrap() == "on").await;

    let mut place = Place::of(&server);
    let trusted = place.file("authority.pem", &authority.certificate);
    let stranger = place.file("stranger.pem", &Authority::new().certificate);
    let with = |mode, certificate_authority| PostgresTls {
        mode,
        certificate_authority,
        ..PostgresTls::default()
    };
    for (tls, is_protected) in [
        (with(PostgresTlsMode::Disable, None), "false"),
        (with(PostgresTlsMode::Prefer, None), "true"),
        (with(PostgresTlsMode::Require, None), "true"),
        (with(PostgresTlsMode::Require, Some(trusted.clone())), "true"),
        (with(PostgresTlsMode::VerifyFull, Some(trusted.clone())), "true"),
    ] {
        place.settings.tls = tls.clone();
        let store = place.store().await;
        let mut session = place.session().await;
        let shown = "SELECT bool_and(ssl)::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE application_name = 'millrace cars'";
        assert_eq!(ask(&mut session, shown).await, is_protected, "{tls:?}");
        store.close().await;
        let session = tokio::sync::Mutex::new(&mut session);
        until("the session is gone", async || {
            let gone = "SELECT count(*)::text FROM pg_stat_activity \
                        WHERE application_name = 'millrace cars'";
            ask(*session.lock().await, gone).await == "0"
        })
        .await;
    }
    for mode in [PostgresTlsMode::Require, PostgresTlsMode::VerifyFull] {
        place.settings.tls = with(mode, Some(stranger.clone()));
        let refused = PostgresStore::connect(&place.settings, "cars").await.map(|_| ());
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("check the certificates"), "{refused}");
    }
    // The server's name is not in the certificate.
    place.settings.tls = with(PostgresTlsMode::VerifyFull, Some(trusted.clone()));
    place.settings.host = "localhost".into();
    assert!(PostgresStore::connect(&place.settings, "cars").await.is_err());
    place.settings.host = "127.0.0.1".into();

    let (certificate, key) = authority.issue("device");
    let mut device = place.as_user("device", "");
    device.settings.password_file = None;
    device.settings.tls = PostgresTls {
        certificate: Some(place.file("device.pem", &certificate)),
        key: Some(place.file("device.key", &key)),
        ..with(PostgresTlsMode::VerifyFull, Some(trusted))
    };
    let store = device.store().await;
    assert_eq!(store.schema(), device.schema());
    device.settings.tls.certificate = None;
    device.settings.tls.key = None;
    assert!(PostgresStore::connect(&device.settings, "cars").await.is_err());
}
