//! Who may reach what.

use std::path::Path;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millrace_http::Auth;
use millrace_plan::model::Access;
use millrace_plan::model::AuthRule;
use millrace_plan::model::BearerRule;
use millrace_plan::model::ExposurePlan;
use millrace_plan::model::KeySource;
use millrace_plan::model::SecretSource;
use ring::rand::SystemRandom;
use ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
use ring::signature::EcdsaKeyPair;
use ring::signature::KeyPair as _;
use serde_json::Value;
use serde_json::json;

use crate::support::Served;

/// Of `hunter2`, by bcrypt with the least cost.
fn bcrypt_users() -> String {
    format!("bob:{}\n", bcrypt::hash("hunter2", 4).unwrap())
}

fn put(folder: &Path, name: &str, key: &str, text: &str) {
    let secret = folder.join("secrets").join(name);
    std::fs::create_dir_all(&secret).unwrap();
    std::fs::write(secret.join(key), text).unwrap();
}

fn secret(name: &str, key: &str) -> SecretSource {
    SecretSource::Secret { name: name.into(), key: key.into() }
}

fn exposure(path: &str, access: Access) -> ExposurePlan {
    let auth = vec![AuthRule { path: path.into(), access }];
    ExposurePlan { auth, ..ExposurePlan::default() }
}

fn basic_exposure(path: &str) -> ExposurePlan {
    let users = secret("multivac-users", "users");
    exposure(path, Access::Basic { users, realm: "Multi\"VAC".into() })
}

async fn basic() -> Served {
    let folder = tempfile::tempdir().unwrap();
    let alice = millrace_http::hash_password("correct horse".as_bytes()).unwrap();
    let users = format!("# those who may\nalice:{alice}\n{}", bcrypt_users());
    put(folder.path(), "multivac-users", "users", &users);
    Served::with(&basic_exposure("/multivac"), folder).await
}

fn user(name: &str, password: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

#[tokio::test]
async fn without_credentials_the_browser_is_asked_for_them() {
    let served = basic().await;
    let answer = served.get("/multivac", &[]).await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Basic realm=\"Multi\\\"VAC\", charset=\"UTF-8\"")
    );
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap()["status"], 401);
    assert_eq!(served.get("/who", &[]).await.body, "nobody");
}

#[tokio::test]
async fn users_pass_with_their_password_however_it_is_hashed() {
    let served = basic().await;
    for _ in 0..2 {
        let alice = served.get("/multivac", &[&user("alice", "correct horse")]).await;
        assert_eq!((alice.status, alice.body.as_str()), (200, "alice"));
        let bob = served.get("/multivac/x", &[&user("bob", "hunter2")]).await;
        assert_eq!((bob.status, bob.body.as_str()), (200, "bob"));
    }
    for wrong in [
        user("alice", "hunter2"),
        user("carol", "hunter2"),
        user("alice", ""),
        "Authorization: Basic x".into(),
        "Authorization: Bearer x".into(),
    ] {
        assert_eq!(served.get("/multivac", &[&wrong]).await.status, 401, "{wrong}");
    }
}

#[tokio::test]
async fn no_way_of_writing_the_path_leads_past_the_rule() {
    let served = basic().await;
    for path in [
        "/multivac/",
        "/multivac/x",
        "/multivac?x",
        "/%6dultivac",
        "/multiva%63",
        "//multivac",
        "/./multivac",
        "/multivac/../multivac",
        "/multivac/..",
        "/who/../multivac",
        "/who/%2e%2e/multivac",
        "/who/..%2fmultivac",
        "/%2fmultivac",
        "/multivac%2fx",
        "/multivac//x",
        "http://localhost/multivac",
    ] {
        let status = served.get(path, &[]).await.status;
        assert!([400, 401].contains(&status), "{path}: {status}");
    }
    for path in ["/metrics", "/who", "/multivacuum"] {
        let status = served.get(path, &[]).await.status;
        assert!([200, 404].contains(&status), "{path}: {status}");
    }
}

