//! millrace-api
