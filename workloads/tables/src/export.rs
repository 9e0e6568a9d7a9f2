//! The canonical export of a table, by which tables are compared.

use millrace_plan::model::TablePlan;

use crate::LookUp;
use crate::LookUpError;
use crate::MAX_PAGE_ROWS;
use crate::TableStore;

/// The whole content of a table in canonical form: a line with the names of the columns, then a
/// line per row, each a JSON array in the order of the columns; lines are in the order of the
/// primary key, or of their text where there is none. Two tables are equal if their exports are
/// equal byte for byte. For tables that fit into memory.
///
/// # Errors
/// When the table is unknown or the database cannot be read.
pub async fn export(store: &dyn TableStore, table: &TablePlan) -> Result<String, LookUpError> {
    let unwritable = |source: serde_json::Error| LookUpError::Read {
        table: table.name.clone(),
        source: source.into(),
    };
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let mut lines = Vec::new();
    let mut query = LookUp { limit: MAX_PAGE_ROWS, ..LookUp::default() };
    loop {
        let page = store.look_up(&table.name, &query).await?;
        for row in &page.rows {
            lines.push(serde_json::to_string(row).map_err(unwritable)?);
        }
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    if table.primary_key.is_empty() {
        lines.sort_unstable();
    }
    lines.insert(0, serde_json::to_string(&names).map_err(unwritable)?);
    lines.push(String::new());
    Ok(lines.join("\n"))
}
