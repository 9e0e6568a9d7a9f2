//! Look-ups in SQL: conditions, order, and the place where a page begins.

use std::fmt::Write;
use std::sync::Arc;

use millrace_plan::model::ColumnType;
use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::commit::bind;
use super::sql::EVENT_ID;
use super::sql::EVENT_TIME;
use super::sql::Table;
use super::sql::list;
use super::sql::quote;
use crate::Cell;
use crate::Direction;
use crate::LookUp;
use crate::LookUpError;
use crate::MAX_PAGE_ROWS;
use crate::Page;
use crate::look_up::read_cursor;
use crate::look_up::write_cursor;

/// What orders rows: a declared column if one was asked for, then what makes rows distinct.
struct SortKey {
    /// The column that may be NULL, and its type.
    first: Option<(String, ColumnType)>,
    /// The columns that never are.
    rest: Vec<(String, ColumnType)>,
    /// What the order is called in cursors.
    label: String,
    direction: Direction,
}

impl SortKey {
    fn of(table: &Table, query: &LookUp) -> Result<Self, LookUpError> {
        let rest = if table.primary_key.is_empty() {
            vec![
                (quote(EVENT_TIME), ColumnType::Integer),
                (format!("hex({})", quote(EVENT_ID)), ColumnType::Text),
            ]
        } else {
            table
                .primary_key
                .iter()
                .map(|name| column(table, name).map(|kind| (quote(name), kind)))
                .collect::<Result<_, _>>()?
        };
        let Some(order) = &query.order else {
            let label = format!("{}:", table.name);
            return Ok(Self { first: None, rest, label, direction: Direction::Ascending });
        };
        let sign = match order.direction {
            Direction::Ascending => '+',
            Direction::Descending => '-',
        };
        let mut rest: Vec<(String, ColumnType)> = rest;
        let first = (quote(&order.column), column(table, &order.column)?);
        let label = format!("{}:{sign}{}", table.name, order.column);
        let direction = order.direction;
        // A column of the primary key is never NULL; moved to the front it leads the key, where an
        // index may serve the order.
        if let Some(index) = rest.iter().position(|(name, _)| *name == first.0) {
            rest[..=index].rotate_right(1);
            return Ok(Self { first: None, rest, label, direction });
        }
        Ok(Self { first: Some(first), rest, label, direction })
    }

    fn columns(&self) -> impl Iterator<Item = &(String, ColumnType)> {
        self.first.iter().chain(&self.rest)
    }

    fn kinds(&self) -> Vec<ColumnType> {
        self.columns().map(|(_, kind)| *kind).collect()
    }

    fn order_by(&self) -> String {
        let direction = match self.direction {
            Direction::Ascending => "",
            Direction::Descending => " DESC",
        };
        let columns: Vec<String> =
            self.columns().map(|(name, _)| format!("{name}{direction}")).collect();
        columns.join(", ")
    }

    /// The condition that rows come after the cursor's row, and what it binds. NULL sorts below
    /// every value.
    fn after(&self, cursor: Vec<Cell>) -> (String, Vec<Cell>) {
        let comparison = match self.direction {
            Direction::Ascending => '>',
            Direction::Descending => '<',
        };
        let names: Vec<&str> = self.rest.iter().map(|(name, _)| name.as_str()).collect();
        let rest =
            format!("({}) {comparison} ({})", names.join(", "), vec!["?"; names.len()].join(", "));
        let Some((first, _)) = &self.first else {
            return (rest, cursor);
        };
        let mut cells = cursor;
        let value = cells.remove(0);
        match (value, self.direction) {
            (Cell::Null, Direction::Ascending) => {
                (format!("(({first} IS NULL AND {rest}) OR {first} IS NOT NULL)"), cells)
            }
            (Cell::Null, Direction::Descending) => (format!("({first} IS NULL AND {rest})"), cells),
            (value, direction) => {
                let nulls = match direction {
                    Direction::Ascending => String::new(),
                    Direction::Descending => format!(" OR {first} IS NULL"),
                };
                let condition =
                    format!("({first} {comparison} ? OR ({first} = ? AND {rest}){nulls})");
                let mut bound = vec![value.clone(), value];
                bound.append(&mut cells);
                (condition, bound)
            }
        }
    }
}

