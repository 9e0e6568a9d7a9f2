//! The syntax of MQTT topics and topic filters.

/// What is wrong with a topic or a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TopicError {
    /// Follows the topic in a sentence.
    pub(super) wrong: &'static str,
    /// What to write instead.
    pub(super) write: &'static str,
}

const fn error(wrong: &'static str, write: &'static str) -> Result<(), TopicError> {
    Err(TopicError { wrong, write })
}

/// Whether a text is a topic filter that a publisher's topic can match.
pub(super) fn check_filter(filter: &str) -> Result<(), TopicError> {
    check_characters(filter)?;
    if filter.starts_with("$share/") {
        return error("is a shared subscription", "write the filter that follows the group's name");
    }
    if filter.starts_with('$') {
        return error("is a topic of the broker itself", "write a filter without `$` at the start");
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level == "#" && levels.peek().is_some() {
            return error("has `#` before its end", "write `#` as the last level");
        }
        if level.len() > 1 && level.contains('#') {
            return error("has `#` within a level", "write `/#` at the end");
        }
        if level.len() > 1 && level.contains('+') {
            return error("has `+` within a level", "write `+` as a whole level, such as `cars/+`");
        }
    }
    Ok(())
}

/// Whether a text is a topic that can be published to.
pub(super) fn check_topic(topic: &str) -> Result<(), TopicError> {
    check_characters(topic)?;
    if topic.contains(['+', '#']) {
        return error("is a filter", "write a topic without `+` and `#`");
    }
    if topic.starts_with('$') {
        return error("is a topic of the broker itself", "write a topic without `$` at the start");
    }
    Ok(())
}

fn check_characters(topic: &str) -> Result<(), TopicError> {
    if topic.is_empty() {
        return error("is empty", "write a topic");
    }
    if topic.contains(char::is_control) {
        return error("has a control character", "leave it out");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_whole_levels() {
        for good in ["a", "a/b", "+", "#", "a/+/b", "a/#", "/", "a//b", "+/+", "/+"] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        for bad in ["", "a+", "a/b+/c", "#/a", "a#", "a/#/b", "$SYS/#", "$share/g/a", "a\u{0}"] {
            assert!(check_filter(bad).is_err(), "{bad}");
        }
        assert_eq!(check_topic("a/b"), Ok(()));
        for bad in ["", "a/+", "#", "$SYS/x"] {
            assert!(check_topic(bad).is_err(), "{bad}");
        }
    }
}
