//! Signatures of requests, by secrets that are read from a file and read again when it changes.
//!
//! A line of the file is a secret: `whsec_` and Base64, as Standard Webhooks writes them, or any
//! other text, whose bytes are the key. With several lines a request has a signature by each, so
//! that a secret can be replaced without a gap.

use std::io::Error as IoError;
use std::path::PathBuf;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millrace_core::with_causes;
use parking_lot::Mutex;
use ring::hmac;
use tracing::warn;

/// What Standard Webhooks begins secrets with.
const PREFIX: &str = "whsec_";

/// Secrets that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadSecretError {
    /// There is no folder of Secrets.
    #[error("its signing secret is in a Secret: name the folder of Secrets with --secrets")]
    NoFolder,
    /// The file cannot be read.
    #[error("cannot read its signing secret from {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: IoError,
    },
    /// The file has no secret.
    #[error("{} has no secret: write one, at best `whsec_` and the Base64 of 32 random bytes", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
    /// A secret is no Base64.
    #[error("a secret in {} begins with `whsec_` and is no Base64", file.display())]
    Base64 {
        /// The file.
        file: PathBuf,
    },
}

/// Signs requests.
pub(crate) struct Signer {
    file: PathBuf,
    known: Mutex<Known>,
}

struct Known {
    changed: Option<SystemTime>,
    keys: Vec<hmac::Key>,
}

impl Signer {
    /// A signer by the secrets in a file.
    pub(crate) fn new(file: PathBuf) -> Result<Self, ReadSecretError> {
        let changed = changed(&file);
        let keys = read(&file)?;
        Ok(Self { file, known: Mutex::new(Known { changed, keys }) })
    }

    /// The value of `webhook-signature`: a signature by each secret.
    pub(crate) fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let mut known = self.known.lock();
        let changed = changed(&self.file);
        if changed != known.changed {
            match read(&self.file) {
                Ok(keys) => known.keys = keys,
                // Also while the file is being replaced.
                Err(error) => warn!(
                    message = "Cannot read changed secrets; those before are used.",
                    error = with_causes(&error)
                ),
            }
            known.changed = changed;
        }
        let signatures = known.keys.iter().map(|key| {
            let mut context = hmac::Context::with_key(key);
            for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
                context.update(part);
            }
            format!("v1,{}", STANDARD.encode(context.sign()))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

fn changed(file: &PathBuf) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

fn read(file: &PathBuf) -> Result<Vec<hmac::Key>, ReadSecretError> {
    let text = std::fs::read_to_string(file)
        .map_err(|source| ReadSecretError::Read { file: file.clone(), source })?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys = lines.map(|line| {
        let bytes = match line.strip_prefix(PREFIX) {
            Some(encoded) => STANDARD
                .decode(encoded)
                .map_err(|_| ReadSecretError::Base64 { file: file.clone() })?,
            None => line.as_bytes().to_vec(),
        };
        Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
    });
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() { Err(ReadSecretError::Empty { file: file.clone() }) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Standard Webhooks' own libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn sign(signer: &Signer) -> String {
        signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#)
    }

    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, SECRET).unwrap();
        assert_eq!(sign(&Signer::new(file).unwrap()), SIGNATURE);
    }

    #[test]
    fn a_changed_secret_holds_at_once_and_a_broken_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "old").unwrap();
        let signer = Signer::new(file.clone()).unwrap();
        let old = sign(&signer);
        let write = |text: String, seconds| {
            std::fs::write(&file, text).unwrap();
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            std::fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        };
        write("whsec_???".into(), 1);
        assert_eq!(sign(&signer), old);
        write(format!("{SECRET}\n\nold\n"), 2);
        assert_eq!(sign(&signer), format!("{SIGNATURE} {old}"));
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let refused = || Signer::new(file.clone()).err().unwrap().to_string();
        let path = file.display();
        assert_eq!(refused(), format!("cannot read its signing secret from {path}"));
        std::fs::write(&file, "\n").unwrap();
        assert!(refused().starts_with(&format!("{path} has no secret")));
        std::fs::write(&file, "whsec_*").unwrap();
        assert_eq!(refused(), format!("a secret in {path} begins with `whsec_` and is no Base64"));
    }
}
