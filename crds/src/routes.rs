//! `query.routes`: what is answered from tables.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::http::ResponseSpec;
use crate::text::HttpPath;
use crate::text::Identifier;
use crate::text::ParameterName;

/// A route that answers GET: exactly one of `one`, `list` and `constant`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.one), has(self.list), has(self.constant)].filter(x, x).size() == 1",
    "write exactly one of one, list and constant"
))]
pub struct QueryRouteSpec {
    /// Path, such as `/api/v1/timestamp/{id}`.
    pub path: HttpPath,
    /// The first row that matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one: Option<OneRowSpec>,
    /// The rows that match, a page at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<ListRowsSpec>,
    /// Always the same; `respond.body` says what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constant: Option<ConstantSpec>,
    /// The answer. Default: 200 with the row, or the array of rows, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond: Option<ResponseSpec>,
}

/// The first row that matches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OneRowSpec {
    /// The table.
    pub table: Identifier,
    /// Columns that must equal parameters, at most 16.
    #[serde(default, rename = "where")]
    #[schemars(length(max = 16))]
    pub conditions: Vec<ConditionSpec>,
    /// Which row is the first. Default: that of the lowest primary key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderSpec>,
    /// The answer where no row matches. Default: 404.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<ResponseSpec>,
}

/// The rows that match, a page at a time: `limit` and `cursor` are parameters, and the header
/// `Link` names the next page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListRowsSpec {
    /// The table.
    pub table: Identifier,
    /// Columns that must equal parameters, at most 16.
    #[serde(default, rename = "where")]
    #[schemars(length(max = 16))]
    pub conditions: Vec<ConditionSpec>,
    /// A column of type timestamp that the parameters `from` (inclusive) and `to` (exclusive), both
    /// RFC 3339, bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Identifier>,
    /// Order of the rows. Default: by the primary key, ascending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderSpec>,
    /// Rows of a page where `limit` says nothing, 1 to 1000. Default 100.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: i32,
}

/// A column that must equal a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConditionSpec {
    /// The column.
    pub column: Identifier,
    /// Name of the parameter: one of the path, else one of the query, which may be left out and
    /// then means any value. What is not of the column's type is answered by 400. Default: the
    /// column's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<ParameterName>,
}

/// An order of rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderSpec {
    /// The column.
    pub by: Identifier,
    /// Whether the highest comes first. Default `false`.
    #[serde(default)]
    pub descending: bool,
}

/// Always the same.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("maxProperties" = 0))]
pub struct ConstantSpec {}

const fn default_limit() -> i32 {
    100
}
