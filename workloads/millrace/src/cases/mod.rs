//! Test cases of a pipeline: what goes in, and what must come out.
//!
//! `file` is how they are written, `execute` runs one in a folder of its own, `compare` finds the
//! differences.

mod compare;
mod execute;
mod file;
mod outputs;

pub(crate) use execute::execute;
pub(crate) use file::CaseFile;
pub(crate) use file::ReadCasesError;
pub(crate) use file::cases_of;
