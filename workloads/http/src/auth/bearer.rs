//! Holders of a signed token (RFC 6750).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::header::WWW_AUTHENTICATE;
use millrace_core::with_causes;
use millrace_plan::model::BearerRule;
use tracing::warn;

use super::failures::Failures;
use super::key_set::KeySet;
use super::keys::Key;
use super::token::Token;
use super::token::TokenError;
use super::too_many;
use crate::Problem;
use crate::User;

/// When to come again where the keys are not known yet.
const KEYS_LATER: Duration = Duration::from_secs(5);

/// An area of holders of a token.
pub(super) struct Bearer {
    rule: BearerRule,
    pub(super) keys: KeySet,
}

impl Bearer {
    pub(super) const fn new(rule: BearerRule, keys: KeySet) -> Self {
        Self { rule, keys }
    }

    /// Who sends the request.
    pub(super) async fn check(
        &self,
        headers: &HeaderMap,
        client: IpAddr,
        failures: &Failures,
    ) -> Result<User, Problem> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Err(challenged(StatusCode::UNAUTHORIZED, "this address needs a token", None));
        };
        let text = value
            .to_str()
            .ok()
            .filter(|_| values.next().is_none())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let Some(text) = text else {
            return Err(challenged(
                StatusCode::UNAUTHORIZED,
                "the header `Authorization` is not `Bearer` with a token",
                Some(("invalid_request", None)),
            ));
        };
        match self.verified(text).await? {
            Ok(user) => Ok(user),
            Err(TokenError::Scope(_)) => Err(challenged(
                StatusCode::FORBIDDEN,
                &format!("the token needs the scopes: {}", self.rule.scopes.join(" ")),
                Some(("insufficient_scope", Some(self.rule.scopes.join(" ")))),
            )),
            // A token is not guessed; but whoever sends wrong ones without end is slowed down.
            Err(error) => {
                if let Some(wait) = failures.wait(client, None) {
                    return Err(too_many(wait));
                }
                failures.add(client, None);
                let error_code = Some(("invalid_token", None));
                Err(challenged(StatusCode::UNAUTHORIZED, &error.to_string(), error_code))
            }
        }
    }

    async fn verified(&self, text: &str) -> Result<Result<User, TokenError>, Problem> {
        let token = match Token::read(text) {
            Ok(token) => token,
            Err(error) => return Ok(Err(error)),
        };
        let mut verified = token.verify(&self.keys().await?);
        if verified == Err(TokenError::UnknownKey) {
            self.ask().await;
            verified = token.verify(&self.keys().await?);
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let checked = verified.and_then(|()| token.check(&self.rule, since.as_secs_f64()));
        Ok(checked.map(|()| User(token.subject().into())))
    }

    async fn keys(&self) -> Result<Arc<Vec<Key>>, Problem> {
        if let Some(keys) = self.keys.get() {
            return Ok(keys);
        }
        self.ask().await;
        self.keys.get().ok_or_else(|| {
            Problem::unavailable("the keys of tokens cannot be fetched at present", KEYS_LATER)
        })
    }

    /// Fetches the keys, if they come from an address and were not fetched a moment ago.
    pub(super) async fn ask(&self) {
        if let KeySet::Address(address) = &self.keys
            && let Err(error) = address.ask().await
        {
            let error = with_causes(&error);
            warn!(message = "The keys of tokens cannot be fetched.", url = address.url(), error);
        }
    }
}

/// A refusal with the header that says what is needed.
fn challenged(status: StatusCode, detail: &str, error: Option<(&str, Option<String>)>) -> Problem {
    let mut challenge = "Bearer".to_owned();
    if let Some((code, scope)) = error {
        challenge.push_str(&format!(" error=\"{code}\", error_description=\"{}\"", quoted(detail)));
        if let Some(scope) = scope {
            challenge.push_str(&format!(", scope=\"{}\"", quoted(&scope)));
        }
    }
    let challenge = HeaderValue::try_from(challenge).unwrap_or(HeaderValue::from_static("Bearer"));
    Problem::new(status, detail).header(WWW_AUTHENTICATE, challenge)
}

/// What may stand between quotes (RFC 6750, 3).
fn quoted(text: &str) -> String {
    text.chars().filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')).collect()
}
