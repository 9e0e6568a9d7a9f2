//! millrace-simulate
