//! What a certificate in PEM says: when it begins and ends, for whom it is, and who signed it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use rcgen::CertificateParams;
use rcgen::DistinguishedName;
use rcgen::DnType;
use rcgen::KeyPair;
use rcgen::PublicKeyData;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

/// How far clocks may be apart: certificates begin so much before they are made.
const SKEW: SignedDuration = SignedDuration::from_hours(1);

/// What is of interest in a certificate.
#[derive(Debug)]
pub(super) struct Facts {
    begins: Timestamp,
    /// When it ends.
    pub(super) ends: Timestamp,
    /// Names and addresses that it is for.
    pub(super) names: BTreeSet<String>,
    public_key: Vec<u8>,
    pem: Pem,
}

impl Facts {
    /// Reads the first certificate of a PEM text; none where there is none.
    pub(super) fn read(pem: &str) -> Option<Self> {
        let pem = Pem::iter_from_buffer(pem.as_bytes()).next()?.ok()?;
        let certificate = pem.parse_x509().ok()?;
        let alternatives = certificate.subject_alternative_name().ok()?;
        let names = alternatives
            .iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(text)
            .collect();
        let validity = certificate.validity();
        let begins = Timestamp::from_second(validity.not_before.timestamp()).ok()?;
        let ends = Timestamp::from_second(validity.not_after.timestamp()).ok()?;
        let public_key = certificate.public_key().subject_public_key.data.to_vec();
        Some(Self { begins, ends, names, public_key, pem })
    }

    /// When two thirds of its life are over.
    pub(super) fn due(&self) -> Timestamp {
        let thirds = self.begins.duration_until(self.ends) / 3;
        self.ends - thirds
    }

    /// Whether the authority with this certificate has signed it.
    pub(super) fn is_signed_by(&self, authority: &Self) -> bool {
        let (Ok(this), Ok(authority)) = (self.pem.parse_x509(), authority.pem.parse_x509()) else {
            return false;
        };
        this.issuer().as_raw() == authority.subject().as_raw()
            && this.verify_signature(Some(authority.public_key())).is_ok()
    }

    /// Whether this key, in PEM, is the certificate's.
    pub(super) fn is_of(&self, key: &str) -> bool {
        KeyPair::from_pem(key).is_ok_and(|key| key.der_bytes() == self.public_key)
    }
}

/// The certificates of a PEM text, one by one.
pub(super) fn split(bundle: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----\n";
    bundle.split_inclusive(END).filter(|one| one.ends_with(END)).map(str::to_owned).collect()
}

/// A certificate that is called so, begins now, and lives so long.
pub(super) fn named(name: &str, now: Timestamp, life: SignedDuration) -> CertificateParams {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = distinguished_name;
    let begins = now - SKEW;
    // The library counts in a type of its own.
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    parameters.not_before = epoch + since_epoch(begins);
    parameters.not_after = epoch + since_epoch(begins + life);
    parameters.use_authority_key_identifier_extension = true;
    parameters
}

fn since_epoch(time: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(time.as_second()).unwrap_or_default())
}

fn text(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let address = match bytes.len() {
                4 => IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?),
                _ => IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?),
            };
            Some(address.to_string())
        }
        _ => None,
    }
}
