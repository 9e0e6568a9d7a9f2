//! A certificate signed by itself, made once and kept.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::certificate::CertificateFiles;
use super::certificate::expiry;

/// How long a certificate holds: as long as browsers take one for.
const VALIDITY: Duration = Duration::from_hours(397 * 24);

/// A certificate with less than this left is made anew at the start.
const LEAST: Duration = Duration::from_hours(30 * 24);

/// Clocks of clients may be behind.
const EARLIER: Duration = Duration::from_hours(24);

/// A certificate that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeCertificateError {
    /// It cannot be computed.
    #[error("cannot make a self-signed certificate")]
    Make(#[from] rcgen::Error),
    /// It cannot be kept.
    #[error("cannot keep the self-signed certificate in {path}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// The certificate in this folder; made if there is none, or if it soon ends.
pub(super) fn certificate(folder: &Path) -> Result<CertificateFiles, MakeCertificateError> {
    let files = CertificateFiles {
        certificate: folder.join("self-signed.crt"),
        key: folder.join("self-signed.key"),
        hint: "remove the other file of the two, and both are made anew at the next start",
    };
    if is_usable(&files) {
        return Ok(files);
    }
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend(host_name().filter(|name| name != "localhost"));
    let mut params = CertificateParams::new(names)?;
    let now = SystemTime::now();
    params.not_before = (now - EARLIER).into();
    params.not_after = (now + VALIDITY).into();
    params.distinguished_name.push(DnType::CommonName, "Millrace, self-signed");
    let key = KeyPair::generate()?;
    let made = params.self_signed(&key)?;
    fs::create_dir_all(folder)
        .map_err(|source| MakeCertificateError::Write { path: folder.to_owned(), source })?;
    write(&files.key, &key.serialize_pem())?;
    write(&files.certificate, &made.pem())?;
    Ok(files)
}

/// Whether both files are there and the certificate holds for a while.
fn is_usable(files: &CertificateFiles) -> bool {
    let certificate = CertificateDer::from_pem_file(&files.certificate).ok();
    files.key.exists()
        && certificate
            .and_then(|certificate| expiry(&certificate))
            .is_some_and(|end| end > SystemTime::now() + LEAST)
}

/// The host's own name, where it can be one of a certificate.
fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?.trim().to_ascii_lowercase();
    let is_name = |name: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        !name.is_empty() && name.chars().all(known)
    };
    Some(name).filter(|name| is_name(name))
}

/// Writes a file that its owner alone may read, whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), MakeCertificateError> {
    let unfinished = path.with_extension("new");
    let write = || {
        // One that is left from before may have other rights.
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(|source| MakeCertificateError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_its_owner_alone_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("tls");
        let files = certificate(&folder).unwrap();
        let first = fs::read(&files.certificate).unwrap();
        for file in [&files.certificate, &files.key] {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        certificate(&folder).unwrap();
        assert_eq!(fs::read(&files.certificate).unwrap(), first);
        fs::remove_file(&files.key).unwrap();
        certificate(&folder).unwrap();
        assert_ne!(fs::read(&files.certificate).unwrap(), first);
        assert!(files.key.exists());
    }
}