#[tokio::test]
async fn some_paths_are_open_even_if_everything_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "multivac-users", "users", &bcrypt_users());
    let served = Served::with(&basic_exposure("/"), folder).await;
    assert_eq!(served.get("/metrics", &[]).await.body, "metrics");
    assert_eq!(served.request("HEAD", "/metrics", &[]).await.status, 200);
    for path in ["/", "/who", "/metrics/", "/metrics/x", "/nowhere"] {
        assert_eq!(served.get(path, &[]).await.status, 401, "{path}");
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        assert_eq!(served.request(method, "/metrics", &[]).await.status, 401, "{method}");
    }
}

#[tokio::test]
async fn the_rule_of_the_longest_path_counts() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "multivac-users", "users", &bcrypt_users());
    let mut exposure = basic_exposure("/multivac");
    exposure.auth.push(AuthRule { path: "/multivac/open".into(), access: Access::Open });
    let served = Served::with(&exposure, folder).await;
    assert_eq!(served.get("/multivac/open", &[]).await.status, 200);
    assert_eq!(served.get("/multivac/open/x", &[]).await.status, 200);
    assert_eq!(served.get("/multivac/opened", &[]).await.status, 401);
    assert_eq!(served.get("/multivac/open/../x", &[]).await.status, 400);
}

#[tokio::test]
async fn whoever_guesses_waits_and_those_who_are_known_do_not() {
    let served = basic().await;
    let known = user("bob", "hunter2");
    assert_eq!(served.get("/multivac", &[&known]).await.status, 200);
    for number in 0..10 {
        let guess = user("bob", &number.to_string());
        assert_eq!(served.get("/multivac", &[&guess]).await.status, 401);
    }
    let refused = served.get("/multivac", &[&user("bob", "10")]).await;
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&wait), "{wait}");
    assert_eq!(served.get("/multivac", &[&known]).await.status, 200);
    // Another user at the same address, maybe of the same proxy, is heard.
    assert_eq!(served.get("/multivac", &[&user("alice", "correct horse")]).await.status, 200);
}

