//! Says once what comes again and again: while a broker is away, every client of a process tells
//! of it many times a second.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;

/// How long the same is not said again.
const SILENCE: Duration = Duration::from_secs(10);
/// More kinds than there are brokers and errors.
const MAX_KINDS: usize = 256;

/// What all clients of this process have told.
static TOLD: LazyLock<Quiet> = LazyLock::new(Quiet::default);

/// Says the same only once in a while.
#[derive(Default)]
struct Quiet {
    known: Mutex<HashMap<String, (Instant, u64)>>,
}

impl Quiet {
    /// How often this was not said since it was said last; none if it is not to be said now.
    fn ask(&self, what: &str, now: Instant) -> Option<u64> {
        let mut known = self.known.lock();
        if let Some((said, left_out)) = known.get_mut(what) {
            if now.saturating_duration_since(*said) < SILENCE {
                *left_out += 1;
                return None;
            }
            *said = now;
            return Some(std::mem::take(left_out));
        }
        if known.len() >= MAX_KINDS {
            known.clear();
        }
        known.insert(what.to_owned(), (now, 0));
        Some(0)
    }
}

/// How often the same was not said since it was last; none if it is not to be said again yet. What
/// is the same is decided by the kind and by whom the text begins with, mostly a broker.
pub(super) fn left_out(kind: &str, text: &str) -> Option<u64> {
    // The client's thread, which comes first in log lines, says nothing more.
    let text = text.split_once("]: ").map_or(text, |(_, text)| text);
    let whom = text.split_once(": ").map_or(text, |(whom, _)| whom);
    TOLD.ask(&format!("{kind} {whom}"), Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_in_ten_seconds_with_how_often_it_was_not() {
        let (quiet, begin) = (Quiet::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(quiet.ask("a", at(0)), Some(0));
        assert_eq!(quiet.ask("a", at(1)), None);
        assert_eq!(quiet.ask("b", at(1)), Some(0));
        assert_eq!(quiet.ask("a", at(9)), None);
        assert_eq!(quiet.ask("a", at(10)), Some(2));
        assert_eq!(quiet.ask("a", at(19)), None);
    }

    #[test]
    fn a_broker_is_the_same_in_whichever_thread_and_with_whichever_words() {
        assert_eq!(left_out("FAIL", "[thrd:h:1/1]: h:1/1: Connect failed: 3 times"), Some(0));
        assert_eq!(left_out("FAIL", "[thrd:h:1/bootstrap]: h:1/1: Disconnected"), None);
        assert_eq!(left_out("FAIL", "h:2/2: Connect failed"), Some(0));
        assert_eq!(left_out("ERROR", "h:1/1: Connect failed"), Some(0));
    }
}
