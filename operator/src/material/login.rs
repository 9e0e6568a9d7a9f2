//! Users and their passwords. Two users take turns: the one in use, and a spare that can log in as
//! well but that nobody is told of. A rotation tells everybody of the spare, so that there is no
//! moment at which a password is neither known nor valid; later the former one gets another password.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rand::TryRngCore;
use rand::rngs::OsRng;

use super::Hidden;
use super::Login;
use super::MaterialError;
use super::Notes;
use super::authority::STEP;
use super::stored::RETIRE;
use super::stored::ROTATED;
use super::stored::Stored;

/// Annotation with the time from which a spare's password is known to the server.
const READY: &str = "millrace.dev/ready-after";

/// The two users of one purpose.
pub(super) struct Turns {
    /// The one in use.
    pub(super) current: Login,
    /// What its Secret remembers.
    pub(super) notes: Notes,
    /// The other one.
    pub(super) spare: Login,
    /// What its Secret remembers.
    pub(super) spare_notes: Notes,
}

/// The users that are there, exchanged where somebody asks for it, or new ones. `taken_up` says that
/// no pod uses the spare any longer.
///
/// # Errors
/// The Secret of the user in use is broken.
pub(super) fn take_turns(
    current: Option<Stored<'_>>,
    spare: Option<Stored<'_>>,
    users: [&str; 2],
    taken_up: bool,
    now: Timestamp,
) -> Result<Turns, MaterialError> {
    let login = match current {
        Some(stored) => Some(stored.login()?),
        None => None,
    };
    let usable = spare.and_then(|stored| stored.login().ok());
    let Some(login) = login else {
        // Deleted: the spare takes over, and the one that was deleted ends at once.
        let current = usable.unwrap_or_else(|| new(users[0]));
        let spare = new(other(users, &current));
        return Ok(Turns { current, notes: Notes::new(), spare, spare_notes: ready(now) });
    };
    let mut notes = Notes::new();
    if let Some(obeyed) = current.and_then(|stored| stored.obeyed()) {
        notes.insert(ROTATED.to_owned(), obeyed.to_owned());
    }
    let name = other(users, &login).to_owned();
    let (Some(stored), Some(usable)) = (spare, usable.filter(|usable| usable.username == name))
    else {
        return Ok(Turns { current: login, notes, spare: new(&name), spare_notes: ready(now) });
    };
    let written = stored.note(READY);
    let ready_after: Option<Timestamp> = written.and_then(|time| time.parse().ok());
    // Somebody else may keep the annotation there: once a spare has been made after that time, it has
    // been obeyed.
    let is_due = |time: &Timestamp| ready_after.is_none_or(|ready| ready - STEP < *time);
    if let Some(time) = stored.retire().filter(is_due) {
        if time <= now && taken_up {
            let spare = new(&name);
            return Ok(Turns { current: login, notes, spare, spare_notes: ready(now) });
        }
        let spare_notes = Notes::from([(RETIRE.to_owned(), time.to_string())]);
        return Ok(Turns { current: login, notes, spare: usable, spare_notes });
    }
    let is_ready = ready_after.is_none_or(|time| now >= time);
    if let Some(asked) = current.and_then(|stored| stored.asked())
        && is_ready
    {
        notes.insert(ROTATED.to_owned(), asked.to_owned());
        let spare_notes = Notes::from([(RETIRE.to_owned(), (now + STEP).to_string())]);
        return Ok(Turns { current: usable, notes, spare: login, spare_notes });
    }
    let spare_notes = written.map(|time| (READY.to_owned(), time.to_owned())).into_iter().collect();
    Ok(Turns { current: login, notes, spare: usable, spare_notes })
}

/// A user without a spare: its password is exchanged by who knows another way in.
///
/// # Errors
/// The Secret is broken.
pub(super) fn keep_or_make(
    stored: Option<Stored<'_>>,
    user: &str,
) -> Result<(Login, Notes), MaterialError> {
    let Some(stored) = stored else { return Ok((new(user), Notes::new())) };
    if let Some(asked) = stored.asked() {
        return Ok((new(user), Notes::from([(ROTATED.to_owned(), asked.to_owned())])));
    }
    let notes = stored.obeyed().map(|obeyed| (ROTATED.to_owned(), obeyed.to_owned()));
    Ok((stored.login()?, notes.into_iter().collect()))
}

fn ready(now: Timestamp) -> Notes {
    Notes::from([(READY.to_owned(), (now + STEP).to_string())])
}

fn other<'a>(users: [&'a str; 2], login: &Login) -> &'a str {
    if login.username == users[0] { users[1] } else { users[0] }
}

fn new(username: &str) -> Login {
    Login { username: username.to_owned(), password: Hidden::new(random::<32>()) }
}

/// Random bytes in URL-safe base64 without padding.
///
/// # Panics
/// The system has no randomness: nothing of what is made here could be kept secret.
pub(super) fn random<const N: usize>() -> String {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).expect("the system has randomness");
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
