//! What is wrong with a resource, and what it gets otherwise than it asks for.

use std::fmt;

use millrace_plan::PlanError;

use crate::reasons;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Reason of the condition.
    pub reason: &'static str,
    /// Path of the field, such as `spec.ingest[0].http`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Problem {
    /// Something that contradicts itself, or that a cluster cannot give.
    pub(crate) fn invalid(
        path: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            reason: reasons::INVALID,
            path: path.into(),
            message: message.into(),
            hint: Some(hint.into()),
        }
    }
}

impl From<PlanError> for Problem {
    fn from(error: PlanError) -> Self {
        Self {
            reason: reasons::INVALID,
            path: error.path,
            message: error.message,
            hint: error.hint,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}
