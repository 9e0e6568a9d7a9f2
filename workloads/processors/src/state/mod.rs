//! How operators keep state: tables of entities that know what changed, and their encoding.

mod codec;
mod index;
mod keys;
mod table;

pub(crate) use codec::decode_key;
pub(crate) use codec::decode_value;
pub(crate) use codec::encode_key;
pub(crate) use codec::encode_value;
pub(crate) use index::EntityIndex;
pub(crate) use keys::KeyTable;
pub(crate) use table::EntityTable;
pub(crate) use table::TooManyEntities;
