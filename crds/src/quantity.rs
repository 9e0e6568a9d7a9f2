//! Amounts as Kubernetes writes them: a text such as `500m` or `10Gi`, or a whole number.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use schemars::Schema;
use schemars::SchemaGenerator;
use schemars::json_schema;
use serde::Deserialize;
use serde::Serialize;

use crate::text::QUANTITY;

/// An amount as Kubernetes writes it, such as `500m`, `2` or `10Gi`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Written", into = "String")]
pub struct Quantity(String);

/// Both ways of writing one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(i64),
    Text(String),
}

impl Quantity {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In thousandths of one, rounded up; none where it is no amount or too large.
    #[must_use]
    pub fn thousandths(&self) -> Option<i128> {
        let digits = self.0.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(self.0.len());
        let (number, unit) = self.0.split_at(digits);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let unscaled: i128 = format!("{whole}{fraction}").parse().ok()?;
        let unit: i128 = match unit {
            "m" => 1,
            "" => 1000,
            "k" => 1_000_000,
            "M" => 1_000_000_000,
            "G" => 1_000_000_000_000,
            "T" => 1_000_000_000_000_000,
            "Ki" => 1000 << 10,
            "Mi" => 1000 << 20,
            "Gi" => 1000 << 30,
            "Ti" => 1000 << 40,
            _ => return None,
        };
        let product = unscaled.checked_mul(unit)?;
        Some(product / scale + i128::from(product % scale != 0))
    }

    /// In whole ones, such as bytes, rounded up; none where it is no amount or too large.
    #[must_use]
    pub fn value(&self) -> Option<i64> {
        let thousandths = self.thousandths()?;
        i64::try_from(thousandths / 1000 + i128::from(thousandths % 1000 != 0)).ok()
    }
}

impl From<Written> for Quantity {
    fn from(written: Written) -> Self {
        match written {
            Written::Number(number) => Self(number.to_string()),
            Written::Text(text) => Self(text),
        }
    }
}

impl From<Quantity> for String {
    fn from(quantity: Quantity) -> Self {
        quantity.0
    }
}

impl From<&str> for Quantity {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "pattern": QUANTITY,
            "minLength": 1,
            "maxLength": 20,
            "minimum": 0,
            "maximum": 999_999_999_999_i64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_counts_by_its_unit() {
        let of = |text: &str| Quantity::from(text).thousandths();
        assert_eq!(of("500m"), Some(500));
        assert_eq!(of("2"), Some(2000));
        assert_eq!(of("0.5"), Some(500));
        assert_eq!(of("1.0005"), Some(1001));
        assert_eq!(of("1Ki"), Some(1_024_000));
        assert_eq!(Quantity::from("10Gi").value(), Some(10_737_418_240));
        assert_eq!(Quantity::from("1500m").value(), Some(2));
        assert_eq!(of("2x"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn a_whole_number_is_an_amount() {
        let amounts: Vec<Quantity> = serde_json::from_str(r#"[2, "2"]"#).unwrap();
        assert_eq!(amounts, [Quantity::from("2"), Quantity::from("2")]);
    }
}
