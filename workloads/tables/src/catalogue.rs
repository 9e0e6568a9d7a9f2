//! What a table looks like, as it is kept beside it, and what an existing table can become.
//!
//! It is kept because the databases' own types are fewer than ours.

use std::collections::HashMap;

use millrace_plan::model::ColumnPlan;
use millrace_plan::model::ColumnType;
use millrace_plan::model::Keep;
use millrace_plan::model::TablePlan;

/// What is known of an existing table's columns: type and nullability by name.
pub(crate) type KnownColumns = HashMap<String, (String, bool)>;

/// The columns to add, or what does not fit.
pub(crate) fn compare<'a>(
    plan: &'a TablePlan,
    keep: &str,
    key: &str,
    known: &KnownColumns,
) -> Result<Vec<&'a ColumnPlan>, String> {
    let wanted_key = plan.primary_key.join(",");
    if key != wanted_key {
        return Err(format!("its primary key is ({key}), not ({wanted_key})"));
    }
    if keep != keep_text(plan.keep) {
        return Err(format!("it keeps `{keep}`, not `{}`", keep_text(plan.keep)));
    }
    let mut new = Vec::new();
    for column in &plan.columns {
        match known.get(&column.name) {
            Some((kind, _)) if kind != kind_text(column.kind) => {
                return Err(format!(
                    "column `{}` is of type {kind}, not {}",
                    column.name,
                    kind_text(column.kind)
                ));
            }
            Some((_, true)) if !column.nullable => {
                return Err(format!(
                    "column `{}` may be empty in existing rows and can no longer be required",
                    column.name
                ));
            }
            Some(_) => {}
            None if !column.nullable => {
                return Err(format!(
                    "column `{}` is new and required, and existing rows have no value for it",
                    column.name
                ));
            }
            None => new.push(column),
        }
    }
    Ok(new)
}

/// How a rule is called in the catalogue.
pub(crate) fn keep_text(keep: Keep) -> &'static str {
    match keep {
        Keep::All => "all",
        Keep::First => "first",
        Keep::Latest => "latest",
    }
}

/// The rule of this name.
pub(crate) fn keep_of(text: &str) -> Option<Keep> {
    [Keep::All, Keep::First, Keep::Latest].into_iter().find(|keep| keep_text(*keep) == text)
}

/// How a type is called in the catalogue.
pub(crate) fn kind_text(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text => "text",
        ColumnType::Integer => "integer",
        ColumnType::Double => "double",
        ColumnType::Boolean => "boolean",
        ColumnType::Timestamp => "timestamp",
        ColumnType::Uuid => "uuid",
        ColumnType::Json => "json",
    }
}

/// The type of this name.
pub(crate) fn kind_of(text: &str) -> Option<ColumnType> {
    const KINDS: [ColumnType; 7] = [
        ColumnType::Text,
        ColumnType::Integer,
        ColumnType::Double,
        ColumnType::Boolean,
        ColumnType::Timestamp,
        ColumnType::Uuid,
        ColumnType::Json,
    ];
    KINDS.into_iter().find(|kind| kind_text(*kind) == text)
}

/// The names of a primary key as the catalogue has them.
pub(crate) fn key_of(text: &str) -> Vec<String> {
    text.split(',').filter(|key| !key.is_empty()).map(str::to_owned).collect()
}
