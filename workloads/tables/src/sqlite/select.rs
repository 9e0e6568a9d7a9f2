//! Look-ups in SQLite.

use millrace_plan::model::ColumnType;
use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::commit::bind;
use super::sql::Table;
use crate::Cell;
use crate::Direction;
use crate::LookUp;
use crate::LookUpError;
use crate::Page;
use crate::select::Dialect;
use crate::select::Selection;
use crate::select::SortColumn;
use crate::sql::EVENT_ID;
use crate::sql::quote;

/// SQL as SQLite writes it.
pub(super) struct Sqlite;

impl Dialect for Sqlite {
    fn parameter(_number: usize) -> String {
        "?".to_owned()
    }

    fn comparable(quoted: &str, _kind: ColumnType) -> String {
        quoted.to_owned()
    }

    fn event_id() -> SortColumn {
        let id = format!("hex({})", quote(EVENT_ID));
        SortColumn { shown: id.clone(), compared: id, kind: ColumnType::Text, parameter: "{}" }
    }

    fn order(compared: &str, direction: Direction) -> String {
        // NULL sorts below every value.
        match direction {
            Direction::Ascending => compared.to_owned(),
            Direction::Descending => format!("{compared} DESC"),
        }
    }
}

/// Looks a page up.
pub(super) async fn look_up(
    readers: &SqlitePool,
    table: &Table,
    query: &LookUp,
) -> Result<Page, LookUpError> {
    let selection = Selection::<Sqlite>::of(&table.shape(), query)?;
    let failed = |source: sqlx::Error| LookUpError::Read {
        table: table.name.clone(),
        source: source.into(),
    };
    let mut select = sqlx::query(AssertSqlSafe(selection.statement.clone()));
    for (cell, _) in &selection.bound {
        select = bind(select, cell.clone());
    }
    let found = select.fetch_all(readers).await.map_err(failed)?;
    selection.page(&found, read).map_err(failed)
}

/// Reads a cell from its form in the database.
fn read(row: &SqliteRow, index: usize, kind: ColumnType) -> Result<Cell, sqlx::Error> {
    Ok(match kind {
        ColumnType::Text => row.try_get::<Option<String>, _>(index)?.map(Cell::Text),
        ColumnType::Integer => row.try_get::<Option<i64>, _>(index)?.map(Cell::Integer),
        ColumnType::Double => row.try_get::<Option<f64>, _>(index)?.map(Cell::Double),
        ColumnType::Boolean => row.try_get::<Option<bool>, _>(index)?.map(Cell::Boolean),
        ColumnType::Timestamp => row.try_get::<Option<i64>, _>(index)?.map(Cell::Timestamp),
        ColumnType::Uuid => row
            .try_get::<Option<String>, _>(index)?
            .map(|text| Uuid::parse_str(&text).map(Cell::Uuid))
            .transpose()
            .map_err(|error| sqlx::Error::Decode(error.into()))?,
        ColumnType::Json => row.try_get::<Option<String>, _>(index)?.map(Cell::Json),
    }
    .unwrap_or(Cell::Null))
}

#[cfg(test)]
mod tests {
    use millrace_plan::model::ColumnPlan;
    use millrace_plan::model::ColumnSource;
    use millrace_plan::model::Keep;
    use millrace_plan::model::TablePlan;

    use super::*;
    use crate::Order;
    use crate::TableSpec;
    use crate::TimeRange;
    use crate::look_up::write_cursor;
    use crate::sqlite::SqliteStore;
    use crate::store::TableStore as _;

    /// How the database finds the rows of a look-up in a table of the key (at, car).
    async fn found_by(query: LookUp) -> String {
        let column = |name: &str, kind| ColumnPlan {
            name: name.into(),
            kind,
            source: ColumnSource::Field(format!(".{name}").parse().unwrap()),
            nullable: false,
        };
        let plan = TablePlan {
            name: "laps".into(),
            columns: vec![
                column("at", ColumnType::Timestamp),
                column("car", ColumnType::Integer),
                column("text", ColumnType::Text),
            ],
            primary_key: vec!["at".into(), "car".into()],
            keep: Keep::Latest,
            partitions: None,
        };
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("tables.sqlite")).await.unwrap();
        let spec = TableSpec { generation: 0, plan };
        store.ensure_tables(std::slice::from_ref(&spec)).await.unwrap();
        let table = Table::new(&spec.plan, "laps");
        let selection = Selection::<Sqlite>::of(&table.shape(), &query).unwrap();
        let explain = format!("EXPLAIN QUERY PLAN {}", selection.statement);
        let mut explain = sqlx::query(AssertSqlSafe(explain));
        for (cell, _) in &selection.bound {
            explain = bind(explain, cell.clone());
        }
        let steps = explain.fetch_all(&store.readers).await.unwrap();
        steps.iter().map(|step| step.get::<String, _>("detail")).collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn rows_by_the_key_or_in_its_order_are_found_without_reading_others() {
        let at = || ("at".to_owned(), Cell::Timestamp(5));
        let by_key = LookUp { equals: vec![at()], ..LookUp::default() };
        assert_eq!(found_by(by_key).await, "SEARCH laps USING PRIMARY KEY (at=?)");
        let order = Order { column: "at".into(), direction: Direction::Descending };
        let range = TimeRange { column: "at".into(), from: Some(1), to: Some(9) };
        let newest_first =
            LookUp { time: Some(range), order: Some(order.clone()), ..LookUp::default() };
        assert_eq!(found_by(newest_first).await, "SEARCH laps USING PRIMARY KEY (at>? AND at<?)");
        let cursor = write_cursor("laps:-at", &[Cell::Timestamp(5), Cell::Integer(1)]);
        let next_page = LookUp { order: Some(order), cursor: Some(cursor), ..LookUp::default() };
        assert_eq!(found_by(next_page).await, "SEARCH laps USING PRIMARY KEY ((at,car)<(?,?))");
    }
}
