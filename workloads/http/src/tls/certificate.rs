//! A certificate and its key, read from files.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem;
use rustls_pki_types::pem::PemObject as _;

use crate::der;
use crate::der::Elements;

/// Certificate or key files that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadCertificateError {
    /// A file is not there.
    #[error("the {what} is not there: expected in {path}; {hint}")]
    Missing {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read the {what} from {path}")]
    Read {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file holds nothing of the kind.
    #[error("there is no {what} in PEM in {path}")]
    Parse {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: pem::Error,
    },
    /// The key does not belong to the certificate, or the algorithm is not supported.
    #[error("cannot use the certificate {certificate} with the key {key}")]
    Use {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
}

/// Where a certificate and its key are.
#[derive(Debug, Clone)]
pub(super) struct CertificateFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    /// What to do where a file is not there.
    pub(super) hint: &'static str,
}

/// The contents of both files.
#[derive(PartialEq, Eq)]
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl CertificateFiles {
    pub(super) fn read(&self) -> Result<Contents, LoadCertificateError> {
        Ok(Contents {
            certificate: self.file("certificate", &self.certificate)?,
            key: self.file("key of the certificate", &self.key)?,
        })
    }

    fn file(&self, what: &'static str, path: &Path) -> Result<Vec<u8>, LoadCertificateError> {
        std::fs::read(path).map_err(|source| {
            let path = path.to_owned();
            if source.kind() == std::io::ErrorKind::NotFound {
                LoadCertificateError::Missing { what, path, hint: self.hint }
            } else {
                LoadCertificateError::Read { what, path, source }
            }
        })
    }

    /// Makes what the files hold ready for handshakes.
    pub(super) fn parse(
        &self,
        contents: &Contents,
        provider: &CryptoProvider,
    ) -> Result<Arc<CertifiedKey>, LoadCertificateError> {
        let parse = |what, path: &Path| {
            let path = path.to_owned();
            move |source| LoadCertificateError::Parse { what, path, source }
        };
        let chain = CertificateDer::pem_slice_iter(&contents.certificate)
            .collect::<Result<Vec<_>, _>>()
            .and_then(
                |chain| {
                    if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) }
                },
            )
            .map_err(parse("certificate", &self.certificate))?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(parse("key", &self.key))?;
        CertifiedKey::from_der(chain, key, provider).map(Arc::new).map_err(|source| {
            LoadCertificateError::Use {
                certificate: self.certificate.clone(),
                key: self.key.clone(),
                source,
            }
        })
    }
}

/// When a certificate ends.
pub(super) fn expiry(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let mut body = Elements::new(certificate).sequence()?.sequence()?;
    body.skip(der::VERSION);
    body.next(der::INTEGER)?;
    let (_algorithm, _issuer) = (body.sequence()?, body.sequence()?);
    let mut validity = body.sequence()?;
    let _begin = validity.any()?;
    let (tag, end) = validity.any()?;
    let end = std::str::from_utf8(end).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        der::UTC_TIME => {
            let (year, rest) = end.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        der::GENERALIZED_TIME => {
            let (year, rest) = end.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let digits: Vec<u64> = rest
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok()?.parse().ok())
        .collect::<Option<_>>()?;
    let &[month, day, hour, minute, second] = digits.as_slice() else { return None };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = u64::try_from(days_since_epoch(year, month, day)).ok()?;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; years are counted from March, so
/// that a leap day is the last of its year.
fn days_since_epoch(year: i64, month: u64, day: u64) -> i64 {
    let (month, day) = (month.cast_signed(), day.cast_signed());
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!(days_since_epoch(1970, 1, 1), 0);
        assert_eq!(days_since_epoch(2000, 2, 29), 11_016);
        assert_eq!(days_since_epoch(2000, 3, 1), 11_017);
        assert_eq!(days_since_epoch(2026, 11, 21), 20_778);
    }

    #[test]
    fn the_end_of_a_certificate_is_read() {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        for (year, seconds) in [(2031, 1_930_003_200), (2060, 2_845_152_000)] {
            params.not_after = rcgen::date_time_ymd(year, 2, 28);
            let certificate = params.self_signed(&key).unwrap();
            let expected = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(expiry(certificate.der()), Some(expected), "{year}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        assert_eq!(expiry(&CertificateDer::from(vec![0x30, 3, 1, 1, 1])), None);
        assert_eq!(expiry(&CertificateDer::from(Vec::new())), None);
    }
}
