//! Races as lines of JSON: a topic and a payload each, in the order in which they are sent.

use std::io::Write;

use serde::Serialize;

use crate::Statistics;
use crate::race::Message;
use crate::race::RaceSettings;
use crate::race::RaceSimulation;
use crate::race::topic;

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the simulated messages")]
pub struct WriteFileError(#[from] std::io::Error);

#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    payload: &'a Message,
}

/// Writes races, tick by tick, a line for each message. Stops early when `stop` says so.
///
/// # Errors
/// When the file cannot be written.
pub fn write(
    races: &[RaceSettings],
    file: &mut impl Write,
    statistics: &Statistics,
    stop: &dyn Fn() -> bool,
) -> Result<(), WriteFileError> {
    let count = u32::try_from(races.len()).unwrap_or(u32::MAX);
    let mut running: Vec<_> = races
        .iter()
        .map(|settings| (topic(settings.race, count), RaceSimulation::new(settings.clone())))
        .collect();
    while !running.is_empty() && !stop() {
        let mut over = Vec::new();
        for (index, (topic, race)) in running.iter_mut().enumerate() {
            let Some(tick) = race.next() else {
                over.push(index);
                continue;
            };
            for (_, message) in &tick.messages {
                serde_json::to_writer(&mut *file, &Line { topic, payload: message })
                    .map_err(std::io::Error::from)?;
                file.write_all(b"\n")?;
                statistics.sent();
                statistics.acknowledged(None);
            }
        }
        for index in over.into_iter().rev() {
            running.remove(index);
        }
    }
    file.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::race::Track;

    fn race(race: u32) -> RaceSettings {
        RaceSettings {
            track: Track::default(),
            cars: 2,
            rate: 5.0,
            seed: 1,
            race,
            start: 1_700_000_000_000,
            laps: None,
            duration: Some(Duration::from_millis(400)),
            jitter: Duration::ZERO,
        }
    }

    fn text(races: &[RaceSettings]) -> String {
        let mut file = Vec::new();
        write(races, &mut file, &Statistics::default(), &|| false).unwrap();
        String::from_utf8(file).unwrap()
    }

    #[test]
    fn each_line_is_a_topic_and_a_payload() {
        let text = text(&[race(0)]);
        assert_eq!(
            text.lines().next().unwrap(),
            r#"{"topic":"carCoordinates","payload":{"timestamp":1700000000000,"carIndex":0,"location":{"lat":52.0676953166421,"long":-1.02416396141052}}}"#
        );
        assert_eq!(text.lines().count(), 4);
    }

    #[test]
    fn the_same_seed_and_start_give_the_same_bytes() {
        assert_eq!(text(&[race(0), race(1)]), text(&[race(0), race(1)]));
    }

    #[test]
    fn several_races_come_tick_by_tick() {
        let text = text(&[race(0), race(1)]);
        let topics: Vec<_> =
            text.lines().map(|line| line.contains("race-1") && !line.contains("race-2")).collect();
        assert_eq!(topics, [true, true, false, false, true, true, false, false]);
    }
}
