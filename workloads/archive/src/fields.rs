//! The fields of an event that have columns, found in one pass over its JSON text, without
//! making values of the rest.

use std::collections::HashMap;
use std::fmt;

use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::Error;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde_json::value::RawValue;

use crate::columns::Column;

/// The JSON text of a field.
pub(crate) type RawField<'a> = Option<&'a RawValue>;

/// Finds the columns' fields in events.
#[derive(Debug)]
pub(crate) struct FieldFinder {
    indexes: HashMap<String, usize>,
}

impl FieldFinder {
    pub(crate) fn new(columns: &[Column]) -> Self {
        let names = columns.iter().map(|column| column.name.clone());
        Self { indexes: names.zip(0..).collect() }
    }

    /// Puts the fields of an event into `fields`, one for each column. An event that is no object
    /// has none; of several fields of one name the last counts, as everywhere.
    pub(crate) fn find<'a>(&self, event: &'a [u8], fields: &mut [RawField<'a>]) {
        fields.fill(None);
        if self.indexes.is_empty() {
            return;
        }
        let mut deserializer = serde_json::Deserializer::from_slice(event);
        let visitor = FieldsVisitor { indexes: &self.indexes, fields: &mut *fields };
        if deserializer.deserialize_map(visitor).is_err() {
            fields.fill(None);
        }
    }
}

struct FieldsVisitor<'f, 'a> {
    indexes: &'f HashMap<String, usize>,
    fields: &'f mut [RawField<'a>],
}

impl<'a> Visitor<'a> for FieldsVisitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(index) = map.next_key_seed(IndexOf(self.indexes))? {
            match index.and_then(|index| self.fields.get_mut(index)) {
                Some(field) => *field = Some(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// The index of the column that a name belongs to.
struct IndexOf<'f>(&'f HashMap<String, usize>);

impl<'a> DeserializeSeed<'a> for IndexOf<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IndexOf<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.get(name).copied())
    }
}

#[cfg(test)]
mod tests {
    use crate::columns::ColumnKind;

    use super::*;

    #[test]
    fn the_fields_of_the_columns_are_found_as_they_stand() {
        let columns =
            ["a", "b", "c"].map(|name| Column { name: name.to_owned(), kind: ColumnKind::Json });
        let finder = FieldFinder::new(&columns);
        let found = |event: &'static str| {
            let mut fields = [None; 3];
            finder.find(event.as_bytes(), &mut fields);
            fields.map(|field| field.map_or("-", RawValue::get))
        };
        assert_eq!(
            found(r#"{"x":[1,{"a":2}],"b": {"c": 1e2},"\u0061":"\n"}"#),
            [r#""\n""#, r#"{"c": 1e2}"#, "-"]
        );
        assert_eq!(found(r#"{"a":1,"a":2}"#), ["2", "-", "-"]);
        assert_eq!(found("[1]"), ["-"; 3]);
        assert_eq!(found(r#"{"a":1"#), ["-"; 3]);
    }
}
