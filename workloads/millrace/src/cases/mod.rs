//! Test cases of a pipeline: what goes in, and what must come out.
//!
//! `file` and `http` are how they are written, `execute` runs one in a folder of its own, `exchange`
//! its requests, `compare` finds the differences.

mod captures;
mod compare;
mod exchange;
mod execute;
mod file;
mod http;
mod outputs;

pub(crate) use execute::execute;
pub(crate) use file::CaseFile;
pub(crate) use file::ReadCasesError;
pub(crate) use file::cases_of;
