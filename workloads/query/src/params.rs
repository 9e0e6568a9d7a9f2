//! Parameters of requests, read one by one, so that a wrong or unknown one can be named.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::http::request::Parts;

use millrace_http::Problem;

/// Longest query string, in bytes.
pub const MAX_QUERY_BYTES: usize = 8192;

/// The parameters of a request that have not been read yet.
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Takes a parameter as text.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let Some(index) = self.0.iter().position(|(n, _)| n == name) else { return Ok(None) };
        let (_, text) = self.0.remove(index);
        if self.0.iter().any(|(n, _)| n == name) {
            return Err(Problem::parameter(name, "is given more than once"));
        }
        Ok(Some(text))
    }

    /// Takes a parameter of another type; `expected` says what it should be.
    pub(crate) fn parsed<T: FromStr>(
        &mut self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, Problem> {
        self.text(name)?
            .map(|text| {
                text.parse().map_err(|_| {
                    Problem::parameter(name, format_args!("`{}` is not {expected}", short(&text)))
                })
            })
            .transpose()
    }

    /// Takes `limit`.
    pub(crate) fn limit(&mut self, default: usize, most: usize) -> Result<usize, Problem> {
        let expected = format!("a whole number from 1 to {most}");
        let limit = self.parsed("limit", &expected)?.unwrap_or(default);
        if (1..=most).contains(&limit) {
            Ok(limit)
        } else {
            Err(Problem::parameter("limit", format_args!("`{limit}` is not {expected}")))
        }
    }

    /// All that have not been read.
    pub(crate) fn all(&self) -> &[(String, String)] {
        &self.0
    }

    /// Takes all that is left.
    pub(crate) fn rest(self) -> Vec<(String, String)> {
        self.0
    }

    /// Refuses all that is left; `known` lists what there is.
    pub(crate) fn finish(self, known: &str) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) if known.is_empty() => Err(Problem::parameter(
                short(name),
                "there is no such parameter here; there are none",
            )),
            Some((name, _)) => Err(Problem::parameter(
                short(name),
                format_args!("there is no such parameter here; there are {known}"),
            )),
        }
    }
}

/// The first 64 characters.
pub(crate) fn short(text: &str) -> &str {
    text.char_indices().nth(64).map_or(text, |(end, _)| &text[..end])
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if parts.uri.query().is_some_and(|query| query.len() > MAX_QUERY_BYTES) {
            return Err(Problem::new(
                StatusCode::URI_TOO_LONG,
                format!("the query string has more than {MAX_QUERY_BYTES} bytes"),
            ));
        }
        Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map(|Query(params)| Self(params))
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))
    }
}
