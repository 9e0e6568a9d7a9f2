//! Errors of what is asked, as problems.

use axum::http::StatusCode;
use millrace_http::Problem;
use millrace_log::AppendError;
use millrace_log::ReadError;
use millrace_tables::LookUpError;

/// What may go wrong while a request is answered.
pub(crate) trait IntoProblem {
    /// The problem that the client is told.
    fn into_problem(self) -> Problem;
}

impl IntoProblem for ReadError {
    fn into_problem(self) -> Problem {
        match &self {
            Self::UnknownStream { .. } => Problem::not_found(self.to_string()),
            Self::Corrupt { .. } => Problem::internal(&self.to_string(), &self),
            Self::Storage(_) => Problem::internal("the log cannot be read", &self),
        }
    }
}

impl IntoProblem for AppendError {
    fn into_problem(self) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, self.to_string())
    }
}

impl IntoProblem for LookUpError {
    fn into_problem(self) -> Problem {
        match &self {
            Self::UnknownTable(_) => Problem::not_found(self.to_string()),
            Self::Cursor => Problem::parameter("cursor", self),
            Self::NotATime(_) => Problem::parameter("timeColumn", self),
            Self::UnknownColumn { column, .. } => Problem::parameter(&column.clone(), &self),
            Self::Read { .. } => Problem::internal("the table cannot be read", &self),
        }
    }
}
