//! Whose a bearer token is and how long it lasts, as the token itself says.

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::client::OAuthToken;
use serde::Deserialize;

/// How long a token lasts that does not say it.
const DEFAULT_LIFETIME: Duration = Duration::from_mins(5);

#[derive(Default, Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: Option<f64>,
}

/// The token as librdkafka wants it. Brokers judge it, not we: what cannot be read here gets
/// defaults.
pub(super) fn describe(token: String) -> OAuthToken {
    let claims = claims(&token).unwrap_or_default();
    let lifetime_ms = match claims.exp {
        #[allow(clippy::cast_possible_truncation)]
        Some(seconds) => (seconds * 1000.0) as i64,
        None => since_epoch(SystemTime::now() + DEFAULT_LIFETIME),
    };
    let principal_name = claims.sub.unwrap_or_else(|| "millrace".to_owned());
    OAuthToken { token, principal_name, lifetime_ms }
}

fn claims(token: &str) -> Option<Claims> {
    let payload = token.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&json).ok()
}

fn since_epoch(time: SystemTime) -> i64 {
    let elapsed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_and_expiry_come_from_the_token() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"sub":"ann","exp":1700000000}"#);
        let token = describe(format!("e30.{payload}.x"));
        assert_eq!(token.principal_name, "ann");
        assert_eq!(token.lifetime_ms, 1_700_000_000_000);
    }

    #[test]
    fn an_opaque_token_lasts_five_minutes() {
        let before = since_epoch(SystemTime::now());
        let token = describe("opaque".to_owned());
        assert_eq!((token.token.as_str(), token.principal_name.as_str()), ("opaque", "millrace"));
        assert!((before + 300_000..before + 310_000).contains(&token.lifetime_ms));
    }
}
