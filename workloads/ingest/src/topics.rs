//! MQTT topic filters: which topics they match.

/// Whether a topic filter matches a topic, as MQTT 5 section 4.7 defines it.
///
/// Topics that begin with `$` are matched only by filters that begin with the same level.
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#')) {
        return false;
    }
    let mut levels = topic.split('/');
    for expected in filter.split('/') {
        if expected == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if expected == "+" || expected == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_is_one_level_and_a_hash_all_that_follow() {
        for (filter, topic, expected) in [
            ("carCoordinates", "carCoordinates", true),
            ("carCoordinates", "carCoordinates/spa", false),
            ("carCoordinates/+", "carCoordinates/spa", true),
            ("carCoordinates/+", "carCoordinates/", true),
            ("carCoordinates/+", "carCoordinates", false),
            ("carCoordinates/+", "carCoordinates/spa/1", false),
            ("carCoordinates/#", "carCoordinates", true),
            ("carCoordinates/#", "carCoordinates/spa/1", true),
            ("+/+", "/finance", true),
            ("#", "a/b", true),
            ("#", "$SYS/uptime", false),
            ("+/uptime", "$SYS/uptime", false),
            ("$SYS/#", "$SYS/uptime", true),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} on {topic}");
        }
    }
}