#[tokio::test]
async fn users_that_are_taken_away_do_not_pass_any_longer() {
    let served = basic().await;
    let bob = user("bob", "hunter2");
    assert_eq!(served.get("/multivac", &[&bob]).await.status, 200);
    let other = format!("bob:{}\n", bcrypt::hash("other", 4).unwrap());
    put(served.folder.path(), "multivac-users", "users", &other);
    let mut tries = 0;
    while served.get("/multivac", &[&bob]).await.status == 200 {
        tries += 1;
        assert!(tries < 1000, "the file is not read again");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(served.get("/multivac", &[&user("bob", "other")]).await.status, 200);
}

#[test]
fn a_missing_secret_is_told_with_the_command_that_makes_it() {
    let error = Auth::load(&basic_exposure("/multivac"), Path::new("s")).err().unwrap();
    assert_eq!(
        error.to_string(),
        "`/multivac` in exposure.auth needs users and their passwords, the key users of Secret \
         multivac-users: expected in s/multivac-users/users; `mkdir -p s/multivac-users && \
         millrace hash-password --user alice >> s/multivac-users/users` makes it"
    );
}

/// An issuer of tokens.
struct Issuer {
    key: EcdsaKeyPair,
    random: SystemRandom,
}

impl Issuer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(kind, document.as_ref(), &random).unwrap();
        Self { key, random }
    }

    fn set(&self, id: &str) -> Value {
        let point = self.key.public_key().as_ref();
        let number = |range| URL_SAFE_NO_PAD.encode(&point[range]);
        json!({"keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "kid": id,
            "x": number(1..33), "y": number(33..65),
        }]})
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = self.key.sign(&self.random, message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn bearer_exposure(keys: KeySource) -> ExposurePlan {
    exposure(
        "/multivac",
        Access::Bearer(BearerRule {
            keys,
            issuer: Some("https://issuer.example".into()),
            audiences: vec!["millrace".into()],
            scopes: vec!["read".into()],
        }),
    )
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn claims(change: &Value) -> Value {
    let mut claims = json!({
        "sub": "alice", "iss": "https://issuer.example", "aud": "millrace", "exp": now() + 600,
        "scope": "read write",
    });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

#[tokio::test]
async fn a_signed_token_opens_what_its_claims_allow() {
    let (issuer, other) = (Issuer::new(), Issuer::new());
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "issuer", "keys", &issuer.set("one").to_string());
    let exposure = bearer_exposure(KeySource::Value(secret("issuer", "keys")));
    let served = Served::with(&exposure, folder).await;
    let es256 = json!({"alg": "ES256", "kid": "one"});
    let with = async |token: &str| {
        served.get("/multivac", &[&format!("Authorization: Bearer {token}")]).await
    };
    let alice = with(&issuer.token(&es256, &claims(&json!({})))).await;
    assert_eq!((alice.status, alice.body.as_str()), (200, "alice"));

    let none = served.get("/multivac", &[]).await;
    assert_eq!((none.status, none.header("www-authenticate")), (401, Some("Bearer")));

    for (what, header, change) in [
        ("expired", &es256, json!({"exp": now() - 61})),
        ("without an end", &es256, json!({"exp": null})),
        ("of another audience", &es256, json!({"aud": "other"})),
        ("of another issuer", &es256, json!({"iss": "https://evil.example"})),
        ("unsigned", &json!({"alg": "none"}), json!({})),
        ("by a shared secret", &json!({"alg": "HS256", "kid": "one"}), json!({})),
        ("by another algorithm", &json!({"alg": "RS256", "kid": "one"}), json!({})),
        ("of an unknown key", &json!({"alg": "ES256", "kid": "two"}), json!({})),
    ] {
        let answer = with(&issuer.token(header, &claims(&change))).await;
        assert_eq!(answer.status, 401, "{what}");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{what}: {challenge}");
    }
    assert_eq!(with(&other.token(&es256, &claims(&json!({})))).await.status, 401);

    let lacking = with(&issuer.token(&es256, &claims(&json!({"scope": "write"})))).await;
    assert_eq!(lacking.status, 403);
    let challenge = lacking.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer error=\"insufficient_scope\""), "{challenge}");
    assert!(challenge.ends_with("scope=\"read\""), "{challenge}");
}

#[tokio::test]
async fn a_token_signed_with_the_public_key_as_a_secret_is_refused() {
    let issuer = Issuer::new();
    let folder = tempfile::tempdir().unwrap();
    let set = issuer.set("one").to_string();
    put(folder.path(), "issuer", "keys", &set);
    let exposure = bearer_exposure(KeySource::Value(secret("issuer", "keys")));
    let served = Served::with(&exposure, folder).await;
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({"alg": "HS256", "kid": "one"});
    let message = format!("{}.{}", part(&header), part(&claims(&json!({}))));
    let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, set.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&secret, message.as_bytes()));
    let header = format!("Authorization: Bearer {message}.{signature}");
    assert_eq!(served.get("/multivac", &[&header]).await.status, 401);
}

#[tokio::test]
async fn keys_are_fetched_from_their_address() {
    let issuer = Issuer::new();
    let set = issuer.set("one").to_string();
    let keys = axum::Router::new().route("/keys", axum::routing::get(|| async move { set }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let issuing = tokio::spawn(async move { axum::serve(listener, keys).await });
    let served = Served::new(&bearer_exposure(KeySource::Url(url))).await;
    let token = issuer.token(&json!({"alg": "ES256", "kid": "one"}), &claims(&json!({})));
    let header = format!("Authorization: Bearer {token}");
    assert_eq!(served.get("/multivac", &[&header]).await.body, "alice");
    issuing.abort();
}

#[tokio::test]
async fn while_keys_cannot_be_fetched_clients_are_told_to_come_again() {
    let url = "http://127.0.0.1:1/keys".to_owned();
    let served = Served::new(&bearer_exposure(KeySource::Url(url))).await;
    let token = Issuer::new().token(&json!({"alg": "ES256"}), &claims(&json!({})));
    let answer = served.get("/multivac", &[&format!("Authorization: Bearer {token}")]).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert_eq!(served.get("/who", &[]).await.status, 200);
}
