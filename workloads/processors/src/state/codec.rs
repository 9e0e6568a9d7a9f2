//! Bytes of state: keys are postcard, values a version byte and postcard.

use serde::Deserialize;
use serde::Serialize;

use crate::RestoreError;

/// The format of state that this program writes, and the latest that it reads.
const VERSION: u8 = 1;

/// Encodes a state key.
pub(crate) fn encode_key<T: Serialize>(key: &T) -> Vec<u8> {
    postcard::to_allocvec(key).expect("plain data always serialises")
}

/// Decodes a state key.
pub(crate) fn decode_key<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, RestoreError> {
    complete(postcard::take_from_bytes(bytes))
}

/// Encodes a state value behind its version.
pub(crate) fn encode_value<T: Serialize>(value: &T) -> Vec<u8> {
    // Room for most values: growing byte by byte would take several allocations.
    let mut bytes = Vec::with_capacity(128);
    bytes.push(VERSION);
    postcard::to_extend(value, bytes).expect("plain data always serialises")
}

/// Decodes a state value.
pub(crate) fn decode_value<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, RestoreError> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => complete(postcard::take_from_bytes(rest)),
        Some((&found, _)) => Err(RestoreError::Version { found, supported: VERSION }),
        None => Err(RestoreError::Decode(postcard::Error::DeserializeUnexpectedEnd)),
    }
}

/// Bytes that are left over mean that something else was stored.
fn complete<T>(taken: Result<(T, &[u8]), postcard::Error>) -> Result<T, RestoreError> {
    match taken.map_err(RestoreError::Decode)? {
        (value, []) => Ok(value),
        _ => Err(RestoreError::Decode(postcard::Error::DeserializeBadEncoding)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_starts_with_its_version_and_reads_back_to_the_bit() {
        let value = (7_i64, 0.1_f64 + 0.2, -0.0_f64);
        let bytes = encode_value(&value);
        assert_eq!(bytes[0], 1);
        let (number, sum, zero): (i64, f64, f64) = decode_value(&bytes).unwrap();
        assert_eq!((number, sum.to_bits(), zero.to_bits()), (7, value.1.to_bits(), 1 << 63));
    }

    #[test]
    fn a_later_version_and_damaged_bytes_are_told_apart() {
        assert!(matches!(
            decode_value::<u8>(&[2, 5]),
            Err(RestoreError::Version { found: 2, supported: 1 })
        ));
        for damaged in [&[][..], &[1], &[1, 5, 5]] {
            assert!(matches!(decode_value::<u8>(damaged), Err(RestoreError::Decode(_))));
        }
    }
}
