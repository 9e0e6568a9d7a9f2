//! What is said of a program that failed: the message first, and of VRL's own frame around it only
//! which function it was.

/// What stands before the message of a function that failed.
const BEGIN: &str = "function call error for \"";

/// Functions whose message is their author's own.
const ASSERTIONS: [&str; 2] = ["assert", "assert_eq"];

/// The words of a failure: `function call error for "to_int" at (0:9): no number` becomes
/// ``no number (in `to_int`)``, and the message of an assertion stands alone.
pub(super) fn words(message: &str) -> String {
    let mut rest = message;
    let mut function = None;
    while let Some((name, inner)) = framed(rest) {
        function = Some(name);
        rest = inner;
    }
    match function {
        Some(name) if !ASSERTIONS.contains(&name) => format!("{rest} (in `{name}`)"),
        _ => rest.to_owned(),
    }
}

/// The function and the message within a frame.
fn framed(message: &str) -> Option<(&str, &str)> {
    let (name, rest) = message.strip_prefix(BEGIN)?.split_once("\" at (")?;
    let (position, rest) = rest.split_once("): ")?;
    let is_position = position.bytes().all(|c| c.is_ascii_digit() || c == b':');
    is_position.then_some((name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_comes_first_and_an_assertions_stands_alone() {
        for (message, expected) in [
            ("function call error for \"assert\" at (1:20): no (good): x", "no (good): x"),
            ("function call error for \"to_int\" at (0:9): no number", "no number (in `to_int`)"),
            (
                "function call error for \"map_values\" at (0:9): function call error for \"to_int\" at (3:4): no number",
                "no number (in `to_int`)",
            ),
            ("can't divide by zero", "can't divide by zero"),
            ("function call error for \"a\" at (b): c", "function call error for \"a\" at (b): c"),
        ] {
            assert_eq!(words(message), expected);
        }
    }
}
