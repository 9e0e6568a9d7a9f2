//! What a file has a line or row of: a record and where it stood.

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Record;

/// A record and where it stood in its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) partition: Partition,
    pub(crate) offset: Offset,
    pub(crate) record: Record,
}

impl Row {
    /// Bytes of memory that the row takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let headers: usize =
            self.record.headers.0.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
        size_of::<Self>() + self.record.key.len() + self.record.value.len() + headers
    }

    /// The headers as a JSON object; none where there are no headers. Of several of one name the
    /// last is kept, and what is no UTF-8 is Base64.
    pub(crate) fn headers(&self) -> Option<String> {
        use base64::Engine as _;
        let headers = &self.record.headers.0;
        if headers.is_empty() {
            return None;
        }
        let object: serde_json::Map<_, _> = headers
            .iter()
            .map(|(name, value)| {
                let text = std::str::from_utf8(value).map_or_else(
                    |_| base64::engine::general_purpose::STANDARD.encode(value),
                    str::to_owned,
                );
                (name.clone(), text.into())
            })
            .collect();
        Some(serde_json::Value::Object(object).to_string())
    }
}
