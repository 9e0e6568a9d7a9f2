//! Keys and the partition that a key belongs to.

use bytes::Bytes;

use crate::path::FieldPath;
use crate::record::Partition;
use crate::tree::Scalar;
use crate::tree::Tree;

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;

/// A key that cannot be made from an event.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// The field is missing or `null`.
    #[error("the key field `{0}` is missing or null")]
    Missing(String),
    /// The field is neither a string nor an integer.
    #[error("the key field `{0}` is neither a string nor an integer")]
    Type(String),
    /// The key's bytes are more than [`MAX_KEY_BYTES`].
    #[error("the key has {0} bytes; at most {MAX_KEY_BYTES} are allowed")]
    TooLong(usize),
}

/// Makes the key bytes of an event: a string is its UTF-8, an integer its decimal digits, several
/// fields the compact JSON array of them in the declared order.
///
/// # Errors
/// When a field is missing, `null`, of another type, or the key is too long.
pub fn key_of<T: Tree>(value: &T, paths: &[FieldPath]) -> Result<Bytes, KeyError> {
    let bytes = if let [path] = paths {
        match field(value, path)? {
            KeyField::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            KeyField::Integer(number) => Bytes::from(number.to_string()),
        }
    } else {
        let fields = paths
            .iter()
            .map(|path| {
                Ok(match field(value, path)? {
                    KeyField::Text(text) => text.into(),
                    KeyField::Integer(number) => number.into(),
                })
            })
            .collect::<Result<Vec<_>, KeyError>>()?;
        Bytes::from(serde_json::Value::Array(fields).to_string())
    };
    if bytes.len() > MAX_KEY_BYTES {
        return Err(KeyError::TooLong(bytes.len()));
    }
    Ok(bytes)
}

enum KeyField<'a> {
    Text(&'a str),
    Integer(i64),
}

fn field<'a, T: Tree>(value: &'a T, path: &FieldPath) -> Result<KeyField<'a>, KeyError> {
    match path.find(value).map(Tree::scalar) {
        Some(Scalar::Integer(number)) => Ok(KeyField::Integer(number)),
        Some(Scalar::Text(text)) => Ok(KeyField::Text(text)),
        Some(Scalar::Null) | None => Err(KeyError::Missing(path.to_string())),
        Some(_) => Err(KeyError::Type(path.to_string())),
    }
}

/// The partition of a key: murmur2 as in Kafka's Java client (`toPositive(murmur2(key)) % n`), so
/// that every client of the same topic agrees.
///
/// `partitions` below 1 counts as 1.
#[must_use]
pub fn partition_of(key: &[u8], partitions: Partition) -> Partition {
    let positive = (murmur2(key) & 0x7fff_ffff).cast_signed();
    positive % partitions.max(1)
}

/// MurmurHash2, 32 bits, with Kafka's seed.
/// Source: `org.apache.kafka.common.utils.Utils.murmur2`.
#[must_use]
pub fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    // A key is at most `MAX_KEY_BYTES` long, and Kafka's own length is an `int`.
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut h = SEED ^ length;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Value;

    fn value(json: &str) -> Value {
        serde_json::from_str(json).unwrap()
    }

    fn paths(texts: &[&str]) -> Vec<FieldPath> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    /// The expected numbers are those of Kafka's own test of the hash (`UtilsTest.testMurmur2`).
    #[test]
    fn the_hash_is_that_of_kafkas_java_client() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn one_field_is_its_text_or_digits_and_several_are_a_json_array() {
        let event = value(r#"{"a": "x\"y", "b": {"c": 42}, "n": null, "f": 1.5}"#);
        assert_eq!(key_of(&event, &paths(&[".a"])).unwrap(), "x\"y");
        assert_eq!(key_of(&event, &paths(&[".b.c"])).unwrap(), "42");
        assert_eq!(key_of(&event, &paths(&[".b.c", ".a"])).unwrap(), r#"[42,"x\"y"]"#);
        assert_eq!(key_of(&event, &paths(&[".n"])), Err(KeyError::Missing(".n".into())));
        assert_eq!(key_of(&event, &paths(&[".z"])), Err(KeyError::Missing(".z".into())));
        assert_eq!(key_of(&event, &paths(&[".f"])), Err(KeyError::Type(".f".into())));
    }

    #[test]
    fn a_key_of_more_than_1024_bytes_is_refused() {
        let event = value(&format!(r#"{{"a": "{}"}}"#, "x".repeat(1025)));
        assert_eq!(key_of(&event, &paths(&[".a"])), Err(KeyError::TooLong(1025)));
    }
}
