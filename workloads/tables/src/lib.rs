//! millrace-tables
