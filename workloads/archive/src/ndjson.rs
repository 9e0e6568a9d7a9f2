//! A gzip file of JSON lines. The same rows give the same bytes.
//!
//! A line is `{"id", "key", "eventTime", "ingestTime", "partition", "offset", "headers", "value"}`,
//! times in milliseconds since 1970. What is no JSON has `valueText` in place of `value`, or
//! `valueBase64` where it is no text either; a key that is no text has `keyBase64`.

use std::borrow::Cow;
use std::io::Error as IoError;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::row::Row;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    id: millrace_core::EventId,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    event_time: i64,
    ingest_time: i64,
    partition: millrace_core::Partition,
    offset: millrace_core::Offset,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

/// The file of these rows, in their order.
pub(crate) fn file(rows: &[Row]) -> Result<Vec<u8>, IoError> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::default());
    for row in rows {
        write_line(&mut writer, row)?;
    }
    writer.finish()
}

fn write_line(writer: &mut GzEncoder<Vec<u8>>, row: &Row) -> Result<(), IoError> {
    let record = &row.record;
    let on_one_line = on_one_line(&record.value);
    let value: Option<&RawValue> = serde_json::from_slice(&on_one_line).ok();
    let text = std::str::from_utf8(&record.value).ok().filter(|_| value.is_none());
    let key = std::str::from_utf8(&record.key).ok();
    let line = Line {
        id: record.id,
        key,
        key_base64: key.is_none().then(|| STANDARD.encode(&record.key)),
        event_time: record.event_time,
        ingest_time: record.ingest_time,
        partition: row.partition,
        offset: row.offset,
        headers: row.headers().map(RawValue::from_string).transpose()?,
        value,
        value_text: text,
        value_base64: (value.is_none() && text.is_none()).then(|| STANDARD.encode(&record.value)),
    };
    serde_json::to_writer(&mut *writer, &line)?;
    writer.write_all(b"\n")
}

/// JSON without line ends. Within JSON they are only ever space between its parts.
fn on_one_line(json: &[u8]) -> Cow<'_, [u8]> {
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if json.iter().any(is_end) {
        json.iter().map(|byte| if is_end(byte) { b' ' } else { *byte }).collect()
    } else {
        Cow::Borrowed(json)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use bytes::Bytes;
    use flate2::read::GzDecoder;
    use millrace_core::EventId;
    use millrace_core::Headers;
    use millrace_core::Record;

    use super::*;

    fn line(key: &'static [u8], value: &'static [u8]) -> String {
        let mut headers = Headers::default();
        headers.push("correlationId", "c\"1");
        let record = Record {
            key: Bytes::from_static(key),
            event_time: 5,
            ingest_time: 6,
            id: EventId::from([1; 16]),
            headers,
            value: Bytes::from_static(value),
        };
        let file = file(&[Row { partition: 3, offset: 9, record }]).unwrap();
        let mut text = String::new();
        GzDecoder::new(file.as_slice()).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn an_event_is_a_line_whatever_its_value_looks_like() {
        let fixed = r#""eventTime":5,"ingestTime":6,"partition":3,"offset":9,"headers":{"correlationId":"c\"1"}"#;
        let id = r#"{"id":"01010101-0101-0101-0101-010101010101""#;
        assert_eq!(
            line(b"spa", b"{\"a\":\n1.50}"),
            format!("{id},\"key\":\"spa\",{fixed},\"value\":{{\"a\": 1.50}}}}\n")
        );
        assert_eq!(
            line(b"\xff", b"not\njson"),
            format!("{id},\"keyBase64\":\"/w==\",{fixed},\"valueText\":\"not\\njson\"}}\n")
        );
        assert_eq!(
            line(b"", b"\xff"),
            format!("{id},\"key\":\"\",{fixed},\"valueBase64\":\"/w==\"}}\n")
        );
    }
}
