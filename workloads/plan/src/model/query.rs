//! What can be asked of a pipeline, as planned.

use millrace_core::FieldPath;
use millrace_core::StreamName;

use crate::model::ColumnType;
use crate::model::HttpPath;
use crate::model::ResponsePlan;

/// What can be asked.
#[derive(Debug, Clone, Default)]
pub struct QueryPlan {
    /// Routes that are answered from tables.
    pub routes: Vec<QueryRoute>,
    /// The dashboard's special views, where the resource describes them.
    pub dashboard: DashboardPlan,
}

/// A route that answers GET.
#[derive(Debug, Clone)]
pub struct QueryRoute {
    /// Its path.
    pub path: HttpPath,
    /// Where the answer comes from.
    pub answer: QueryAnswer,
    /// The answer; none: 200 with the row, or the array of rows. Its programs see the row as `.`
    /// (a list: `{"rows": […]}`) and `%path` and `%query`.
    pub respond: Option<ResponsePlan>,
}

/// Where the answer of a route comes from.
#[derive(Debug, Clone)]
pub enum QueryAnswer {
    /// The first row that matches.
    One {
        /// Which rows match, and which is the first.
        rows: RowSelection,
        /// The answer where no row matches; none: 404.
        otherwise: Option<ResponsePlan>,
    },
    /// The rows that match, a page at a time.
    List {
        /// Which rows match, and their order.
        rows: RowSelection,
        /// A column of type timestamp that `from` and `to` bound.
        time: Option<String>,
        /// Rows of a page where the request says nothing.
        limit: usize,
    },
    /// Always the same.
    Constant,
}

/// Rows of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct RowSelection {
    /// The table.
    pub table: String,
    /// Columns that must equal parameters.
    pub conditions: Vec<RowCondition>,
    /// The column to order by and whether the highest comes first; none: by the primary key.
    pub order: Option<(String, bool)>,
}

/// A column that must equal a parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct RowCondition {
    /// The column.
    pub column: String,
    /// Its type, which the parameter must have.
    pub kind: ColumnType,
    /// Name of the parameter.
    pub parameter: String,
    /// Whether the parameter is one of the path, and so always there; otherwise it is one of the
    /// query and may be left out.
    pub in_path: bool,
}

/// Views of the dashboard beside those that every pipeline has.
#[derive(Debug, Clone, Default)]
pub struct DashboardPlan {
    /// A map of moving entities.
    pub map: Option<MapView>,
    /// A table of the latest values per entity.
    pub board: Option<BoardView>,
    /// A list of texts as they come.
    pub feed: Option<FeedView>,
    /// Numbers over event time.
    pub charts: Vec<ChartView>,
}

/// Numbers over event time, a line for each series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartView {
    /// Its heading.
    pub title: String,
    /// The stream.
    pub from: StreamName,
    /// The array whose items are plotted; none: the event itself.
    pub each: Option<FieldPath>,
    /// The name of the series, in the item or event; none: one series.
    pub series: Option<FieldPath>,
    /// The number, in the item or event.
    pub value: FieldPath,
    /// Unit, shown beside the number; may be empty.
    pub unit: String,
}

/// A map on which entities move and leave their track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapView {
    /// The stream of positions.
    pub from: StreamName,
    /// Who moved.
    pub entity: FieldPath,
    /// Latitude in degrees.
    pub latitude: FieldPath,
    /// Longitude in degrees.
    pub longitude: FieldPath,
    /// What separates independent maps (one race from another), if anything does.
    pub group: Option<FieldPath>,
}

/// A table of entities with their latest values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardView {
    /// Its columns; the first one is also the order of rows.
    pub columns: Vec<BoardColumn>,
    /// What separates independent boards, if anything does.
    pub group: Option<FieldPath>,
}

/// A column of a [`BoardView`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardColumn {
    /// Its heading.
    pub title: String,
    /// The stream of its values.
    pub from: StreamName,
    /// Whose value it is.
    pub entity: FieldPath,
    /// The value. Events without it are passed over.
    pub value: FieldPath,
    /// Unit, shown beside the value; may be empty.
    pub unit: String,
    /// Digits after the decimal point.
    pub digits: u8,
}

/// A list of texts as they come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedView {
    /// The stream.
    pub from: StreamName,
    /// The text of an event.
    pub text: FieldPath,
}
