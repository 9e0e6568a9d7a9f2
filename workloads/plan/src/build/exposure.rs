//! How the pipeline is reached, and by whom.

use std::path::PathBuf;

use millrace_api as api;

use super::checks::Checks;
use super::http;
use crate::model::Access;
use crate::model::AuthRule;
use crate::model::BearerRule;
use crate::model::CredentialsSource;
use crate::model::ExposurePlan;
use crate::model::KeySource;
use crate::model::SecretSource;
use crate::model::TlsSource;

/// The exposure.
pub(super) fn exposure(
    pipeline: &str,
    spec: &api::ExposureSpec,
    checks: &mut Checks,
) -> ExposurePlan {
    let mut auth: Vec<AuthRule> = Vec::new();
    for (index, rule) in spec.auth.iter().enumerate() {
        let at = format!("spec.exposure.auth[{index}]");
        if rule.path.contains('{') {
            checks.error_with_hint(
                format!("{at}.path"),
                format!("`{}` has a parameter", rule.path),
                "write the part of the path before it; the rule holds for all below",
            );
        }
        if let Some(open) = http::always_open(&rule.path) {
            checks.error_with_hint(
                format!("{at}.path"),
                format!("`{open}` is always open"),
                "leave the rule out",
            );
        }
        let path = match rule.path.trim_end_matches('/') {
            "" => "/".to_owned(),
            path => path.to_owned(),
        };
        if auth.iter().any(|other| other.path == path) {
            checks.error_with_hint(
                format!("{at}.path"),
                format!("`{path}` has a rule already"),
                "leave one out",
            );
        }
        if let Some(access) = access(&at, pipeline, rule, checks) {
            auth.push(AuthRule { path, access });
        }
    }
    let mqtt_users =
        spec.mqtt.as_ref().and_then(|mqtt| secret("spec.exposure.mqtt.users", &mqtt.users, checks));
    ExposurePlan {
        tls: spec.tls.as_ref().and_then(|tls| self::tls(tls, checks)),
        auth,
        mqtt_users,
        origins: spec.origins.iter().map(ToString::to_string).collect(),
        max_connections: Checks::count(spec.limits.connections).max(1),
        max_header_bytes: Checks::count(spec.limits.header_bytes).max(1024),
    }
}

fn tls(spec: &api::TlsSpec, checks: &mut Checks) -> Option<TlsSource> {
    match (&spec.secret, &spec.files, &spec.self_signed, &spec.cert_manager) {
        (Some(secret), None, None, None) => Some(TlsSource::Secret(secret.name.to_string())),
        (None, Some(files), None, None) => Some(TlsSource::Files {
            certificate: PathBuf::from(files.certificate.as_str()),
            key: PathBuf::from(files.key.as_str()),
        }),
        (None, None, Some(_), None) => Some(TlsSource::SelfSigned),
        // It is of the edge, which ends TLS before anything that reads the plan.
        (None, None, None, Some(_)) => None,
        _ => {
            checks.error(
                "spec.exposure.tls",
                "write exactly one of secret, files, selfSigned and certManager",
            );
            None
        }
    }
}

fn access(
    at: &str,
    pipeline: &str,
    rule: &api::AuthRuleSpec,
    checks: &mut Checks,
) -> Option<Access> {
    match (&rule.open, &rule.basic, &rule.bearer) {
        (Some(_), None, None) => Some(Access::Open),
        (None, Some(basic), None) => Some(Access::Basic {
            users: secret(&format!("{at}.basic.users"), &basic.users, checks)?,
            realm: basic.realm.as_ref().map_or_else(|| pipeline.to_owned(), ToString::to_string),
        }),
        (None, None, Some(bearer)) => {
            let keys = match (&bearer.keys, &bearer.keys_url) {
                (Some(keys), None) => {
                    KeySource::Value(secret(&format!("{at}.bearer.keys"), keys, checks)?)
                }
                (None, Some(url)) => {
                    checks.without_password(&format!("{at}.bearer.keysUrl"), url);
                    KeySource::Url(url.to_string())
                }
                _ => {
                    checks.error(format!("{at}.bearer"), "write exactly one of keys and keysUrl");
                    return None;
                }
            };
            Some(Access::Bearer(BearerRule {
                keys,
                issuer: bearer.issuer.as_ref().map(ToString::to_string),
                audiences: bearer.audiences.iter().map(ToString::to_string).collect(),
                scopes: bearer.scopes.iter().map(ToString::to_string).collect(),
            }))
        }
        _ => {
            checks.error(at, "write exactly one of open, basic and bearer");
            None
        }
    }
}

/// A value outside of the resource.
pub(super) fn secret(
    at: &str,
    spec: &api::SecretValueSpec,
    checks: &mut Checks,
) -> Option<SecretSource> {
    one_of(at, spec.secret.as_ref(), spec.file.as_ref(), checks)
}

/// A value that is either a key of a Secret or a file.
pub(super) fn one_of(
    at: &str,
    secret: Option<&api::SecretKeySpec>,
    file: Option<&api::FilePath>,
    checks: &mut Checks,
) -> Option<SecretSource> {
    match (secret, file) {
        (Some(secret), None) => Some(SecretSource::Secret {
            name: secret.name.to_string(),
            key: secret.key.to_string(),
        }),
        (None, Some(file)) => Some(SecretSource::File(PathBuf::from(file.as_str()))),
        _ => {
            checks.error(at, "write exactly one of secret and file");
            None
        }
    }
}

/// A user name and a password outside of the resource.
pub(super) fn credentials(
    at: &str,
    spec: &api::Credentials,
    checks: &mut Checks,
) -> Option<CredentialsSource> {
    match (&spec.secret, &spec.folder) {
        (Some(secret), None) => Some(CredentialsSource::Secret(secret.name.to_string())),
        (None, Some(folder)) => Some(CredentialsSource::Folder(PathBuf::from(folder.as_str()))),
        _ => {
            checks.error(at, "write exactly one of secret and folder");
            None
        }
    }
}
