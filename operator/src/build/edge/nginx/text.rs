//! Text as nginx reads it: lines, blocks, and what stands for itself in a pattern.

use std::fmt::Display;
use std::fmt::Write as _;

/// A configuration that is being written.
#[derive(Debug, Default)]
pub(super) struct Text {
    written: String,
    depth: usize,
}

impl Text {
    /// A directive, or another line.
    pub(super) fn line(&mut self, line: impl Display) {
        let _ = writeln!(self.written, "{:indent$}{line}", "", indent = 4 * self.depth);
    }

    /// A block with what is in it.
    pub(super) fn block(&mut self, head: impl Display, fill: impl FnOnce(&mut Self)) {
        self.line(format_args!("{head} {{"));
        self.depth += 1;
        fill(self);
        self.depth -= 1;
        self.line("}");
    }

    /// The configuration.
    pub(super) fn finish(self) -> String {
        self.written
    }
}

/// A pattern that matches this text alone. It holds nothing that means something to nginx, whatever
/// the text is.
pub(super) fn literal(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut pattern, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_') {
            pattern.push(char::from(byte));
        } else {
            let _ = write!(pattern, "\\x{byte:02X}");
        }
        pattern
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_indented() {
        let mut text = Text::default();
        text.block("http", |text| {
            text.block("server", |text| text.line("listen 8080;"));
        });
        assert_eq!(text.finish(), "http {\n    server {\n        listen 8080;\n    }\n}\n");
    }

    #[test]
    fn nothing_of_a_text_means_something_in_a_pattern() {
        assert_eq!(literal("/telemetry/cpu-1_a"), "/telemetry/cpu-1_a");
        assert_eq!(
            literal("a.b*(c)$\"; }\\\n"),
            r"a\x2Eb\x2A\x28c\x29\x24\x22\x3B\x20\x7D\x5C\x0A"
        );
        assert_eq!(literal("ä"), r"\xC3\xA4");
    }
}
