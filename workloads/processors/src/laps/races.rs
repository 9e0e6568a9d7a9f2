//! The fastest lap of each race.

use std::collections::HashMap;

use bytes::Bytes;

/// Fastest lap times in milliseconds, by race.
#[derive(Default)]
pub(super) struct Races {
    fastest: HashMap<Bytes, i64>,
    changed: Vec<Bytes>,
}

impl Races {
    /// Whether a lap is the race's first or strictly faster than all before; it is remembered.
    pub(super) fn is_fastest(&mut self, race: &Bytes, lap_time: i64) -> bool {
        match self.fastest.get_mut(race) {
            Some(fastest) if *fastest <= lap_time => return false,
            Some(fastest) => *fastest = lap_time,
            None => {
                self.fastest.insert(race.clone(), lap_time);
            }
        }
        if !self.changed.contains(race) {
            self.changed.push(race.clone());
        }
        true
    }

    /// Puts back a race.
    pub(super) fn restore(&mut self, race: &[u8], lap_time: i64) {
        self.fastest.insert(Bytes::copy_from_slice(race), lap_time);
    }

    /// Hands over each changed race once.
    pub(super) fn take_changes(&mut self, mut change: impl FnMut(&[u8], i64)) {
        for race in self.changed.drain(..) {
            if let Some(lap_time) = self.fastest.get(&race) {
                change(&race, *lap_time);
            }
        }
    }

    /// Number of races with a lap.
    pub(super) fn len(&self) -> usize {
        self.fastest.len()
    }
}
