//! Look-ups in SQL: conditions, order, and the place where a page begins. What databases write
//! differently is in their [`Dialect`].

use std::fmt::Write as _;
use std::marker::PhantomData;
use std::sync::Arc;

use millrace_plan::model::ColumnPlan;
use millrace_plan::model::ColumnType;

use crate::Cell;
use crate::Direction;
use crate::LookUp;
use crate::LookUpError;
use crate::MAX_PAGE_ROWS;
use crate::Page;
use crate::look_up::read_cursor;
use crate::look_up::write_cursor;
use crate::sql::EVENT_TIME;
use crate::sql::list;
use crate::sql::quote;

/// What look-ups need to know of a table.
pub(crate) struct Shape<'a> {
    /// Its name in the resource.
    pub(crate) name: &'a str,
    /// Its name in the database, quoted.
    pub(crate) quoted: &'a str,
    /// Its columns, in declared order.
    pub(crate) columns: &'a Arc<[ColumnPlan]>,
    /// Names of the primary key's columns; empty where rows are known by their event id.
    pub(crate) primary_key: &'a [String],
}

/// A value of a sort key in SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SortColumn {
    /// How it is read for a cursor.
    pub(crate) shown: String,
    /// How it is compared and ordered.
    pub(crate) compared: String,
    /// Its type in a cursor.
    pub(crate) kind: ColumnType,
    /// What stands for a value that it is compared with; `{}` is the parameter.
    pub(crate) parameter: &'static str,
}

/// How a database writes what not all write alike.
pub(crate) trait Dialect {
    /// The parameter of this number, counted from 1.
    fn parameter(number: usize) -> String;

    /// A column, by its quoted name, in a form that can be ordered and compared.
    fn comparable(quoted: &str, kind: ColumnType) -> String;

    /// The event's id, which orders the rows that have no primary key.
    fn event_id() -> SortColumn;

    /// The order of a column that may be NULL, which sorts below every value.
    fn order(compared: &str, direction: Direction) -> String;
}

/// The statement of a look-up.
pub(crate) struct Selection<D> {
    /// Its text.
    pub(crate) statement: String,
    /// What it binds, in order.
    pub(crate) bound: Vec<(Cell, ColumnType)>,
    /// Most rows of the page.
    limit: usize,
    columns: Arc<[ColumnPlan]>,
    sort: SortKey,
    dialect: PhantomData<D>,
}

impl<D: Dialect> Selection<D> {
    /// The statement that finds a page.
    pub(crate) fn of(table: &Shape<'_>, query: &LookUp) -> Result<Self, LookUpError> {
        let sort = SortKey::of::<D>(table, query)?;
        let limit = query.limit.clamp(1, MAX_PAGE_ROWS);
        let mut conditions = Conditions::<D>::default();
        conditions.add(table, query, &sort)?;
        let mut statement = format!(
            "SELECT {}, {} FROM {}",
            list(table.columns.iter().map(|column| column.name.as_str())),
            sort.columns().map(|column| column.shown.as_str()).collect::<Vec<_>>().join(", "),
            table.quoted
        );
        if !conditions.texts.is_empty() {
            let _ = write!(statement, " WHERE {}", conditions.texts.join(" AND "));
        }
        // One row more than asked for tells whether there is a next page.
        let _ = write!(statement, " ORDER BY {} LIMIT {}", sort.order_by::<D>(), limit + 1);
        Ok(Self {
            statement,
            bound: conditions.bound,
            limit,
            columns: Arc::clone(table.columns),
            sort,
            dialect: PhantomData,
        })
    }

    /// The page of what was found. `read` reads a value of a row by its index and type.
    pub(crate) fn page<R, E>(
        &self,
        found: &[R],
        read: impl Fn(&R, usize, ColumnType) -> Result<Cell, E>,
    ) -> Result<Page, E> {
        let next = if found.len() > self.limit {
            let key: Vec<Cell> = (self.columns.len()..)
                .zip(self.sort.columns())
                .map(|(i, column)| read(&found[self.limit - 1], i, column.kind))
                .collect::<Result<_, _>>()?;
            Some(write_cursor(&self.sort.label, &key))
        } else {
            None
        };
        let rows = found
            .iter()
            .take(self.limit)
            .map(|row| {
                let columns = self.columns.iter().enumerate();
                columns.map(|(i, column)| read(row, i, column.kind)).collect()
            })
            .collect::<Result<_, _>>()?;
        Ok(Page { columns: Arc::clone(&self.columns), rows, next })
    }
}

