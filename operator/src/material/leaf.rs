//! Certificates that the authority signs: kept until two thirds of their life are over, and signed
//! anew when their names or the authority are others.

use jiff::SignedDuration;
use jiff::Timestamp;
use rcgen::CertificateParams;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;

use super::Authority;
use super::Hidden;
use super::Leaf;
use super::MaterialError;
use super::certificate;
use super::certificate::Facts;

/// How long a certificate is valid.
const LIFE: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be connected to.
    Server,
    /// To connect.
    Client,
    /// Both: nodes among each other.
    Peer,
}

/// A certificate that is wanted.
pub(super) struct Order<'a> {
    /// Its common name: who it is to others.
    pub(super) name: &'a str,
    /// Names and addresses that it is for.
    pub(super) hosts: &'a [String],
    /// What it is for.
    pub(super) purpose: Purpose,
}

/// The certificate and key that are there as long as they are good, or new ones.
///
/// # Errors
/// The certificate cannot be made, as when one of its names is none.
pub(super) fn keep_or_issue(
    existing: Option<(String, String)>,
    order: &Order<'_>,
    authority: &Authority,
    now: Timestamp,
) -> Result<Leaf, MaterialError> {
    if let Some((certificate, key)) = existing
        && let Some(expires) = good(&certificate, &key, order, authority, now)
    {
        return Ok(Leaf { certificate, key: Hidden::new(key), expires });
    }
    issue(order, authority, now)
        .map_err(|source| MaterialError::Sign { what: order.name.to_owned(), source })
}

/// When it ends, if it is good as it is.
fn good(
    certificate: &str,
    key: &str,
    order: &Order<'_>,
    authority: &Authority,
    now: Timestamp,
) -> Option<Timestamp> {
    let facts = Facts::read(certificate)?;
    let signer = Facts::read(&authority.certificate)?;
    let hosts = order.hosts.iter().cloned().collect();
    let good = now < facts.due()
        && facts.names == hosts
        && facts.is_signed_by(&signer)
        && facts.is_of(key);
    good.then_some(facts.ends)
}

fn issue(order: &Order<'_>, authority: &Authority, now: Timestamp) -> Result<Leaf, rcgen::Error> {
    let signer = KeyPair::from_pem(authority.key.reveal())?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, signer)?;
    let mut parameters = certificate::named(order.name, now, LIFE);
    parameters.subject_alt_names = CertificateParams::new(order.hosts)?.subject_alt_names;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = match order.purpose {
        Purpose::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Purpose::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Purpose::Peer => {
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
        }
    };
    let key = KeyPair::generate()?;
    let certificate = parameters.signed_by(&key, &issuer)?.pem();
    let expires = Facts::read(&certificate).map_or(now, |facts| facts.ends);
    Ok(Leaf { certificate, key: Hidden::new(key.serialize_pem()), expires })
}
