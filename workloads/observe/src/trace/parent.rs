//! The trace context of W3C, as the header `traceparent` has it.

use std::fmt;

/// The flag that says that the caller records its span.
const SAMPLED: u8 = 1;

/// Length of a context's text in version 00.
const LENGTH: usize = 55;

/// Which span something belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; not 0.
    pub trace: u128,
    /// The span; not 0.
    pub span: u64,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

impl TraceParent {
    /// Reads a header. None where it is not valid; later versions may have more at the end.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (head, rest) = text.split_at_checked(LENGTH)?;
        let version = &head[..2];
        let known = rest.is_empty() || (version != b"00" && rest[0] == b'-');
        let parts = [head[2], head[35], head[52]] == *b"---";
        if !known || !parts || version == b"ff" {
            return None;
        }
        hex(version)?;
        let trace = hex(&head[3..35])?;
        let span = u64::try_from(hex(&head[36..52])?).ok()?;
        let flags = u8::try_from(hex(&head[53..])?).ok()?;
        let sampled = flags & SAMPLED != 0;
        (trace != 0 && span != 0).then_some(Self { trace, span, sampled })
    }

    /// The first span of a new trace that is recorded.
    #[must_use]
    pub fn new() -> Self {
        Self { trace: rand::random::<u128>().max(1), span: new_span(), sampled: true }
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self { span: new_span(), ..self }
    }
}

impl Default for TraceParent {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

fn new_span() -> u64 {
    rand::random::<u64>().max(1)
}

/// The number that lower-case hexadecimal digits mean, at most 32 of them.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_context_has_the_form_of_w3c() {
        let valid = |text: &str| TraceParent::parse(text.as_bytes()).is_some();
        assert!(valid("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        assert!(valid("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x"));
        for bad in [
            "",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
            "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(!valid(bad), "{bad}");
        }
    }

    #[test]
    fn a_context_is_written_as_it_was_read() {
        for text in [
            "00-0af7651916cd43dd8448eb211c80319c-00ad6b7169203331-01",
            "00-00000000000000000000000000000001-b7ad6b7169203331-00",
        ] {
            assert_eq!(TraceParent::parse(text.as_bytes()).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_child_is_another_span_of_the_same_trace() {
        let parent = TraceParent::new();
        let child = parent.child();
        assert_eq!((child.trace, child.sampled), (parent.trace, true));
        assert_ne!(child.span, parent.span);
    }
}