fn column(table: &Table, name: &str) -> Result<ColumnType, LookUpError> {
    table.column(name).map(|column| column.kind).ok_or_else(|| LookUpError::UnknownColumn {
        table: table.name.clone(),
        column: name.to_owned(),
    })
}

/// The statement of a look-up, and what it binds, in order.
fn statement(
    table: &Table,
    query: &LookUp,
    sort: &SortKey,
    limit: usize,
) -> Result<(String, Vec<Cell>), LookUpError> {
    let (conditions, cells) = conditions(table, query, sort)?;
    let mut statement = format!(
        "SELECT {}, {} FROM {}",
        list(table.columns.iter().map(|column| column.name.as_str())),
        sort.columns().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "),
        table.quoted
    );
    if !conditions.is_empty() {
        let _ = write!(statement, " WHERE {}", conditions.join(" AND "));
    }
    // One row more than asked for tells whether there is a next page.
    let _ = write!(statement, " ORDER BY {} LIMIT {}", sort.order_by(), limit + 1);
    Ok((statement, cells))
}

/// Looks a page up.
pub(super) async fn look_up(
    readers: &SqlitePool,
    table: &Table,
    query: &LookUp,
) -> Result<Page, LookUpError> {
    let sort = SortKey::of(table, query)?;
    let limit = query.limit.clamp(1, MAX_PAGE_ROWS);
    let (statement, cells) = statement(table, query, &sort, limit)?;
    let failed = |source: sqlx::Error| LookUpError::Read {
        table: table.name.clone(),
        source: source.into(),
    };
    let mut select = sqlx::query(AssertSqlSafe(statement));
    for cell in &cells {
        select = bind(select, cell.clone());
    }
    let found = select.fetch_all(readers).await.map_err(failed)?;

    let width = table.columns.len();
    let next = if found.len() > limit {
        let key: Vec<Cell> = sort
            .kinds()
            .into_iter()
            .enumerate()
            .map(|(i, kind)| read(&found[limit - 1], width + i, kind))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        Some(write_cursor(&sort.label, &key))
    } else {
        None
    };
    let rows = found
        .iter()
        .take(limit)
        .map(|row| {
            table.columns.iter().enumerate().map(|(i, column)| read(row, i, column.kind)).collect()
        })
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    Ok(Page { columns: Arc::clone(&table.columns), rows, next })
}

/// The conditions of a look-up and what they bind, in order.
fn conditions(
    table: &Table,
    query: &LookUp,
    sort: &SortKey,
) -> Result<(Vec<String>, Vec<Cell>), LookUpError> {
    let mut conditions = Vec::new();
    let mut cells = Vec::new();
    for (name, cell) in &query.equals {
        column(table, name)?;
        conditions.push(format!("{} IS ?", quote(name)));
        cells.push(cell.clone());
    }
    if let Some(range) = &query.time {
        if column(table, &range.column)? != ColumnType::Timestamp {
            return Err(LookUpError::NotATime(range.column.clone()));
        }
        let name = quote(&range.column);
        for (bound, comparison) in [(range.from, ">="), (range.to, "<")] {
            if let Some(micros) = bound {
                conditions.push(format!("{name} {comparison} ?"));
                cells.push(Cell::Timestamp(micros));
            }
        }
    }
    if let Some(cursor) = &query.cursor {
        let (condition, mut bound) = sort.after(read_cursor(cursor, &sort.label, &sort.kinds())?);
        conditions.push(condition);
        cells.append(&mut bound);
    }
    Ok((conditions, cells))
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
        };
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("tables.sqlite")).await.unwrap();
        let spec = TableSpec { generation: 0, plan };
        store.ensure_tables(std::slice::from_ref(&spec)).await.unwrap();
        let table = Table::new(&spec.plan, "laps");
        let sort = SortKey::of(&table, &query).unwrap();
        let (statement, cells) = statement(&table, &query, &sort, 10).unwrap();
        let mut explain = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")));
        for cell in &cells {
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
