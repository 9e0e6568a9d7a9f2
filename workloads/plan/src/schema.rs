//! JSON Schemas: compiled once when the resource is checked, applied to each event.

use std::fmt;

/// A compiled JSON Schema, draft 2020-12, formats asserted.
pub struct Schema {
    validator: jsonschema::Validator,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").finish_non_exhaustive()
    }
}
