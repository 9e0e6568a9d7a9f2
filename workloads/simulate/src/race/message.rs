//! What a car sends.

use serde::Serialize;

use crate::race::Position;

/// A car's position at a time, as it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// When the car was there, in milliseconds since 1970-01-01T00:00:00Z.
    pub timestamp: i64,
    /// The car, from 0.
    pub car_index: u32,
    /// Where it was.
    pub location: Position,
}

impl Message {
    /// The message as it goes over the wire.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        // Numbers and fixed names can always be written as JSON into memory.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The topic of a race: a single one has `carCoordinates` to itself, several have
/// `carCoordinates/race-1` and so on.
#[must_use]
pub fn topic(race: u32, races: u32) -> String {
    if races <= 1 {
        "carCoordinates".to_owned()
    } else {
        format!("carCoordinates/race-{}", race + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_form_that_cars_send() {
        let message = Message {
            timestamp: 1_541_693_114_862,
            car_index: 2,
            location: Position { lat: 51.349_937_311_969_725, long: -0.544_958_142_167_281 },
        };
        assert_eq!(
            String::from_utf8(message.payload()).unwrap(),
            r#"{"timestamp":1541693114862,"carIndex":2,"location":{"lat":51.349937311969725,"long":-0.544958142167281}}"#
        );
    }

    #[test]
    fn several_races_have_a_topic_each() {
        assert_eq!(topic(0, 1), "carCoordinates");
        assert_eq!(topic(11, 12), "carCoordinates/race-12");
    }
}
