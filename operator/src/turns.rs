//! Whose turn it is where another operator than before changes the pods of many pipelines: a few at a
//! time, so that a cluster is not rolled all at once. Pure.
//!
//! What a pipeline was made by is written on its objects, so that the next operator to lead knows
//! who had been let in. A pipeline that nobody has made anything of, and one that was edited, ask
//! nobody.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use crate::owned::PipelineKey;
use crate::pipeline::Images;

/// Pipelines whose pods change at a time.
pub const AT_A_TIME: usize = 5;

/// A pipeline that is not ready after so long lets the next one in.
const LONGEST: Duration = Duration::from_mins(10);

/// What an operator makes: its version, and the images of its installation.
#[must_use]
pub fn release(images: &Images) -> String {
    let Images { millrace, nginx, kafka, postgres, pull_secrets } = images;
    let mut hasher = blake3::Hasher::new();
    for text in [millrace, nginx, kafka, postgres].into_iter().chain(pull_secrets) {
        // Lengths keep apart what would read the same one behind the other.
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    format!("{}-{}", env!("CARGO_PKG_VERSION"), &hasher.finalize().to_hex()[..8])
}

/// Pipelines that were let in, and those that wait for it.
#[derive(Debug, Default)]
pub struct Turns {
    rolling: HashMap<PipelineKey, Instant>,
    waiting: VecDeque<PipelineKey>,
}

impl Turns {
    /// Goes on where another operator of the same release ended: these are not ready yet.
    pub fn resume(&mut self, rolling: impl IntoIterator<Item = PipelineKey>, now: Instant) {
        self.rolling.extend(rolling.into_iter().map(|pipeline| (pipeline, now)));
    }

    /// Whether a pipeline may change its pods; otherwise it is let in later.
    pub fn ask(&mut self, pipeline: &PipelineKey, now: Instant) -> bool {
        if self.rolling.contains_key(pipeline) {
            return true;
        }
        if self.rolling.len() < AT_A_TIME {
            self.rolling.insert(pipeline.clone(), now);
            return true;
        }
        if !self.waiting.contains(pipeline) {
            self.waiting.push_back(pipeline.clone());
        }
        false
    }

    /// A pipeline is ready, or no longer asks. Returns who is let in for it.
    #[must_use]
    pub fn give_back(&mut self, pipeline: &PipelineKey, now: Instant) -> Vec<PipelineKey> {
        self.rolling.remove(pipeline);
        self.waiting.retain(|waiting| waiting != pipeline);
        self.next(now)
    }

    /// Lets others in for those that have taken too long.
    #[must_use]
    pub fn expire(&mut self, now: Instant) -> Vec<PipelineKey> {
        self.rolling.retain(|_, since| now.saturating_duration_since(*since) < LONGEST);
        self.next(now)
    }

    fn next(&mut self, now: Instant) -> Vec<PipelineKey> {
        let free = AT_A_TIME.saturating_sub(self.rolling.len()).min(self.waiting.len());
        let next: Vec<PipelineKey> = self.waiting.drain(..free).collect();
        self.rolling.extend(next.iter().map(|pipeline| (pipeline.clone(), now)));
        next
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "helpers fail as tests do")]
mod tests {
    use super::*;
    use crate::fixture;

    fn pipeline(name: &str) -> PipelineKey {
        PipelineKey::new("factory", name)
    }

    /// Five that were let in, and two that wait.
    fn crowd(now: Instant) -> Turns {
        let mut turns = Turns::default();
        for name in ["a", "b", "c", "d", "e"] {
            assert!(turns.ask(&pipeline(name), now), "{name}");
        }
        for name in ["f", "g", "f"] {
            assert!(!turns.ask(&pipeline(name), now), "{name}");
        }
        turns
    }

    #[test]
    fn five_are_let_in_and_one_more_for_each_that_is_done() {
        let now = Instant::now();
        let mut turns = crowd(now);
        assert!(turns.ask(&pipeline("a"), now));
        assert_eq!(turns.give_back(&pipeline("c"), now), [pipeline("f")]);
        assert!(turns.ask(&pipeline("f"), now));
        assert!(!turns.ask(&pipeline("h"), now));
        assert_eq!(turns.give_back(&pipeline("a"), now), [pipeline("g")]);
        assert_eq!(turns.give_back(&pipeline("b"), now), [pipeline("h")]);
        assert_eq!(turns.give_back(&pipeline("d"), now), []);
        assert!(turns.ask(&pipeline("i"), now));
    }

    #[test]
    fn who_waits_and_goes_is_not_let_in() {
        let now = Instant::now();
        let mut turns = crowd(now);
        assert_eq!(turns.give_back(&pipeline("f"), now), []);
        assert_eq!(turns.give_back(&pipeline("a"), now), [pipeline("g")]);
    }

    #[test]
    fn who_is_not_ready_after_ten_minutes_lets_the_next_one_in() {
        let now = Instant::now();
        let mut turns = crowd(now);
        assert_eq!(turns.expire(now + Duration::from_secs(599)), []);
        let later = now + Duration::from_mins(10);
        assert_eq!(turns.expire(later), [pipeline("f"), pipeline("g")]);
        // They have their own ten minutes.
        assert_eq!(turns.rolling[&pipeline("f")], later);
    }

    #[test]
    fn another_leader_knows_who_was_let_in() {
        let now = Instant::now();
        let mut turns = Turns::default();
        turns.resume(["a", "b", "c", "d"].map(pipeline), now);
        assert!(turns.ask(&pipeline("e"), now));
        assert!(!turns.ask(&pipeline("f"), now));
    }

    #[test]
    fn another_image_makes_another_release() {
        let mut images = fixture::pipeline().images;
        let before = release(&images);
        assert!(before.starts_with(concat!(env!("CARGO_PKG_VERSION"), "-")), "{before}");
        assert_eq!(release(&images), before);
        images.kafka.push('1');
        assert_ne!(release(&images), before);
    }
}
