//! millrace-query
