//! Rows of one commit: one of each key, in the order of keys.

use std::cmp::Ordering;

use millrace_plan::model::Keep;
use millrace_plan::model::TablePlan;

use crate::Cell;
use crate::Row;

/// How rows of a table are told apart, and which of several stays.
#[derive(Debug, Clone)]
pub(crate) struct Distinct {
    /// Indexes of the primary key's columns; none where rows are known by their event id.
    key: Vec<usize>,
    keep: Keep,
}

impl Distinct {
    pub(crate) fn of(plan: &TablePlan) -> Self {
        let index = |key: &String| plan.columns.iter().position(|column| column.name == *key);
        Self { key: plan.primary_key.iter().filter_map(index).collect(), keep: plan.keep }
    }

    /// The rows that stay, ordered by key. Writers that lock rows in one order cannot wait for
    /// one another in a circle, and neighbours in the index are written one after the other.
    pub(crate) fn rows<'a>(&self, rows: &'a [Row]) -> Vec<&'a Row> {
        let mut rows: Vec<&Row> = rows.iter().collect();
        // Stable: of rows that are equal in all that counts, the first one stays.
        if self.key.is_empty() {
            rows.sort_by_key(|row| row.event_id);
            rows.dedup_by_key(|row| row.event_id);
            return rows;
        }
        rows.sort_by(|a, b| self.compare(a, b).then_with(|| self.preference(a, b)));
        rows.dedup_by(|a, b| self.compare(a, b) == Ordering::Equal);
        rows
    }

    /// The order of keys.
    fn compare(&self, a: &Row, b: &Row) -> Ordering {
        for index in &self.key {
            let order = match (a.cells.get(*index), b.cells.get(*index)) {
                (Some(a), Some(b)) => compare(a, b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            };
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }

    /// Of two rows of one key, the one that stays comes first.
    fn preference(&self, a: &Row, b: &Row) -> Ordering {
        let (a, b) = ((a.order, a.event_id), (b.order, b.event_id));
        match self.keep {
            Keep::Latest => b.cmp(&a),
            Keep::All | Keep::First => a.cmp(&b),
        }
    }
}

/// Any order of cells of one type does that tells different ones apart.
fn compare(a: &Cell, b: &Cell) -> Ordering {
    match (a, b) {
        (Cell::Integer(a), Cell::Integer(b)) | (Cell::Timestamp(a), Cell::Timestamp(b)) => a.cmp(b),
        (Cell::Text(a), Cell::Text(b)) | (Cell::Json(a), Cell::Json(b)) => a.cmp(b),
        (Cell::Uuid(a), Cell::Uuid(b)) => a.cmp(b),
        (Cell::Boolean(a), Cell::Boolean(b)) => a.cmp(b),
        (Cell::Double(a), Cell::Double(b)) => a.total_cmp(b),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

fn rank(cell: &Cell) -> u8 {
    match cell {
        Cell::Null => 0,
        Cell::Text(_) => 1,
        Cell::Integer(_) => 2,
        Cell::Double(_) => 3,
        Cell::Boolean(_) => 4,
        Cell::Timestamp(_) => 5,
        Cell::Uuid(_) => 6,
        Cell::Json(_) => 7,
    }
}

#[cfg(test)]
mod tests {
    use millrace_core::EventId;
    use millrace_plan::model::ColumnPlan;
    use millrace_plan::model::ColumnSource;
    use millrace_plan::model::ColumnType;

    use super::*;

    fn kept(keep: Keep, key: &[&str], rows: &[(i64, i64, u8)]) -> Vec<(i64, i64, u8)> {
        let car = ColumnPlan {
            name: "car".into(),
            kind: ColumnType::Integer,
            source: ColumnSource::Key,
            nullable: false,
        };
        let plan = TablePlan {
            name: "cars".into(),
            columns: vec![car],
            primary_key: key.iter().map(|name| (*name).to_owned()).collect(),
            keep,
            partitions: None,
        };
        let rows: Vec<Row> = rows
            .iter()
            .map(|(car, order, id)| Row {
                cells: vec![Cell::Integer(*car)],
                order: *order,
                event_id: EventId::from([*id; 16]),
            })
            .collect();
        let number = |row: &Row| match row.cells[0] {
            Cell::Integer(number) => number,
            _ => 0,
        };
        Distinct::of(&plan)
            .rows(&rows)
            .into_iter()
            .map(|row| (number(row), row.order, row.event_id.as_bytes()[0]))
            .collect()
    }

    #[test]
    fn one_row_of_each_key_stays_by_time_and_then_id() {
        let rows = [(2, 10, 1), (1, 5, 9), (2, 10, 3), (2, 9, 7), (1, 5, 8), (1, 6, 1)];
        assert_eq!(kept(Keep::Latest, &["car"], &rows), [(1, 6, 1), (2, 10, 3)]);
        assert_eq!(kept(Keep::First, &["car"], &rows), [(1, 5, 8), (2, 9, 7)]);
        assert_eq!(kept(Keep::All, &["car"], &rows), [(1, 5, 8), (2, 9, 7)]);
    }

    #[test]
    fn without_a_key_each_event_stays_once() {
        let rows = [(1, 5, 3), (1, 5, 2), (2, 9, 3)];
        assert_eq!(kept(Keep::All, &[], &rows), [(1, 5, 2), (1, 5, 3)]);
    }
}
