//! millrace-sinks
