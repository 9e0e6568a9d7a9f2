//! The pipeline's own certificate authority, and how it gives way to the next one: the successor is
//! made and trusted first; once all pods trust it, it signs; once all pods use what it has signed,
//! its predecessor is trusted no longer.

use jiff::SignedDuration;
use jiff::Timestamp;
use rcgen::BasicConstraints;
use rcgen::IsCa;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;

use super::Authority;
use super::Hidden;
use super::MaterialError;
use super::Notes;
use super::Successor;
use super::certificate;
use super::certificate::Facts;
use super::login;
use super::stored::RETIRE;
use super::stored::ROTATED;
use super::stored::Stored;
use crate::names::Names;

/// How long an authority is valid: five years.
const LIFE: SignedDuration = SignedDuration::from_hours(5 * 365 * 24);

/// How long a step lasts at least: mounted files and clients outside follow in that time.
pub(super) const STEP: SignedDuration = SignedDuration::from_mins(10);

/// What pods have of what changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// All trust what is to be trusted.
    pub(super) trust: bool,
    /// All that show the nodes' certificate show the newest.
    pub(super) certificates: bool,
}

/// The authority of the Secret, one step further where one is due, or a new one.
///
/// # Errors
/// The Secret is broken, or a certificate cannot be made.
pub(super) fn keep_or_make(
    stored: Option<Stored<'_>>,
    names: &Names,
    seen: Seen,
    now: Timestamp,
) -> Result<(Authority, Notes), MaterialError> {
    let Some(stored) = stored else {
        let made = make(names, now)?;
        return Ok((signing(made, "", now), Notes::new()));
    };
    let certificate = stored.needed("tls.crt")?;
    let facts = Facts::read(&certificate).ok_or_else(|| stored.broken("tls.crt"))?;
    let key = stored.needed("tls.key")?;
    if !facts.is_of(&key) {
        return Err(stored.broken("tls.key"));
    }
    let mut notes = Notes::new();
    if let Some(obeyed) = stored.obeyed() {
        notes.insert(ROTATED.to_owned(), obeyed.to_owned());
    }
    let rested = stored.retire().is_none_or(|time| time <= now);
    if let Some(time) = stored.retire().filter(|_| !rested) {
        notes.insert(RETIRE.to_owned(), time.to_string());
    }
    let trusted = stored.text("trusted.crt").unwrap_or_default();
    let successor = stored.text("next.crt").zip(stored.text("next.key"));
    let successor =
        successor.map(|(certificate, key)| Successor { certificate, key: Hidden::new(key) });
    // It signs on, and both are trusted.
    let with_successor = |successor: Successor| Authority {
        trusted: bundle([&certificate, &successor.certificate], &trusted, now),
        certificate: certificate.clone(),
        key: Hidden::new(key.clone()),
        successor: Some(successor),
        expires: facts.ends,
    };
    if let Some(successor) = successor {
        if rested && seen.trust {
            notes.insert(RETIRE.to_owned(), (now + STEP).to_string());
            return Ok((signing(successor, &trusted, now), notes));
        }
        return Ok((with_successor(successor), notes));
    }
    if stored.asked().is_some() || facts.due() <= now {
        let successor = make(names, now)?;
        if let Some(asked) = stored.asked() {
            notes.insert(ROTATED.to_owned(), asked.to_owned());
        }
        notes.insert(RETIRE.to_owned(), (now + STEP).to_string());
        return Ok((with_successor(successor), notes));
    }
    let predecessors = if rested && seen.trust && seen.certificates { "" } else { &trusted };
    let authority = Authority {
        trusted: bundle([&certificate], predecessors, now),
        certificate,
        key: Hidden::new(key),
        successor: None,
        expires: facts.ends,
    };
    Ok((authority, notes))
}

/// The authority that signs from now on; others are trusted beside it.
fn signing(made: Successor, trusted: &str, now: Timestamp) -> Authority {
    let expires = Facts::read(&made.certificate).map_or(now, |facts| facts.ends);
    Authority {
        trusted: bundle([&made.certificate], trusted, now),
        certificate: made.certificate,
        key: made.key,
        successor: None,
        expires,
    }
}

/// These certificates, and those of another bundle that are not among them and have not ended.
fn bundle<const N: usize>(first: [&str; N], others: &str, now: Timestamp) -> String {
    let mut bundle = first.concat();
    for other in certificate::split(others) {
        let lives = Facts::read(&other).is_some_and(|facts| now < facts.ends);
        if lives && !bundle.contains(&other) {
            bundle.push_str(&other);
        }
    }
    bundle
}

fn make(names: &Names, now: Timestamp) -> Result<Successor, MaterialError> {
    let sign = |source| MaterialError::Sign { what: "the authority".to_owned(), source };
    // Two with one name could not be told apart by who looks for an issuer by name.
    let name = format!("{} {}", names.of("authority"), login::random::<6>());
    let mut parameters = certificate::named(&name, now, LIFE);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(sign)?;
    let certificate = parameters.self_signed(&key).map_err(sign)?.pem();
    Ok(Successor { certificate, key: Hidden::new(key.serialize_pem()) })
}