/// What orders rows: a declared column if one was asked for, then what makes rows distinct.
struct SortKey {
    /// The column that may be NULL.
    first: Option<SortColumn>,
    /// The columns that never are.
    rest: Vec<SortColumn>,
    /// What the order is called in cursors.
    label: String,
    direction: Direction,
}

impl SortKey {
    fn of<D: Dialect>(table: &Shape<'_>, query: &LookUp) -> Result<Self, LookUpError> {
        let mut rest: Vec<SortColumn> = if table.primary_key.is_empty() {
            let time = SortColumn {
                shown: quote(EVENT_TIME),
                compared: quote(EVENT_TIME),
                kind: ColumnType::Integer,
                parameter: "{}",
            };
            vec![time, D::event_id()]
        } else {
            let key = table.primary_key.iter();
            key.map(|name| sort_column::<D>(table, name)).collect::<Result<_, _>>()?
        };
        let Some(order) = &query.order else {
            let label = format!("{}:", table.name);
            return Ok(Self { first: None, rest, label, direction: Direction::Ascending });
        };
        let sign = match order.direction {
            Direction::Ascending => '+',
            Direction::Descending => '-',
        };
        let first = sort_column::<D>(table, &order.column)?;
        let label = format!("{}:{sign}{}", table.name, order.column);
        let direction = order.direction;
        // A column of the primary key is never NULL; moved to the front it leads the key, where an
        // index may serve the order.
        if let Some(index) = rest.iter().position(|column| *column == first) {
            rest[..=index].rotate_right(1);
            return Ok(Self { first: None, rest, label, direction });
        }
        Ok(Self { first: Some(first), rest, label, direction })
    }

    fn columns(&self) -> impl Iterator<Item = &SortColumn> {
        self.first.iter().chain(&self.rest)
    }

    fn order_by<D: Dialect>(&self) -> String {
        let direction = match self.direction {
            Direction::Ascending => "",
            Direction::Descending => " DESC",
        };
        let first = self.first.iter().map(|column| D::order(&column.compared, self.direction));
        let rest = self.rest.iter().map(|column| format!("{}{direction}", column.compared));
        first.chain(rest).collect::<Vec<_>>().join(", ")
    }
}

fn sort_column<D: Dialect>(table: &Shape<'_>, name: &str) -> Result<SortColumn, LookUpError> {
    let kind = kind(table, name)?;
    let compared = D::comparable(&quote(name), kind);
    Ok(SortColumn { shown: quote(name), compared, kind, parameter: "{}" })
}

fn kind(table: &Shape<'_>, name: &str) -> Result<ColumnType, LookUpError> {
    let column = table.columns.iter().find(|column| column.name == name);
    column.map(|column| column.kind).ok_or_else(|| LookUpError::UnknownColumn {
        table: table.name.to_owned(),
        column: name.to_owned(),
    })
}

/// Conditions, and what they bind, in the order of their texts.
struct Conditions<D> {
    texts: Vec<String>,
    bound: Vec<(Cell, ColumnType)>,
    dialect: PhantomData<D>,
}

impl<D> Default for Conditions<D> {
    fn default() -> Self {
        Self { texts: Vec::new(), bound: Vec::new(), dialect: PhantomData }
    }
}

