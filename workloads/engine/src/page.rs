//! Where the values of outputs are written: many into one piece of memory.

use bytes::BufMut;
use bytes::Bytes;
use bytes::BytesMut;
use millrace_core::Value;

/// Size of a piece of memory. A value that does not fit gets a piece of its own.
const PAGE_BYTES: usize = 64 << 10;

/// Writes values as compact JSON with sorted fields.
#[derive(Debug, Default)]
pub(crate) struct Page {
    free: BytesMut,
}

impl Page {
    /// Writes a value. The page lives as long as any value in it.
    ///
    /// # Errors
    /// When the value holds what JSON cannot express.
    pub(crate) fn write(&mut self, value: &Value) -> Result<Bytes, serde_json::Error> {
        // Values are mostly small; one that turns out larger makes the piece grow.
        if self.free.capacity() < PAGE_BYTES / 16 {
            self.free = BytesMut::with_capacity(PAGE_BYTES);
        }
        let written = serde_json::to_writer((&mut self.free).writer(), value);
        let bytes = self.free.split().freeze();
        written.map(|()| bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_follow_each_other_whatever_their_size_and_stay_as_they_were() {
        let mut page = Page::default();
        let texts: Vec<String> = (0..200)
            .map(|n| format!(r#"{{"n":{n},"text":"{}"}}"#, "x".repeat(n * n * 10)))
            .collect();
        let written: Vec<Bytes> = texts
            .iter()
            .map(|text| page.write(&serde_json::from_str(text).unwrap()).unwrap())
            .collect();
        assert!(texts.iter().zip(&written).all(|(text, bytes)| text.as_bytes() == &bytes[..]));
    }
}
