//! Public keys that sign tokens: JWK sets (RFC 7517) and PEM.
//!
//! There is no symmetric algorithm here at all, and a key verifies only what its own kind signs:
//! a token cannot choose another algorithm than its key's.

use std::path::Path;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature;
use ring::signature::RsaPublicKeyComponents;
use ring::signature::UnparsedPublicKey;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;

use crate::der;
use crate::der::Elements;

/// Most keys of a set.
const MAX_KEYS: usize = 64;

/// Most bytes of a set of keys.
pub(crate) const MAX_KEYS_BYTES: usize = 256 * 1024;

/// Algorithms of signatures (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    /// The algorithm of this name, if tokens may be signed by it.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }

    const fn of_rsa(self) -> Option<&'static signature::RsaParameters> {
        Some(match self {
            Self::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
            Self::Es256 | Self::Es384 | Self::EdDsa => return None,
        })
    }
}

/// A public key.
#[derive(Debug)]
pub(super) struct Key {
    /// Its name within the set.
    pub(super) id: Option<String>,
    /// The algorithm that it is for, where the set says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Key {
    /// Whether this key made the signature of the message by this algorithm.
    pub(super) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if self.algorithm.is_some_and(|own| own != algorithm) {
            return false;
        }
        let plain = |kind: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(kind, key).verify(message, signature).is_ok()
        };
        match (&self.material, algorithm) {
            (Material::Rsa { modulus, exponent }, _) => algorithm.of_rsa().is_some_and(|kind| {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(kind, message, signature).is_ok()
            }),
            (Material::P256(key), Algorithm::Es256) => {
                plain(&signature::ECDSA_P256_SHA256_FIXED, key)
            }
            (Material::P384(key), Algorithm::Es384) => {
                plain(&signature::ECDSA_P384_SHA384_FIXED, key)
            }
            (Material::Ed25519(key), Algorithm::EdDsa) => plain(&signature::ED25519, key),
            _ => false,
        }
    }
}

/// Keys that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadKeysError {
    /// The file cannot be read.
    #[error("cannot read the keys of tokens from {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// There is no usable key.
    #[error(
        "there is no key of tokens in {path}: it must hold a JWK set, or public keys in PEM (`BEGIN PUBLIC KEY`), of RSA with 2048 bits or more, P-256, P-384 or Ed25519"
    )]
    None {
        /// The file, or the address.
        path: PathBuf,
    },
    /// There is too much.
    #[error("the keys of tokens in {path} have more than {MAX_KEYS_BYTES} bytes")]
    TooLarge {
        /// The file, or the address.
        path: PathBuf,
    },
}

/// Reads a JWK set, one JWK, or public keys in PEM. Keys of other kinds and uses are passed over.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Key>, LoadKeysError> {
    if bytes.len() > MAX_KEYS_BYTES {
        return Err(LoadKeysError::TooLarge { path: path.to_owned() });
    }
    let keys: Vec<Key> = if bytes.trim_ascii_start().starts_with(b"{") {
        let set: Set = serde_json::from_slice(bytes).unwrap_or_default();
        let single = if set.keys.is_empty() { serde_json::from_slice(bytes).ok() } else { None };
        let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        keys.chain(single).filter_map(Jwk::into_key).take(MAX_KEYS).collect()
    } else {
        SubjectPublicKeyInfoDer::pem_slice_iter(bytes)
            .filter_map(|key| of_subject(&key.ok()?))
            .map(|material| Key { id: None, algorithm: None, material })
            .take(MAX_KEYS)
            .collect()
    };
    if keys.is_empty() {
        return Err(LoadKeysError::None { path: path.to_owned() });
    }
    Ok(keys)
}

#[derive(Default, Deserialize)]
struct Set {
    #[serde(default)]
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    fn into_key(self) -> Option<Key> {
        let verifies = self.usage.is_none_or(|usage| usage == "sig")
            && self.key_ops.is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !verifies {
            return None;
        }
        let algorithm = match &self.alg {
            None => None,
            Some(name) => Some(Algorithm::named(name)?),
        };
        let bytes = |text: Option<String>| URL_SAFE_NO_PAD.decode(text?).ok();
        let point = |x, y, length| {
            let (x, y) = (bytes(x)?, bytes(y)?);
            (x.len() == length && y.len() == length).then(|| [&[4], &x[..], &y[..]].concat())
        };
        let material = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => rsa(&bytes(self.n)?, &bytes(self.e)?)?,
            ("EC", Some("P-256")) => Material::P256(point(self.x, self.y, 32)?),
            ("EC", Some("P-384")) => Material::P384(point(self.x, self.y, 48)?),
            ("OKP", Some("Ed25519")) => {
                Material::Ed25519(bytes(self.x).filter(|key| key.len() == 32)?)
            }
            _ => return None,
        };
        Some(Key { id: self.kid, algorithm, material })
    }
}

/// An RSA key of at least 2048 bits; its numbers are without zeros before them.
fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Material> {
    let number = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        bytes[zeros..].to_vec()
    };
    let (modulus, exponent) = (number(modulus), number(exponent));
    (modulus.len() >= 256 && !exponent.is_empty()).then_some(Material::Rsa { modulus, exponent })
}

/// The key of a `SubjectPublicKeyInfo` (RFC 5280).
fn of_subject(info: &[u8]) -> Option<Material> {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
    const P384: &[u8] = &[0x2b, 0x81, 4, 0, 0x22];
    const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
    let mut info = Elements::new(info).sequence()?;
    let mut kind = info.sequence()?;
    // The first byte of a bit string counts unused bits: there are none.
    let key = info.next(der::BIT_STRING)?.strip_prefix(&[0])?;
    match kind.next(der::OBJECT_IDENTIFIER)? {
        RSA => {
            let mut numbers = Elements::new(key).sequence()?;
            rsa(numbers.next(der::INTEGER)?, numbers.next(der::INTEGER)?)
        }
        EC => match (kind.next(der::OBJECT_IDENTIFIER)?, key.len()) {
            (P256, 65) => Some(Material::P256(key.to_vec())),
            (P384, 97) => Some(Material::P384(key.to_vec())),
            _ => None,
        },
        ED25519 if key.len() == 32 => Some(Material::Ed25519(key.to_vec())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn count(text: &str) -> usize {
        parse(Path::new("keys"), text.as_bytes()).map_or(0, |keys| keys.len())
    }

    #[test]
    fn a_shared_secret_is_no_key() {
        let set = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}]});
        assert_eq!(count(&set.to_string()), 0);
    }

    #[test]
    fn keys_for_encryption_and_short_keys_are_passed_over() {
        let key = |bytes: usize, usage: &str| {
            let n = URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
            json!({"keys": [{"kty": "RSA", "n": n, "e": "AQAB", "use": usage}]}).to_string()
        };
        assert_eq!(count(&key(256, "sig")), 1);
        assert_eq!(count(&key(128, "sig")), 0);
        assert_eq!(count(&key(256, "enc")), 0);
    }

    #[test]
    fn public_keys_in_pem_are_read() {
        for algorithm in
            [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519]
        {
            let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
            assert_eq!(count(&key.public_key_pem()), 1, "{algorithm:?}");
            assert_eq!(count(&key.serialize_pem()), 0, "a private key is not public");
        }
    }

    #[test]
    fn what_holds_no_key_says_what_to_put_there() {
        let error = parse(Path::new("keys"), b"{}").unwrap_err().to_string();
        assert!(error.starts_with("there is no key of tokens in keys: it must hold"), "{error}");
    }
}