impl<D: Dialect> Conditions<D> {
    fn add(
        &mut self,
        table: &Shape<'_>,
        query: &LookUp,
        sort: &SortKey,
    ) -> Result<(), LookUpError> {
        for (name, cell) in &query.equals {
            let kind = kind(table, name)?;
            let text = if *cell == Cell::Null {
                format!("{} IS NULL", quote(name))
            } else if is_of(cell, kind) {
                let parameter = self.bind(cell.clone(), kind);
                format!("{} = {parameter}", D::comparable(&quote(name), kind))
            } else {
                // No row has a value of another type.
                "1 = 0".to_owned()
            };
            self.texts.push(text);
        }
        if let Some(range) = &query.time {
            if kind(table, &range.column)? != ColumnType::Timestamp {
                return Err(LookUpError::NotATime(range.column.clone()));
            }
            let name = quote(&range.column);
            for (bound, comparison) in [(range.from, ">="), (range.to, "<")] {
                if let Some(micros) = bound {
                    let parameter = self.bind(Cell::Timestamp(micros), ColumnType::Timestamp);
                    self.texts.push(format!("{name} {comparison} {parameter}"));
                }
            }
        }
        if let Some(cursor) = &query.cursor {
            let kinds: Vec<ColumnType> = sort.columns().map(|column| column.kind).collect();
            let cells = read_cursor(cursor, &sort.label, &kinds)?;
            let condition = self.after(sort, cells)?;
            self.texts.push(condition);
        }
        Ok(())
    }

    fn bind(&mut self, cell: Cell, kind: ColumnType) -> String {
        self.bound.push((cell, kind));
        D::parameter(self.bound.len())
    }

    fn bind_for(&mut self, column: &SortColumn, cell: Cell) -> String {
        let parameter = self.bind(cell, column.kind);
        column.parameter.replace("{}", &parameter)
    }

    /// The condition that rows come after the cursor's row. NULL sorts below every value.
    fn after(&mut self, sort: &SortKey, cells: Vec<Cell>) -> Result<String, LookUpError> {
        let comparison = match sort.direction {
            Direction::Ascending => '>',
            Direction::Descending => '<',
        };
        let mut cells = cells.into_iter();
        let Some(first) = &sort.first else {
            return self.after_rest(sort, comparison, cells);
        };
        let name = &first.compared;
        let value = cells.next().ok_or(LookUpError::Cursor)?;
        Ok(match (value, sort.direction) {
            (Cell::Null, Direction::Ascending) => {
                let rest = self.after_rest(sort, comparison, cells)?;
                format!("(({name} IS NULL AND {rest}) OR {name} IS NOT NULL)")
            }
            (Cell::Null, Direction::Descending) => {
                let rest = self.after_rest(sort, comparison, cells)?;
                format!("({name} IS NULL AND {rest})")
            }
            (value, direction) => {
                let nulls = match direction {
                    Direction::Ascending => String::new(),
                    Direction::Descending => format!(" OR {name} IS NULL"),
                };
                let beyond = self.bind_for(first, value.clone());
                let same = self.bind_for(first, value);
                let rest = self.after_rest(sort, comparison, cells)?;
                format!("({name} {comparison} {beyond} OR ({name} = {same} AND {rest}){nulls})")
            }
        })
    }

    /// The condition that rows come after the cursor's row in the columns that are never NULL.
    fn after_rest(
        &mut self,
        sort: &SortKey,
        comparison: char,
        cells: impl Iterator<Item = Cell>,
    ) -> Result<String, LookUpError> {
        let mut names = Vec::with_capacity(sort.rest.len());
        let mut parameters = Vec::with_capacity(sort.rest.len());
        for (column, cell) in sort.rest.iter().zip(cells) {
            if cell == Cell::Null {
                return Err(LookUpError::Cursor);
            }
            names.push(column.compared.as_str());
            parameters.push(self.bind_for(column, cell));
        }
        Ok(format!("({}) {comparison} ({})", names.join(", "), parameters.join(", ")))
    }
}

/// Whether a column of this type could hold the cell.
fn is_of(cell: &Cell, kind: ColumnType) -> bool {
    match cell {
        Cell::Null => true,
        Cell::Text(_) => kind == ColumnType::Text,
        Cell::Integer(_) => kind == ColumnType::Integer,
        Cell::Double(_) => kind == ColumnType::Double,
        Cell::Boolean(_) => kind == ColumnType::Boolean,
        Cell::Timestamp(_) => kind == ColumnType::Timestamp,
        Cell::Uuid(_) => kind == ColumnType::Uuid,
        Cell::Json(_) => kind == ColumnType::Json,
    }
}
