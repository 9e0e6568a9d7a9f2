//! Signed tokens: JWT (RFC 7519) in the compact form of JWS (RFC 7515).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millrace_plan::model::BearerRule;
use serde::Deserialize;
use serde_json::Value;

use super::keys::Algorithm;
use super::keys::Key;

/// How far clocks may be apart, in seconds.
const LEEWAY: f64 = 60.0;

/// Longest token, in bytes.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Why a token is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    #[error("the token is not a JWT in its compact form")]
    Form,
    #[error(
        "the token's algorithm is not taken: sign it by RS256, RS384, RS512, PS256, ES256, ES384 or EdDSA"
    )]
    Algorithm,
    #[error("the token's key is unknown")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token has no time `exp` at which it ends")]
    NoEnd,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    Early,
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token is for another audience")]
    Audience,
    /// What is missing.
    #[error("the token lacks the scope `{0}`")]
    Scope(String),
}

/// A token whose parts have been read; nothing of it is verified yet.
pub(super) struct Token<'a> {
    message: &'a [u8],
    signature: Vec<u8>,
    algorithm: Algorithm,
    key: Option<String>,
    claims: Claims,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
    b64: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    client_id: Option<String>,
    azp: Option<String>,
    iss: Option<Value>,
    aud: Option<Value>,
    exp: Option<Value>,
    nbf: Option<Value>,
    scope: Option<Value>,
    scp: Option<Value>,
}

impl<'a> Token<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, TokenError> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Form);
        }
        let (message, signature) = text.rsplit_once('.').ok_or(TokenError::Form)?;
        let (header, claims) = message.split_once('.').ok_or(TokenError::Form)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Form);
        let header: Header =
            serde_json::from_slice(&decode(header)?).map_err(|_| TokenError::Form)?;
        // Extensions that must be understood are not.
        if header.crit.is_some() || header.b64.is_some() {
            return Err(TokenError::Form);
        }
        Ok(Self {
            algorithm: Algorithm::named(&header.alg).ok_or(TokenError::Algorithm)?,
            key: header.kid,
            message: message.as_bytes(),
            signature: decode(signature)?,
            claims: serde_json::from_slice(&decode(claims)?).map_err(|_| TokenError::Form)?,
        })
    }

    /// Checks the signature; a token that names no key may be of any.
    pub(super) fn verify(&self, keys: &[Key]) -> Result<(), TokenError> {
        let mut candidates =
            keys.iter().filter(|key| self.key.is_none() || key.id.is_none() || key.id == self.key);
        let mut some = false;
        let is_right = candidates.any(|key| {
            some = true;
            key.verify(self.algorithm, self.message, &self.signature)
        });
        match (is_right, some) {
            (true, _) => Ok(()),
            (false, true) => Err(TokenError::Signature),
            (false, false) => Err(TokenError::UnknownKey),
        }
    }

    /// Checks what a verified token says; `now` is in seconds since 1970.
    pub(super) fn check(&self, rule: &BearerRule, now: f64) -> Result<(), TokenError> {
        let claims = &self.claims;
        let end = claims.exp.as_ref().and_then(Value::as_f64).ok_or(TokenError::NoEnd)?;
        if end + LEEWAY <= now {
            return Err(TokenError::Expired);
        }
        if let Some(begin) = &claims.nbf
            && begin.as_f64().is_none_or(|begin| begin - LEEWAY > now)
        {
            return Err(TokenError::Early);
        }
        if let Some(issuer) = &rule.issuer
            && claims.iss.as_ref().and_then(Value::as_str) != Some(issuer)
        {
            return Err(TokenError::Issuer);
        }
        let audiences = texts(claims.aud.as_ref());
        if !rule.audiences.is_empty()
            && !rule.audiences.iter().any(|own| audiences.contains(&&**own))
        {
            return Err(TokenError::Audience);
        }
        let scopes: Vec<&str> = [&claims.scope, &claims.scp]
            .into_iter()
            .flat_map(|claim| texts(claim.as_ref()))
            .flat_map(str::split_whitespace)
            .collect();
        match rule.scopes.iter().find(|scope| !scopes.contains(&scope.as_str())) {
            Some(missing) => Err(TokenError::Scope(missing.clone())),
            None => Ok(()),
        }
    }

    /// Whom the token speaks for.
    pub(super) fn subject(&self) -> &str {
        let claims = &self.claims;
        let named = claims.sub.as_ref().or(claims.client_id.as_ref()).or(claims.azp.as_ref());
        named.map_or("token", String::as_str)
    }
}

/// A text, or the texts of an array.
fn texts(claim: Option<&Value>) -> Vec<&str> {
    match claim {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use millrace_plan::model::KeySource;
    use serde_json::json;

    use super::*;

    const NOW: f64 = 1_000_000.0;

    fn rule() -> BearerRule {
        BearerRule {
            keys: KeySource::Url(String::new()),
            issuer: Some("https://issuer.example".into()),
            audiences: vec!["millrace".into(), "other".into()],
            scopes: vec!["read".into(), "write".into()],
        }
    }

    fn checked(change: &Value) -> Result<(), TokenError> {
        let mut claims = json!({
            "sub": "alice", "iss": "https://issuer.example", "aud": ["x", "millrace"],
            "exp": NOW + 1.0, "scope": "read write more",
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}.AA", part(json!({"alg": "ES256"})), part(claims));
        Token::read(&text)?.check(&rule(), NOW)
    }

    #[test]
    fn every_claim_that_the_rule_names_is_checked() {
        assert_eq!(checked(&json!({})), Ok(()));
        assert_eq!(checked(&json!({"aud": "other"})), Ok(()));
        assert_eq!(checked(&json!({"scope": null, "scp": ["read", "write"]})), Ok(()));
        assert_eq!(checked(&json!({"exp": NOW - 59.0, "nbf": NOW + 60.0})), Ok(()));
        assert_eq!(checked(&json!({"exp": NOW - 60.0})), Err(TokenError::Expired));
        assert_eq!(checked(&json!({"exp": null})), Err(TokenError::NoEnd));
        assert_eq!(checked(&json!({"exp": "2000000"})), Err(TokenError::NoEnd));
        assert_eq!(checked(&json!({"nbf": NOW + 61.0})), Err(TokenError::Early));
        assert_eq!(checked(&json!({"nbf": "soon"})), Err(TokenError::Early));
        assert_eq!(checked(&json!({"iss": "https://issuer.example/"})), Err(TokenError::Issuer));
        assert_eq!(checked(&json!({"iss": ["https://issuer.example"]})), Err(TokenError::Issuer));
        assert_eq!(checked(&json!({"aud": null})), Err(TokenError::Audience));
        assert_eq!(checked(&json!({"aud": ["mill"]})), Err(TokenError::Audience));
        assert_eq!(
            checked(&json!({"scope": "read writer"})),
            Err(TokenError::Scope("write".into()))
        );
    }

    #[test]
    fn algorithms_without_a_public_key_are_not_taken() {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        for algorithm in ["none", "None", "HS256", "HS512", "", "RS1"] {
            let text = format!("{}.{}.", part(json!({"alg": algorithm})), part(json!({})));
            assert_eq!(Token::read(&text).err(), Some(TokenError::Algorithm), "{algorithm}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let critical = json!({"alg": "ES256", "crit": ["exp"]}).to_string();
        let critical = format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(critical));
        for text in ["", ".", "..", "a.b", "a.b.c.d", &critical, &"a".repeat(20_000)] {
            assert_eq!(Token::read(text).err(), Some(TokenError::Form), "{text}");
        }
    }
}
