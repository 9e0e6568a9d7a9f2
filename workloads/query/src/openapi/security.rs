//! Who may reach what, as the description says it.

use millrace_plan::model::Access;
use millrace_plan::model::AuthRule;
use millrace_plan::model::ExposurePlan;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// Paths that need no credentials, whatever is declared.
const ALWAYS_OPEN: [&str; 4] = ["/livez", "/readyz", "/metrics", "/openapi.json"];

/// Credentials that a path needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Credentials<'a> {
    /// A user and a password.
    Basic,
    /// A token with these scopes.
    Bearer(&'a [String]),
}

impl Credentials<'_> {
    /// The name of the scheme.
    pub(super) const fn scheme(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Bearer(_) => "bearer",
        }
    }

    /// The scopes that a token must have.
    pub(super) fn scopes(self) -> Vec<String> {
        match self {
            Self::Basic => Vec::new(),
            Self::Bearer(scopes) => scopes.to_vec(),
        }
    }

    /// What may be answered beside what the operation answers.
    pub(super) const fn problems(&self) -> &'static [(u16, &'static str)] {
        const WAIT: (u16, &str) = (429, "Too many failed attempts; come back later.");
        const BUSY: (u16, &str) = (503, "At present this cannot be checked.");
        match self {
            Self::Basic => &[(401, "A user and a password are needed."), WAIT, BUSY],
            Self::Bearer(_) => {
                &[(401, "A valid token is needed."), (403, "The token lacks a scope."), WAIT, BUSY]
            }
        }
    }
}

/// The credentials that a path needs: those of the longest rule above it.
pub(super) fn required<'a>(exposure: &'a ExposurePlan, path: &str) -> Option<Credentials<'a>> {
    if ALWAYS_OPEN.contains(&path) {
        return None;
    }
    let rule = exposure.auth.iter().filter(|rule| covers(rule, path)).max_by_key(|r| r.path.len());
    match &rule?.access {
        Access::Open => None,
        Access::Basic { .. } => Some(Credentials::Basic),
        Access::Bearer(bearer) => Some(Credentials::Bearer(&bearer.scopes)),
    }
}

fn covers(rule: &AuthRule, path: &str) -> bool {
    rule.path == "/"
        || path
            .strip_prefix(rule.path.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The schemes that rules name.
pub(super) fn schemes(exposure: &ExposurePlan) -> Value {
    let mut schemes = Map::new();
    for rule in &exposure.auth {
        match rule.access {
            Access::Open => {}
            Access::Basic { .. } => {
                schemes.insert("basic".to_owned(), json!({"type": "http", "scheme": "basic"}));
            }
            Access::Bearer(_) => {
                let scheme = json!({"type": "http", "scheme": "bearer", "bearerFormat": "JWT"});
                schemes.insert("bearer".to_owned(), scheme);
            }
        }
    }
    schemes.into()
}
